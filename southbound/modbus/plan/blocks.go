package plan

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fieldbridge/order"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Block is a run of registers or bits that is read in one request. Once made
// it is not changed.
type Block struct {
	Table  wire.Table
	First  int
	Count  int
	Bytes  int // of the answer's data, where registers have not two each; else 0
	Fields []point.Placed
	heads  []*point.Head // of the models that its fields are in
}

// layout is how points of one interval are read.
type layout struct {
	Blocks  []Block
	Lost    []string       // points that the device refuses
	Refused []*point.Field // those of the lost that could be asked for alone
	Points  int            // that it has, the lost ones with them
}

// Lay makes the blocks for fields of one interval, sorted by table and address,
// within what the configuration allows. Points that cannot be read without
// touching what the device refuses are left out.
func (l Learnt) Lay(fields []*point.Field, allowed Limits, c Cost) layout {
	within := l.limits(allowed)
	placed, lost := l.Placed(fields)
	made := layout{Lost: lost, Points: len(placed) + len(lost)}
	var readable []*point.Field
	for _, f := range placed {
		f = within.nearby(f, c)
		most, may := within.Words, allowed.Words
		switch {
		case f.Table.Bits():
			most, may = within.Bits, allowed.Bits
		case f.Table > wire.Holding:
			most, may = f.Words, f.Words
		}
		if r := f.Reach(); within.hole(f.Table, r) || r.End-r.First > most {
			made.Lost = append(made.Lost, f.Name)
			if r.End-r.First <= may {
				made.Refused = append(made.Refused, f)
			}
		} else {
			readable = append(readable, f)
		}
	}
	made.Blocks = divide(readable, within, c)
	return made
}

// nearby returns f with the head of its model away where it may not be read by the
// same request, or costs more so.
func (l Limits) nearby(f *point.Field, c Cost) *point.Field {
	if f.Head == nil {
		return f
	}
	own, all := f.Extent(), f.Reach()
	between := own.First - all.First - point.HeadWords
	if all.End-all.First > l.Words || l.Gap >= 0 && between > l.Gap || l.hole(f.Table, all) ||
		time.Duration(between)*c.Word > c.Request {
		return f.Apart()
	}
	return f
}

// Heads returns the heads of the models that b's fields are in, where b's plan has
// them: all, or those that are not read with b.
func (b *Block) Heads(all bool) []*point.Head {
	if all || b.heads == nil {
		return b.heads
	}
	return slices.DeleteFunc(slices.Clone(b.heads), b.has)
}

// has reports whether a head is read with b.
func (b *Block) has(h *point.Head) bool {
	return b.First <= h.Address && h.Address+point.HeadWords <= b.First+b.Count
}

// Moved returns the first head in b that data, which b was read as, does not show;
// nil if all are where they were.
func (b *Block) Moved(data []byte) *point.Head {
	for _, h := range b.heads {
		if b.has(h) && !h.Shows(data[b.place(h.Address):]) {
			return h
		}
	}
	return nil
}

// Alone returns the block of one point.
func Alone(f *point.Field) Block { return Learnt{}.AloneWithin(f, Limits{}) }

// AloneWithin returns the block of one point on a device of which l is known,
// within what the configuration allows.
func (l Learnt) AloneWithin(f *point.Field, allowed Limits) Block {
	r := f.Reach()
	b := Block{Table: f.Table, First: r.First, Count: r.End - r.First}
	b.reach(l.limits(allowed))
	b.take([]*point.Field{f})
	return b
}

// reach makes b as long as requests must be.
func (b *Block) reach(l Limits) {
	s := l.round(b.Table, point.Span{First: b.First, End: b.First + b.Count})
	b.First, b.Count = s.First, s.End-s.First
}

// Models returns the SunSpec models that b's address counts in, nil where it is
// plain.
func (b *Block) Models() []int {
	if len(b.Fields) == 0 {
		return nil
	}
	return b.Fields[0].Models
}

func (b *Block) Names() []string {
	names := make([]string, len(b.Fields))
	for i := range b.Fields {
		names[i] = b.Fields[i].Name
	}
	return names
}

// divide makes blocks of fields of one interval, which are sorted by table and
// address.
func divide(fields []*point.Field, l Limits, c Cost) []Block {
	var all []Block
	for _, table := range Runs(fields,
		func(a, b *point.Field) bool { return a.Table == b.Table && slices.Equal(a.Models, b.Models) }) {
		all = append(all, OfTable(table, l, c)...)
	}
	return all
}

