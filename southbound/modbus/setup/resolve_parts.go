package setup

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// typeTime is the type of a time whose parts are given.
const typeTime = "time"

// partFinder finds the parts of a point's value, and notes what is wrong with them
// at its finder.
type partFinder struct {
	*finder
	r *point.Field
	p Point
	d Device
}

// clock finds the parts of a type of time.
func (f partFinder) clock(c point.Clock) {
	f.r.Words, f.r.Kind, f.r.TypeName = c.Words, point.KindTime, typeTime
	f.r.Whole = &point.Whole{Parts: c.Parts(f.order(f.p, f.d, point.Type{Bits: 16 * c.Words})), Words: c.Words}
	f.zone()
	f.unparted()
}

// zone finds where a time is read as local time.
func (f partFinder) zone() {
	name := f.p.Zone
	if name == "" || name == "UTC" {
		return
	}
	if t, err := time.Parse("-07:00", name); err == nil {
		_, seconds := t.Zone()
		f.r.Whole.Zone = time.FixedZone(name, seconds)
		return
	}
	zone, err := setting.Zone(name)
	if err == nil && name == "Local" {
		err = fmt.Errorf("%q is not a time zone", name)
	}
	if err != nil {
		f.bad("zone", err.Error(),
			`use a name as Europe/Berlin, UTC, or a distance as "+01:00"`)
		return
	}
	f.r.Whole.Zone = zone
}

// unparted finds keys that say what part of a register is meant, beside parts.
func (f partFinder) unparted() {
	for _, k := range []struct {
		key   string
		given bool
	}{{"bit", f.p.Bit != nil}, {"bits", f.p.Bits != ""}, {"byte", f.p.Byte != ""}, {"length", f.p.Length != 0}} {
		if k.given {
			f.bad(k.key, k.key+" of "+f.what(), "remove "+k.key+", or give it to a part")
		}
	}
}

// what says what kind of value it is.
func (f partFinder) what() string {
	if f.r.Table == wire.Identity {
		return "an object, which is a text"
	}
	return "a value of several parts"
}

// parts finds the parts of a value.
func (f partFinder) parts() {
	f.unparted()
	r, p := f.r, f.p
	r.Whole = &point.Whole{}
	r.Kind, r.TypeName, r.Bits = point.KindParts, "int64", 64
	switch {
	case p.Type == typeTime:
		r.Kind, r.TypeName = point.KindTime, typeTime
		f.zone()
	case p.Zone != "":
		f.bad("zone", "a zone for a number of parts", "add type: time, or remove zone")
	case p.Type != "":
		f.bad("type", "type "+p.Type+" of a value of several parts",
			"the parts have types: remove type, or write type: time")
	}
	if len(p.Parts) == 0 || len(p.Parts) > point.MaxParts {
		f.bad("parts", fmt.Sprintf("a value of %d parts", len(p.Parts)), fmt.Sprintf("give 1 to %d parts", point.MaxParts))
		return
	}
	addresses := make([]int, len(p.Parts))
	first, end := 1<<16, 0
	for i := range p.Parts {
		of := f
		of.finder = &finder{path: append(slices.Clone(f.path), "parts", strconv.Itoa(i))}
		address, part := of.part(p.Parts[i])
		f.problems = append(f.problems, of.problems...)
		addresses[i] = address
		first, end = min(first, address), max(end, address+part.Words)
		r.Whole.Parts = append(r.Whole.Parts, part)
	}
	r.Address, r.Words, r.Whole.Words = first, end-first, end-first
	for i := range r.Whole.Parts {
		r.Whole.Parts[i].At = 2 * (addresses[i] - first)
	}
	if r.Kind == point.KindTime {
		f.timeParts()
	} else {
		f.weights()
	}
}

