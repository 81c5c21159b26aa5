package modbus

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/poll"
	"fieldbridge/southbound/modbus/wire"
)

// deviceSpec is a device, resolved.
type deviceSpec struct {
	poll.DeviceSpec
	config Device // what it was made of, but for the points: those are in Fields
}

// same reports whether s and t make the same device.
func (s deviceSpec) same(t deviceSpec) bool {
	return s.Bus == t.Bus && reflect.DeepEqual(s.config, t.config) &&
		slices.EqualFunc(s.Fields, t.Fields, (*point.Field).Equal)
}

// finder resolves points and notes what is wrong with them.
type finder struct {
	path     []string
	problems []setting.Problem
}

// bad notes a problem at a key below the finder's path; "" is the path itself.
func (f *finder) bad(key, text, fix string) {
	path := slices.Clone(f.path)
	if key != "" {
		path = append(path, strings.Split(key, "/")...)
	}
	f.problems = append(f.problems, setting.Problem{Path: path, Text: text, Fix: fix})
}

// on notes a problem with the key at the end of the path itself.
func (f *finder) on(text, fix string) {
	f.problems = append(f.problems, setting.Problem{Path: slices.Clone(f.path), OnKey: true, Text: text, Fix: fix})
}

// resolveFields returns the fields of d and what is wrong with them.
func resolveFields(d Device) ([]*point.Field, []setting.Problem) {
	var problems []setting.Problem
	var fields []*point.Field
	byName := make(map[string]*point.Field)
	keys := make(map[*point.Field]string) // of their points
	for _, key := range slices.Sorted(maps.Keys(d.Points)) {
		for _, c := range d.Points[key].copies(d) {
			f := finder{path: []string{"points", key}}
			point := f.point(key, c, d)
			if byName[point.Name] != nil && f.problems == nil {
				f.on(fmt.Sprintf("its copy is called %s, as another point is", point.Name), "rename one of them")
			}
			if f.problems != nil {
				problems = append(problems, f.problems...)
				break // the other copies have the same
			}
			fields = append(fields, point)
			byName[point.Name], keys[point] = point, key
		}
	}
	for _, point := range fields {
		if factor := d.Points[keys[point]].ScalePoint; factor != "" {
			f := finder{path: []string{"points", keys[point]}}
			f.factor(point, factor, byName, d)
			problems = append(problems, f.problems...)
		}
	}
	problems = append(problems, reports(fields, d.Points)...)
	slices.SortFunc(fields, func(a, b *point.Field) int {
		if a.Every != b.Every {
			return int(a.Every - b.Every)
		}
		if a.Table != b.Table {
			return int(a.Table) - int(b.Table)
		}
		if c := slices.Compare(a.Models, b.Models); c != 0 {
			return c
		}
		if a.Address != b.Address {
			return a.Address - b.Address
		}
		return strings.Compare(a.Name, b.Name)
	})
	return fields, problems
}

// point resolves one copy of the point at key.
func (f *finder) point(key string, c point.Copy, d Device) *point.Field {
	name, p := c.Of(key), d.Points[key]
	if !bridge.ValidPoint(name) {
		f.on(fmt.Sprintf("%q cannot name a point", name),
			"use [a-z][a-z0-9_]*, at most 64 bytes: "+bridge.PointName(name))
	}
	r := &point.Field{Name: name, Unit: p.Unit, Every: d.Every.D(), Special: &point.Special{}}
	defer r.Settle()
	if p.Every != nil {
		r.Every = p.Every.D()
		if r.Every < minEvery {
			f.bad("every", "an interval of "+p.Every.String(), "use at least 10ms")
		}
	}
	address := f.where(r, p, d)
	if address == "" {
		return r
	}
	f.repeated(r, p, c)
	f.decoding(r, p, d)
	f.scaling(r, p)
	r.Delivery = f.delivery(r, p, d)
	f.writable(r, p)
	if r.Address < 0 || r.End() > 1<<16 {
		f.bad(address, fmt.Sprintf("address %d to %d is beyond the table", r.Address, r.End()-1),
			"addresses are 0 to 65535 on the wire")
	}
	if most := d.MaxWords; !r.Table.Bits() && r.Words > most {
		f.bad("", fmt.Sprintf("%d registers do not fit in one request of max_words %d", r.Words, most),
			"raise max_words or shorten the point")
	}
	return r
}

// where finds the table and the address, and returns the key that gave them; ""
// if they are not known.
func (f *finder) where(r *point.Field, p Point, d Device) string {
	given := make([]string, 0, 2)
	for _, k := range []struct {
		key     string
		address *int
		table   wire.Table
	}{{"coil", p.Coil, wire.Coil}, {"discrete", p.Discrete, wire.Discrete}, {"input", p.Input, wire.Input},
		{"holding", p.Holding, wire.Holding}} {
		if k.address != nil {
			given = append(given, k.key)
			r.Table, r.Address = k.table, *k.address-d.Base
			if k.table == wire.Holding {
				f.models(r, p, d)
			}
			if r.Models != nil {
				r.Address = *k.address
			} else if r.Address < 0 && *k.address >= 0 {
				f.bad(k.key, "address 0 of a device whose addresses begin at 1",
					"base: 1 is subtracted from every address: remove it or count from 1")
				return ""
			}
		}
	}
	if p.Ref != "" {
		given = append(given, "ref")
		var err error
		if r.Table, r.Address, err = parseRef(string(p.Ref)); err != nil {
			f.bad("ref", err.Error(), "write the digits as the manual prints them")
			return ""
		}
	}
	if p.SunSpec != nil && p.Holding == nil && len(given) > 0 {
		f.bad("sunspec", "a SunSpec model beside "+given[0],
			"models are of holding registers: use holding, or remove sunspec")
	}
	switch len(given) {
	case 0:
		f.bad("", "no address", "give one of coil, discrete, input, holding (zero-based) or ref (as manuals count)")
		return ""
	case 1:
		return given[0]
	}
	f.bad(given[1], "a second address, beside "+given[0],
		"a point is in one table: keep one of "+strings.Join(given, ", "))
	return ""
}