// OfTable makes the cheapest blocks of fields of one table. What the device
// answers only as a whole is a block of its own.
func OfTable(fields []*point.Field, l Limits, c Cost) (made []Block) {
	fields = slices.Clone(fields)
	for {
		i := slices.IndexFunc(fields, func(f *point.Field) bool { return f.Together != point.Span{} })
		if i < 0 {
			break
		}
		whole := fields[i].Reach()
		outside := func(f *point.Field) bool { r := f.Reach(); return r.First < whole.First || r.End > whole.End }
		b := Block{Table: fields[i].Table, First: whole.First, Count: whole.End - whole.First}
		b.take(slices.DeleteFunc(slices.Clone(fields), outside))
		made = append(made, b)
		fields = slices.DeleteFunc(fields, func(f *point.Field) bool { return !outside(f) })
		crosses := func(f *point.Field) bool { r := f.Reach(); return r.First < whole.End && whole.First < r.End }
		if !slices.ContainsFunc(fields, crosses) { // a request for others over it may be one that gets no answer
			l.holes = append(slices.Clip(l.holes), hole{b.Table, whole})
		}
	}
	if len(fields) == 0 {
		return made
	}
	slices.SortStableFunc(fields, func(a, b *point.Field) int { return cmp.Compare(a.Reach().First, b.Reach().First) })
	items := make([]point.Span, len(fields))
	for i, f := range fields {
		items[i] = f.Reach()
		if f.Size > 0 {
			l.Gap, l.Stepped = 0, nil // how long what lies between is, nobody knows
		}
	}
	start := 0
	for _, end := range cover(fields[0].Table, items, l, c) {
		b := Block{Table: fields[0].Table, First: items[start].First}
		for _, s := range items[start:end] {
			b.Count = max(b.Count, s.End-b.First)
		}
		b.reach(l)
		b.take(fields[start:end])
		made = append(made, b)
		start = end
	}
	return made
}

// take puts fields in b, each with its place in b's data.
func (b *Block) take(fields []*point.Field) {
	b.Fields = make([]point.Placed, 0, len(fields))
	place := b.place
	if slices.ContainsFunc(fields, func(f *point.Field) bool { return f.Size > 0 }) {
		place = b.sized(fields)
	}
	for _, f := range fields {
		s := point.Placed{Field: f, At: place(f.Address)}
		if f.Factor != nil {
			s.FactorAt = place(f.Factor.Address)
		}
		b.Fields = append(b.Fields, s)
		if f.Head != nil && !slices.Contains(b.heads, f.Head) {
			b.heads = append(b.heads, f.Head)
		}
	}
	order.Stably(b.Fields, func(x, y point.Placed) int { return cmp.Compare(x.Extent().First, y.Extent().First) })
}

// sized finds the bytes of b, whose registers are not all of two, and returns where
// an address is in its data. Each register of b is of some field.
func (b *Block) sized(fields []*point.Field) func(address int) int32 {
	at := make([]int32, b.Count+1)
	for i := range b.Count {
		size := int32(2)
		for _, f := range fields {
			if f.Size > 0 && f.Address <= b.First+i && b.First+i < f.End() {
				size = int32(f.Size)
			}
		}
		at[i+1] = at[i] + size
	}
	b.Bytes = int(at[b.Count])
	return func(address int) int32 { return at[address-b.First] }
}

// Ask returns the request for b.
func (b *Block) Ask() wire.Ask {
	return wire.Ask{Table: b.Table, First: b.First, Count: b.Count, Bytes: b.Bytes}
}

// place returns where an address is in b's data.
func (b *Block) place(address int) int32 {
	if b.Table.Bits() {
		return int32(address - b.First)
	}
	return int32(2 * (address - b.First))
}

// runs splits s where neighbours are not alike.
func Runs[T any](s []T, alike func(a, b T) bool) [][]T {
	var all [][]T
	start := 0
	for i := 1; i <= len(s); i++ {
		if i == len(s) || !alike(s[i-1], s[i]) {
			all = append(all, s[start:i])
			start = i
		}
	}
	return all
}

// piece makes a block of some fields of b, in steps or not. The heads of their
// models are away: a part is to tell of its own registers.
func (b *Block) piece(slots []point.Placed, stepped bool) Block {
	fields := make([]*point.Field, len(slots))
	p := Block{Table: b.Table, First: math.MaxInt}
	for i, s := range slots {
		fields[i] = s.Apart()
		p.First = min(p.First, fields[i].Reach().First)
	}
	for _, f := range fields {
		p.Count = max(p.Count, f.Reach().End-p.First)
	}
	if stepped {
		p.widen()
	}
	p.take(fields)
	return p
}

// Wider returns the request in steps for what b has, or b where that would be more
// than the configuration allows.
func (b Block) Wider(within Limits) Block {
	if b.Bytes > 0 || b.Table > wire.Holding {
		return b
	}
	wide, most := b, within.Words
	if b.Table.Bits() {
		most = within.Bits
	}
	if wide.widen(); wide.Count > most {
		return b
	}
	return wide
}

// widen makes b a request in steps.
func (b *Block) widen() {
	s := grow(b.Table, point.Span{First: b.First, End: b.First + b.Count},
		func(s point.Span) bool { return s.First >= 0 && s.End <= 1<<16 })
	b.First, b.Count = s.First, s.End-s.First
}

// cut returns where to split b's fields: at one of its widest gaps, near the
// middle; 0 if it cannot be split.
func (b *Block) cut() int {
	best, widest := 0, 0
	end := 0
	gaps := make([]int, len(b.Fields))
	for i := range b.Fields {
		r := b.Fields[i].Extent()
		if i > 0 {
			gaps[i] = max(0, r.First-end)
			widest = max(widest, gaps[i])
		}
		end = max(end, r.End)
	}
	middle := b.First + b.Count/2
	distance := 1 << 17
	for i := 1; i < len(b.Fields); i++ {
		d := b.Fields[i].Extent().First - middle
		if d < 0 {
			d = -d
		}
		if 2*gaps[i] >= widest && d < distance {
			best, distance = i, d
		}
	}
	return best
}