// part finds one part and its address.
func (f partFinder) part(p Part) (int, point.Part) {
	address := f.r.Address
	switch {
	case p.Register != nil && p.Offset != nil:
		f.bad("register", "register and offset together", "keep one of them")
	case p.Register != nil && f.p.Ref != "":
		f.bad("register", "a register beside ref", "ref has its own count: use offset, in registers from ref")
	case p.Register != nil && f.r.Models != nil:
		address = *p.Register
	case p.Register != nil:
		address = *p.Register - f.d.Base
	case p.Offset != nil:
		address += *p.Offset
	}
	as := Point{Type: p.Type, Order: p.Order, Bit: p.Bit, Bits: p.Bits, Byte: p.Byte, Invalid: p.Invalid}
	if p.Order == "" && len(f.p.Order) == 4 { // others suit one width
		as.Order = f.p.Order
	}
	n := &point.Field{Table: f.r.Table, Words: 1, Special: &point.Special{}}
	f.number(n, as, f.d)
	f.scaling(n, as)
	n.Invert = p.Invert
	n.Settle()
	if !(point.Type{Kind: n.Kind}).Integer() && n.Kind != point.KindBool {
		f.bad("type", "a part of type "+n.TypeName, "parts are integers, bits or bool")
	}
	part := point.Part{Field: n, Weight: 1, Add: int64(p.Add), Is: f.role(p)}
	if exponent := part.Is == point.Exponent || part.Is == point.Exponent2; exponent {
		f.exponent(p, &part)
	} else if p.Weight != nil && part.Is != point.Number {
		f.bad("weight", "a weight of a part that is "+p.Is, "remove weight")
	} else if p.Add != 0 && part.Is < point.Year {
		f.bad("add", "add of a part that is no part of a time and no exponent", "use the point's offset")
	}
	if p.Invert && part.Is != point.Sign {
		f.bad("invert", "invert of a part that is no sign", "remove invert")
	}
	return address, part
}

// exponent finds how often an exponent counts, -1 where it is a number of decimals.
func (f partFinder) exponent(p Part, part *point.Part) {
	if p.Weight == nil {
		return
	}
	n, ok := p.Weight.Times(0)
	if part.Weight = n; !ok || n == 0 || n < -10 || n > 10 {
		f.bad("weight", fmt.Sprintf("a weight of %v of an exponent", p.Weight),
			"use a whole number from -10 to 10, as -1 where the part is how many decimals the value has")
	}
}

// role finds what a part is of its value.
func (f partFinder) role(p Part) point.Role {
	name := cmp.Or(p.Is, "number")
	is, ok := point.Roles[name]
	switch {
	case !ok:
		f.bad("is", fmt.Sprintf("%q is nothing that a part can be", p.Is),
			suggest(p.Is, slices.Sorted(maps.Keys(point.Roles))))
	case (f.r.Kind == point.KindTime) != (is >= point.Year):
		f.bad("is", "a "+name+" as a part of a "+cmp.Or(f.p.Type, "number"),
			"times have year, month, day ..., numbers have number, sign, exponent, exponent2, factor and divisor")
	}
	return is
}

// timeParts checks that a time can be told from its parts.
func (f partFinder) timeParts() {
	var has [point.Invalid + 1]bool
	for i := range f.r.Whole.Parts {
		is := f.r.Whole.Parts[i].Is
		if has[is] {
			f.bad(fmt.Sprintf("parts/%d/is", i), "two parts are the same of a time", "keep one of them")
		}
		has[is] = true
	}
	counts := has[point.Seconds] || has[point.Milli] && !has[point.Second] && !has[point.Minute]
	dated := has[point.Year] && has[point.Month] && has[point.Day] && !has[point.Seconds]
	if !dated && (has[point.Year] || !counts) {
		f.bad("parts", "no time of these parts",
			"give year, month and day and what finer parts there are, or seconds since 1970")
	}
}

// weights finds how often the parts count: as whole numbers, the rest is scaling.
func (f partFinder) weights() {
	r, p := f.r, f.p
	lowest, numbers, whole := 0, 0, true
	for i := range p.Parts {
		is := r.Whole.Parts[i].Is
		if w := p.Parts[i].Weight; w != nil && is == point.Number {
			lowest = min(lowest, w.Exp)
		}
		if is == point.Number {
			numbers++
		}
		whole = whole && is < point.Exponent
	}
	if numbers == 0 {
		f.bad("parts", "no part is a number", "give at least one part without is")
	}
	for i := range p.Parts {
		if r.Whole.Parts[i].Is != point.Number {
			continue
		}
		w := p.Parts[i].Weight
		if w == nil {
			w = &bridge.Decimal{Coef: 1}
		}
		weight, ok := w.Times(-lowest)
		if !ok || weight == 0 {
			f.bad(fmt.Sprintf("parts/%d/weight", i), fmt.Sprintf("a weight of %v", w),
				"use a weight of at most 18 digits, not 0")
		}
		r.Whole.Parts[i].Weight = weight
	}
	r.Whole.Exp = lowest
	if lowest == 0 && whole {
		return
	}
	r.TypeName = "float64"
	for _, k := range []struct {
		key   string
		given bool
	}{{"enum", p.Enum != nil}, {"invalid", p.Invalid != nil}} {
		if k.given {
			f.bad(k.key, k.key+" of parts that make no whole number", "give the parts whole weights and the point a scale")
		}
	}
	if lowest != 0 && (p.ScalePoint != "" || p.Range != nil || p.Table != nil) {
		f.bad("parts", "weights with decimals beside another scaling", "give the parts whole weights")
	}
}
