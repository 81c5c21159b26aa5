package setup

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
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// deviceSpec is a device, resolved.
type DeviceSpec struct {
	spec.Device
	Config Device // what it was made of, but for the points: those are in Fields
}

// same reports whether s and t make the same device.
func (s DeviceSpec) Same(t DeviceSpec) bool {
	return s.Bus == t.Bus && reflect.DeepEqual(s.Config, t.Config) && reflect.DeepEqual(s.Upkeep, t.Upkeep) &&
		slices.EqualFunc(s.Fields, t.Fields, (*point.Field).Equal) &&
		slices.EqualFunc(s.Others, t.Others, (*point.Field).Equal)
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
func Fields(d Device) ([]*point.Field, []setting.Problem) {
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
		if c := d.Points[keys[point]].Confirm; c != nil && c.Point != "" && point.Writable != nil {
			f := finder{path: []string{"points", keys[point]}}
			shownBy(&f, point, c.Point, byName, d)
			problems = append(problems, f.problems...)
		}
	}
	problems = append(problems, covered(fields, keys)...)
	problems = append(problems, reports(fields, d.Points)...)
	problems = append(problems, aggregates(fields, d.Points)...)
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
		if r.Every < MinEvery {
			f.bad("every", "an interval of "+p.Every.String(), "use at least 10ms")
		}
	}
	address := f.where(r, p, d)
	if address == "" {
		return r
	}
	f.repeated(r, p, c)
	f.decoding(r, p, d)
	f.sized(r, p)
	f.scaling(r, p)
	r.Delivery = f.delivery(r, p, d)
	r.Thin = f.thin(r, p, d)
	writable(f, r, p, d)
	if r.Address < 0 || r.End() > r.Table.End() {
		fix := fmt.Sprintf("addresses are 0 to %d on the wire", min(r.Table.End(), 1<<16)-1)
		if digit := map[string]int{"discrete": 1, "input": 3, "holding": 4}[address]; r.Address/100_000 == digit &&
			digit > 0 {
			fix += fmt.Sprintf("; if it is the manual's notation write ref: %d", r.Address+d.Base)
		}
		f.bad(address, fmt.Sprintf("address %d to %d is beyond the table", r.Address, r.End()-1), fix)
	}
	most := d.MaxWords
	switch r.Table {
	case wire.Record:
		most = min(most, wire.MaxRecordWords)
	case wire.FIFO:
		most = wire.MaxFIFO
	}
	if !r.Table.Bits() && r.Words > most {
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
		if r.Table, r.Address, err = wire.ParseRef(string(p.Ref)); err != nil {
			f.bad("ref", err.Error(), "write the digits as the manual prints them")
			return ""
		}
	}
	given = append(given, f.byFunction(r, p, d)...)
	if p.SunSpec != nil && p.Holding == nil && len(given) > 0 {
		f.bad("sunspec", "a SunSpec model beside "+given[0],
			"models are of holding registers: use holding, or remove sunspec")
	}
	switch len(given) {
	case 0:
		f.bad("", "no address", "give one of coil, discrete, input, holding (zero-based), ref (as manuals count), file, "+
			"fifo or object")
		return ""
	case 1:
		return given[0]
	}
	f.bad(given[1], "a second address, beside "+given[0],
		"a point is in one table: keep one of "+strings.Join(given, ", "))
	return ""
}

// byFunction finds where a point is that a function of its own reads, and returns
// the keys that say so.
func (f *finder) byFunction(r *point.Field, p Point, d Device) (given []string) {
	if p.File != nil {
		given = append(given, "file")
		record := 0
		if p.Record != nil {
			record = *p.Record
		}
		r.Table, r.Address = wire.Record, wire.RecordAddress(max(*p.File, 1), max(record, 0))
		if *p.File < 1 || *p.File > 0xffff || record < 0 || record > wire.MaxRecord {
			f.bad("file", fmt.Sprintf("record %d of file %d", record, *p.File), "files are 1 to 65535, records 0 to 9999")
		}
	} else if p.Record != nil {
		f.bad("record", "a record of no file", "add file, its number")
	}
	if p.FIFO != nil {
		given = append(given, "fifo")
		r.Table, r.Address = wire.FIFO, *p.FIFO-d.Base
	}
	if p.Object != nil {
		given = append(given, "object")
		r.Table, r.Address = wire.Identity, *p.Object
		if p.Type != "" && p.Type != "string" {
			f.bad("type", "an object of type "+p.Type, "objects are texts: remove type")
		}
	}
	return given
}

