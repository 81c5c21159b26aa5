package setup

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

// scaling finds how the raw number becomes the value.
func (f *finder) scaling(r *point.Field, p Point) {
	number := isNumber(r)
	ways := 0
	for _, k := range []struct {
		key   string
		given bool
		way   bool
	}{{"scale", p.Scale != nil, p.Offset == nil}, {"offset", p.Offset != nil, true}, {"range", p.Range != nil, true},
		{"table", p.Table != nil, true},
		{"scale_point", p.ScalePoint != "", true}, {"enum", p.Enum != nil, true}, {"invalid", p.Invalid != nil, false}} {
		if !k.given {
			continue
		}
		if !number {
			f.bad(k.key, k.key+" for a "+r.TypeName, "only numbers have "+k.key+": remove it")
		}
		if k.way {
			if ways++; ways == 2 {
				f.bad(k.key, k.key+" beside another scaling", "use scale and offset, or range, or table, or scale_point, or enum")
			}
		}
	}
	r.Scaling = bridge.NewScaling(scaleOf(r, p), p.Offset)
	if p.Range != nil {
		f.straight(r, p.Range)
	}
	if p.Table != nil {
		f.curve(r, p.Table)
	}
	f.missing(r, p.Invalid)
	if p.Enum != nil {
		if r.Kind != point.KindParts && !(point.Type{Kind: r.Kind}).Integer() {
			f.bad("enum", "an enum of "+r.TypeName, "enums are of integers")
		}
		r.Enum, r.EnumStrict = p.Enum, p.EnumStrict
	} else if p.EnumStrict {
		f.bad("enum_strict", "enum_strict without an enum", "add enum, or remove it")
	}
}

// missing finds which raw numbers are no value.
func (f *finder) missing(r *point.Field, invalid []Raw) {
	for i, v := range invalid {
		first, ok := v.in(r)
		last, fits := first, true
		if v.to != nil {
			last, fits = v.to.in(r)
			fits = fits && first <= last && !v.to.sign && !v.sign
		}
		switch {
		case !ok || !fits:
			f.bad(fmt.Sprintf("invalid/%d", i), fmt.Sprintf("%v does not fit in %s", v, r.TypeName),
				"give the raw number as the register has it")
		case first == last:
			r.Invalid = append(r.Invalid, first)
		default:
			r.Invalids = append(r.Invalids, point.Raws{First: first, Last: last})
		}
	}
}

// isNumber reports whether the values of a point are numbers that mean a quantity.
func isNumber(r *point.Field) bool {
	return r.Kind != point.KindBool && r.Kind != point.KindString && r.Kind != point.KindTime
}

// scaleOf returns the scale of what was read; nil is 1.
func scaleOf(r *point.Field, p Point) *bridge.Decimal {
	if r.Whole == nil || r.Whole.Exp == 0 {
		return p.Scale
	}
	s := bridge.Decimal{Coef: 1}
	if p.Scale != nil {
		s = *p.Scale
	}
	s.Exp += r.Whole.Exp
	return &s
}

// curve makes the line of a table.
func (f *finder) curve(r *point.Field, t *Table) {
	if len(t.Raw) < 2 || len(t.Raw) != len(t.Value) || len(t.Raw) > maxTable {
		f.bad("table", fmt.Sprintf("a table of %d raw numbers and %d values", len(t.Raw), len(t.Value)),
			fmt.Sprintf("give as many of both, 2 to %d: {raw: [-2, -1, 1, 2], value: [0, -1, 1, 0]}", maxTable))
		return
	}
	c := &point.Curve{Codes: t.Codes}
	for i := range t.Raw {
		raw := t.Raw[i].Float()
		if i > 0 && raw <= c.Raw[i-1] {
			f.bad(fmt.Sprintf("table/raw/%d", i), "a raw number that is not above the one before", "sort the table by raw")
		}
		c.Raw, c.Value = append(c.Raw, raw), append(c.Value, t.Value[i].Float())
	}
	r.Curve = c
}

// maxTable is the most points of a table.
const maxTable = 256

// straight makes the line of a range.
func (f *finder) straight(r *point.Field, p *Range) {
	if len(p.Raw) != 2 || len(p.Value) != 2 {
		f.bad("range", "a range without two raw numbers and two values", "write {raw: [0, 27648], value: [0, 10]}")
		return
	}
	raw0, raw1 := p.Raw[0].Float(), p.Raw[1].Float()
	value0, value1 := p.Value[0].Float(), p.Value[1].Float()
	if raw0 == raw1 {
		f.bad("range/raw", "both raw numbers are the same", "give the two ends of the range")
		return
	}
	r.Straight = &point.Straight{Num: value1 - value0, Add: value0*(raw1-raw0) - raw0*(value1-value0), Den: raw1 - raw0}
}

// factor finds the point that holds the power of ten for r: of the same block if
// it is in blocks, too, and of the same model.
func (f *finder) factor(r *point.Field, name string, fields map[string]*point.Field, d Device) {
	factor := fields[r.Of(name)]
	if outside := (point.Copy{Block: 0, Instance: r.Instance}).Of(name); factor == nil {
		factor = fields[outside]
	}
	switch {
	case factor == nil:
		if _, wrong := d.Points[name]; !wrong {
			f.bad("scale_point", fmt.Sprintf("%q is not a point of this device", name),
				suggest(name, slices.Sorted(maps.Keys(d.Points))))
		}
		return
	case !(point.Type{Kind: factor.Kind}).Integer() || d.Points[name].ScalePoint != "":
		f.bad("scale_point", name+" cannot be a power of ten",
			"a scale point is an integer; scale: -1 makes one of a number of decimals, a table one of codes")
		return
	case factor.Table != r.Table:
		f.bad("scale_point", name+" is in another table", "both must be read by one request")
		return
	case !slices.Equal(factor.Models, r.Models):
		f.bad("scale_point", name+" is in another SunSpec model", "scale factors apply within a model")
		return
	case factor.Every != r.Every:
		f.bad("scale_point", name+" is read at another interval",
			"both must be read by one request: give them the same every")
		return
	}
	if n := max(r.End(), factor.End()) - min(r.Address, factor.Address); n > d.MaxWords && r.Block <= 1 {
		f.bad("scale_point", fmt.Sprintf("%s is %d registers away", name, n), "both must fit in one request of max_words")
		return
	}
	r.Factor, r.Simple = factor, false
}