// decoding finds the type, the order and what part of a register is meant.
func (f *finder) decoding(r *point.Field, p Point, d Device) {
	r.Words = 1
	if r.Table.Bits() {
		f.bitTable(r, p)
		return
	}
	name := p.Type
	if name == "" {
		name = "uint16"
		if p.Bit != nil {
			name = "bool"
		}
	}
	t, ok := point.Types[name]
	if !ok {
		f.bad("type", fmt.Sprintf("%q is not a type", p.Type), suggest(p.Type, slices.Sorted(maps.Keys(point.Types))))
		t, name = point.Types["uint16"], "uint16"
	}
	r.TypeName, r.Kind, r.Bits = name, t.Kind, uint8(t.Bits)
	o := f.order(p, d, t)
	r.Load = point.Loader(t.Bits, o)
	f.part(r, p, name)
	if t.Kind == point.KindString {
		r.Length = p.Length
		if p.Length < 1 || p.Length > 2*point.MaxWords {
			f.bad("length", "a string without its length", "give length in bytes, 1 to 250")
			r.Length = 2
		}
	} else if p.Length != 0 {
		f.bad("length", "a length for type "+name, "only strings have a length: add type: string or remove it")
	}
	r.Words = t.Words(r.Length)
}

// bitTable finds that a coil or discrete input is nothing but a bit.
func (f *finder) bitTable(r *point.Field, p Point) {
	r.TypeName, r.Kind, r.Load, r.Bits = "bool", point.KindBool, point.LoadBit, 1
	what := "a " + r.Table.String() + " is a single bit: "
	if p.Type != "" && p.Type != "bool" {
		f.bad("type", what+"it cannot be "+p.Type, "remove type, or read the register that has the number (input or holding)")
	}
	for _, k := range []struct {
		key   string
		given bool
	}{{"bit", p.Bit != nil}, {"bits", p.Bits != ""}, {"order", p.Order != ""}, {"byte", p.Byte != ""},
		{"length", p.Length != 0}} {
		if k.given {
			f.bad(k.key, what+"it has no "+k.key, "remove "+k.key+", or use input or holding")
		}
	}
}

func (f *finder) order(p Point, d Device, t point.Type) point.Order {
	name := strings.ToUpper(d.Order)
	if p.Order != "" {
		name = strings.ToUpper(p.Order)
	}
	o, ok := point.Orders[name]
	switch {
	case p.Order == "":
		return o // the device's was checked there
	case !ok:
		f.bad("order", fmt.Sprintf("%q is not an order", p.Order), "use ABCD, DCBA, BADC or CDAB")
	case len(name) == 2 && t.Bits > 16, len(name) == 8 && t.Bits != 64:
		f.bad("order", fmt.Sprintf("order %s does not suit %s", p.Order, typeName(p)),
			"four letters mean the same order at any width: use ABCD, DCBA, BADC or CDAB")
	}
	return o
}

func typeName(p Point) string {
	if p.Type == "" {
		return "uint16"
	}
	return p.Type
}

// part finds which bits of a register are meant.
func (f *finder) part(r *point.Field, p Point, name string) {
	switch {
	case p.Bit != nil:
		if *p.Bit < 0 || *p.Bit > 15 {
			f.bad("bit", fmt.Sprintf("bit %d of a register of 16", *p.Bit), "use 0 (least significant) to 15")
			return
		}
		if name != "bool" {
			f.bad("type", "one bit cannot be "+name, "remove type: a bit is bool; or use bits for a number")
		}
		if p.Bits != "" {
			f.bad("bits", "bit and bits together", "keep one of them")
		}
		r.Shift, r.Mask = uint8(*p.Bit), 1
	case p.Bits != "":
		first, last, ok := parseBits(p.Bits)
		if !ok {
			f.bad("bits", fmt.Sprintf("%q are not bits", p.Bits), `write the first and the last, from 0 to 15: "4-7"`)
			return
		}
		if name != "uint16" {
			f.bad("type", "some bits cannot be "+name, "remove type: bits are an unsigned number")
		}
		r.Shift, r.Mask = uint8(first), 1<<(last-first+1)-1
	case r.Bits == 8:
		r.Mask = 0xff
		switch p.Byte {
		case "", "low":
		case "high":
			r.Shift = 8
		default:
			f.bad("byte", fmt.Sprintf("%q is not a half of a register", p.Byte), "use low or high")
		}
		return
	}
	if p.Byte != "" {
		f.bad("byte", "a byte of type "+name, "byte is for int8 and uint8")
	}
}

func parseBits(s string) (first, last int, ok bool) {
	a, b, _ := strings.Cut(s, "-")
	first, err1 := strconv.Atoi(strings.TrimSpace(a))
	last, err2 := strconv.Atoi(strings.TrimSpace(b))
	if first > last {
		first, last = last, first
	}
	return first, last, err1 == nil && err2 == nil && first >= 0 && last <= 15
}

// suggest is the fix for a word that is not in a list.
func suggest(word string, known []string) string {
	return setting.Meant(word, known, "use one of "+strings.Join(known, ", "))
}
