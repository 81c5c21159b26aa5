package plan

import (
	"cmp"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
	"slices"
)

// Block is a run of registers or bits that is read in one request. Once made
// it is not changed.
type Block struct {
	Table  wire.Table
	First  int
	Count  int
	Fields []point.Placed
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
		most, may := within.Words, allowed.Words
		if f.Table.Bits() {
			most, may = within.Bits, allowed.Bits
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

// Alone returns the block of one point.
func Alone(f *point.Field) Block {
	r := f.Reach()
	b := Block{Table: f.Table, First: r.First, Count: r.End - r.First}
	b.take([]*point.Field{f})
	return b
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

// OfTable makes the cheapest blocks of fields of one table.
func OfTable(fields []*point.Field, l Limits, c Cost) []Block {
	fields = slices.Clone(fields)
	slices.SortStableFunc(fields, func(a, b *point.Field) int { return cmp.Compare(a.Reach().First, b.Reach().First) })
	items := make([]point.Span, len(fields))
	for i, f := range fields {
		items[i] = f.Reach()
	}
	var made []Block
	start := 0
	for _, end := range cover(fields[0].Table, items, l, c) {
		b := Block{Table: fields[0].Table, First: items[start].First}
		for _, s := range items[start:end] {
			b.Count = max(b.Count, s.End-b.First)
		}
		b.take(fields[start:end])
		made = append(made, b)
		start = end
	}
	return made
}

// take puts fields in b, each with its place in b's data.
func (b *Block) take(fields []*point.Field) {
	b.Fields = make([]point.Placed, 0, len(fields))
	for _, f := range fields {
		s := point.Placed{Field: f, At: b.place(f.Address)}
		if f.Factor != nil {
			s.FactorAt = b.place(f.Factor.Address)
		}
		b.Fields = append(b.Fields, s)
	}
	slices.SortStableFunc(b.Fields, func(x, y point.Placed) int { return cmp.Compare(x.Reach().First, y.Reach().First) })
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

// piece makes a block of some fields of b.
func (b *Block) piece(slots []point.Placed) Block {
	p := Block{Table: b.Table, First: slots[0].Reach().First}
	fields := make([]*point.Field, len(slots))
	for i, s := range slots {
		p.First = min(p.First, s.Reach().First)
		fields[i] = s.Field
	}
	for _, f := range fields {
		p.Count = max(p.Count, f.Reach().End-p.First)
	}
	p.take(fields)
	return p
}

// cut returns where to split b's fields: at one of its widest gaps, near the
// middle; 0 if it cannot be split.
func (b *Block) cut() int {
	best, widest := 0, 0
	end := 0
	gaps := make([]int, len(b.Fields))
	for i := range b.Fields {
		r := b.Fields[i].Reach()
		if i > 0 {
			gaps[i] = max(0, r.First-end)
			widest = max(widest, gaps[i])
		}
		end = max(end, r.End)
	}
	middle := b.First + b.Count/2
	distance := 1 << 17
	for i := 1; i < len(b.Fields); i++ {
		d := b.Fields[i].Reach().First - middle
		if d < 0 {
			d = -d
		}
		if 2*gaps[i] >= widest && d < distance {
			best, distance = i, d
		}
	}
	return best
}