// sized finds how many registers a point is in whose registers have not two bytes.
func (f *finder) sized(r *point.Field, p Point) {
	if p.Bytes == 0 {
		return
	}
	total := 2 * r.Words
	if r.Kind == point.KindString {
		total = r.Length
	}
	if r.Bits == 8 {
		total = p.Bytes
	}
	switch {
	case r.Table != wire.Input && r.Table != wire.Holding || r.Models != nil:
		f.bad("bytes", "bytes of "+r.Table.String(),
			"registers are of a device's own size as input or holding only: remove bytes")
	case p.Parts != nil || r.Half != point.Both || p.ScalePoint != "":
		f.bad("bytes", "bytes beside parts, byte of a string or scale_point",
			"remove bytes, or give the point a type of its own")
	case p.Bytes < 1 || p.Bytes > 2*point.MaxWords || p.Bytes > 1 && p.Bytes%2 != 0:
		f.bad("bytes", fmt.Sprintf("a register of %d bytes", p.Bytes), "use 1, or an even number up to 250")
	case (p.Bytes == 1) != (r.Bits == 8) || total%p.Bytes != 0 && r.Kind != point.KindString:
		f.bad("bytes", fmt.Sprintf("a register of %d bytes for %s, which has %d", p.Bytes, r.TypeName, total),
			"use the type that has as many: uint8, uint32, uint64, datetime_cosem (12), string")
	default:
		if p.Bytes == 1 {
			r.Load = point.Load8
		}
		r.Size, r.Words = uint8(p.Bytes), (total+p.Bytes-1)/p.Bytes
	}
}

// decoding finds the type, the order and what part of a register is meant.
func (f *finder) decoding(r *point.Field, p Point, d Device) {
	r.Words = 1
	if r.Table.Bits() {
		f.bitTable(r, p)
		return
	}
	if r.Table == wire.Identity {
		f.object(r, p)
		return
	}
	if p.Parts != nil || p.Type == typeTime {
		partFinder{f, r, p, d}.parts()
		return
	}
	if clock, ok := point.Clocks[p.Type]; ok {
		partFinder{f, r, p, d}.clock(clock)
		return
	}
	f.number(r, p, d)
}

// object finds that an object is a text.
func (f *finder) object(r *point.Field, p Point) {
	partFinder{f, r, p, Device{}}.unparted()
	r.TypeName, r.Kind, r.Length = "string", point.KindString, wire.ObjectBytes
	if p.Order != "" || p.Parts != nil {
		f.bad("object", "order or parts of an object", "objects are texts: remove them")
	}
}

// number finds how registers are one number, or text.
func (f *finder) number(r *point.Field, p Point, d Device) {
	if p.Zone != "" {
		f.bad("zone", "a zone for type "+typeName(p), "only times have one: remove it")
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
		f.bad("type", fmt.Sprintf("%q is not a type", p.Type), suggestType(p.Type))
		t, name = point.Types["uint16"], "uint16"
	}
	r.TypeName, r.Kind, r.Bits = name, t.Kind, uint8(t.Bits)
	o := f.order(p, d, t)
	r.Load = point.Loader(t.Bits, o)
	f.part(r, p, t, name)
	if t.Kind == point.KindString {
		f.text(r, p)
	} else if p.Length != 0 {
		f.bad("length", "a length for type "+name, "only texts have a length: add type: string or remove it")
	}
	r.Words = t.Words(r.Length)
	if r.Half == point.High || r.Half == point.Low {
		r.Words = r.Length
	}
}

