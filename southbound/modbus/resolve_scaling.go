package modbus

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/bridge"
)

// scaling finds how the raw number becomes the value.
func (f *finder) scaling(r *field, p Point) {
	number := r.kind != kindBool && r.kind != kindString
	ways := 0
	for _, k := range []struct {
		key   string
		given bool
		way   bool
	}{{"scale", p.Scale != nil, p.Offset == nil}, {"offset", p.Offset != nil, true}, {"range", p.Range != nil, true},
		{"scale_point", p.ScalePoint != "", true}, {"enum", p.Enum != nil, true}, {"invalid", p.Invalid != nil, false}} {
		if !k.given {
			continue
		}
		if !number {
			f.bad(k.key, k.key+" for a "+r.typ, "only numbers have "+k.key+": remove it")
		}
		if k.way {
			if ways++; ways == 2 {
				f.bad(k.key, k.key+" beside another scaling", "use scale and offset, or range, or scale_point, or enum")
			}
		}
	}
	r.scaling = bridge.NewScaling(p.Scale, p.Offset)
	if p.Range != nil {
		f.straight(r, p.Range)
	}
	for i, v := range p.Invalid {
		bits, ok := v.in(max(int(r.bits), 1))
		if !ok {
			f.bad(fmt.Sprintf("invalid/%d", i), fmt.Sprintf("%v does not fit in %s", v, r.typ), "give the raw number as the register has it")
		}
		r.invalid = append(r.invalid, bits)
	}
	if p.Enum != nil {
		if r.kind != kindUint && r.kind != kindInt && r.kind != kindBCD {
			f.bad("enum", "an enum of "+r.typ, "enums are of integers")
		}
		r.enum = p.Enum
	}
}

// straight makes the line of a range.
func (f *finder) straight(r *field, p *Range) {
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
	r.line = &line{num: value1 - value0, add: value0*(raw1-raw0) - raw0*(value1-value0), den: raw1 - raw0}
}

// factor finds the point that holds the power of ten for r: of the same block if
// it is in blocks, too, and of the same model.
func (f *finder) factor(r *field, name string, fields map[string]*field, d Device) {
	factor := fields[r.copies.name(name)]
	if outside := (copies{0, r.instance}).name(name); factor == nil {
		factor = fields[outside]
	}
	switch {
	case factor == nil:
		if _, wrong := d.Points[name]; !wrong {
			f.bad("scale_point", fmt.Sprintf("%q is not a point of this device", name), suggest(name, slices.Sorted(maps.Keys(d.Points))))
		}
		return
	case factor.kind != kindInt && factor.kind != kindUint || factor.bits > 16 || d.Points[name].ScalePoint != "" || factor.scaling.Active():
		f.bad("scale_point", name+" can't be a power of ten", "a scale point is an unscaled int16")
		return
	case factor.table != r.table:
		f.bad("scale_point", name+" is in another table", "both must be read by one request")
		return
	case !slices.Equal(factor.models, r.models):
		f.bad("scale_point", name+" is in another SunSpec model", "scale factors apply within a model")
		return
	case factor.every != r.every:
		f.bad("scale_point", name+" is read at another interval", "both must be read by one request: give them the same every")
		return
	}
	if n := max(r.end(), factor.end()) - min(r.address, factor.address); n > d.MaxWords && r.block <= 1 {
		f.bad("scale_point", fmt.Sprintf("%s is %d registers away", name, n), "both must fit in one request of max_words")
		return
	}
	r.factor, r.simple = factor, false
}