// text finds the length of a string and where its characters are.
func (f *finder) text(r *point.Field, p Point) {
	r.Length = p.Length
	most := 2 * point.MaxWords
	if p.Type == "utf16" {
		r.TypeName, r.Half = "string", point.All
		if p.Byte != "" || p.Length%2 != 0 {
			f.bad("type", "utf16 of half registers", "each character is a register: remove byte, and make length even")
		}
	}
	switch p.Byte {
	case "":
	case "high", "low":
		most = point.MaxWords
		r.Half = point.High
		if p.Byte == "low" {
			r.Half = point.Low
		}
	default:
		f.bad("byte", fmt.Sprintf("%q is not a half of a register", p.Byte), "use low or high")
	}
	if p.Length < 1 || p.Length > most {
		f.bad("length", "a string without its length", fmt.Sprintf("give length in bytes, 1 to %d", most))
		r.Length = 2
	}
}

// typeNames are all types that a point may have.
func typeNames() []string {
	return slices.Concat(slices.Sorted(maps.Keys(point.Types)), slices.Sorted(maps.Keys(point.Clocks)), []string{typeTime})
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
	o, ok := point.OrderOf(name)
	switch {
	case p.Order == "":
		return o // the device's was checked there
	case !ok:
		f.bad("order", fmt.Sprintf("%q is not an order", p.Order), orders(p.Order))
	case len(name) == 2 && t.Bits > 16, len(name) == 6 && t.Bits != 48, len(name) == 8 && t.Bits != 64:
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

// part finds which bits of the registers are meant.
func (f *finder) part(r *point.Field, p Point, t point.Type, name string) {
	width := 16 * t.Words(0)
	switch t.Bits {
	case 24:
		r.Mask = 1<<24 - 1
	case 8:
		r.Mask = 0xff
	}
	switch {
	case p.Bit != nil && p.Bits != "":
		f.bad("bits", "bit and bits together", "keep one of them")
	case p.Bit != nil:
		if t.Kind != point.KindBool && (t.Kind != point.KindUint && t.Kind != point.KindInt || width == 16) {
			f.bad("type", "one bit cannot be "+name, "remove type: a bit is bool; or use bits for a number")
		} else if *p.Bit < 0 || *p.Bit >= width {
			f.bad("bit", fmt.Sprintf("bit %d of %s", *p.Bit, widthText(width)), widthFix(width, "0 (least significant) to"))
		}
		r.Kind, r.TypeName = point.KindBool, "bool"
		r.Shift, r.Mask = uint8(*p.Bit), 1
	case p.Bits != "":
		first, last, ok := parseBits(p.Bits, width)
		switch {
		case t.Kind != point.KindUint && t.Kind != point.KindInt && t.Kind != point.KindBCD || t.Bits == 8:
			f.bad("type", "some bits cannot be "+name, "bits are of uint16, int16 (signed), bcd16 or a wider integer")
		case !ok:
			f.bad("bits", fmt.Sprintf("%q are not bits of %s", p.Bits, widthText(width)),
				widthFix(width, `the first and the last as "4-7", 0 to`))
		default:
			r.Shift, r.Mask, r.Bits = uint8(first), 1<<(last-first+1)-1, uint8(last-first+1)
		}
	case t.Bits == 8:
		switch p.Byte {
		case "", "low":
		case "high":
			r.Shift = 8
		default:
			f.bad("byte", fmt.Sprintf("%q is not a half of a register", p.Byte), "use low or high")
		}
		return
	}
	if p.Byte != "" && t.Kind != point.KindString {
		f.bad("byte", "a byte of type "+name, "byte is for int8, uint8, bcd8 and string")
	}
}

func widthText(width int) string {
	if width == 16 {
		return "a register of 16"
	}
	return fmt.Sprintf("%d registers of 16", width/16)
}

// widthFix says which bits there are, and how to come by more.
func widthFix(width int, which string) string {
	fix := fmt.Sprintf("use %s %d", which, width-1)
	if width == 16 {
		fix += ": one register has 16; for more add the type of several, as type: uint32"
	}
	return fix
}

func parseBits(s string, width int) (first, last int, ok bool) {
	a, b, _ := strings.Cut(s, "-")
	first, err1 := strconv.Atoi(strings.TrimSpace(a))
	last, err2 := strconv.Atoi(strings.TrimSpace(b))
	if first > last {
		first, last = last, first
	}
	return first, last, err1 == nil && err2 == nil && first >= 0 && last < width
}

// suggest is the fix for a word that is not in a list.
func suggest(word string, known []string) string {
	return setting.Meant(word, known, "use one of "+strings.Join(known, ", "))
}
