package modbus

import (
	"cmp"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
	"slices"
)

// planned is a run of registers or bits that is read in one request. Once made
// it is not changed.
type planned struct {
	table  wire.Table
	first  int
	count  int
	fields []point.Placed
}

// layout is how points of one interval are read.
type layout struct {
	blocks []planned
	lost   []string // points that the device refuses
	points int      // that it has, the lost ones with them
}

// lay makes the blocks for fields of one interval, sorted by table and address,
// within what the configuration allows. Points that can't be read without
// touching what the device refuses are left out.
func (l learnt) lay(fields []*point.Field, allowed limits, c cost) layout {
	within := l.limits(allowed)
	placed, lost := l.placed(fields)
	made := layout{lost: lost, points: len(placed) + len(lost)}
	var readable []*point.Field
	for _, f := range placed {
		most := within.words
		if f.Table.Bits() {
			most = within.bits
		}
		if r := f.Reach(); within.hole(f.Table, r) || r.End-r.First > most {
			made.lost = append(made.lost, f.Name)
		} else {
			readable = append(readable, f)
		}
	}
	made.blocks = divide(readable, within, c)
	return made
}

// models returns the SunSpec models that b's address counts in, nil where it is
// plain.
func (b *planned) models() []int {
	if len(b.fields) == 0 {
		return nil
	}
	return b.fields[0].Models
}

func (b *planned) names() []string {
	names := make([]string, len(b.fields))
	for i := range b.fields {
		names[i] = b.fields[i].Name
	}
	return names
}

// divide makes blocks of fields of one interval, which are sorted by table and
// address.
func divide(fields []*point.Field, l limits, c cost) []planned {
	var all []planned
	for _, table := range runs(fields, func(a, b *point.Field) bool { return a.Table == b.Table && slices.Equal(a.Models, b.Models) }) {
		all = append(all, blocks(table, l, c)...)
	}
	return all
}

// blocks makes the cheapest blocks of fields of one table.
func blocks(fields []*point.Field, l limits, c cost) []planned {
	fields = slices.Clone(fields)
	slices.SortStableFunc(fields, func(a, b *point.Field) int { return cmp.Compare(a.Reach().First, b.Reach().First) })
	items := make([]point.Span, len(fields))
	for i, f := range fields {
		items[i] = f.Reach()
	}
	var made []planned
	start := 0
	for _, end := range cover(fields[0].Table, items, l, c) {
		b := planned{table: fields[0].Table, first: items[start].First}
		for _, s := range items[start:end] {
			b.count = max(b.count, s.End-b.first)
		}
		b.take(fields[start:end])
		made = append(made, b)
		start = end
	}
	return made
}

// take puts fields in b, each with its place in b's data.
func (b *planned) take(fields []*point.Field) {
	b.fields = make([]point.Placed, 0, len(fields))
	for _, f := range fields {
		s := point.Placed{Field: f, At: b.place(f.Address)}
		if f.Factor != nil {
			s.FactorAt = b.place(f.Factor.Address)
		}
		b.fields = append(b.fields, s)
	}
	slices.SortStableFunc(b.fields, func(x, y point.Placed) int { return cmp.Compare(x.Reach().First, y.Reach().First) })
}

// place returns where an address is in b's data.
func (b *planned) place(address int) int32 {
	if b.table.Bits() {
		return int32(address - b.first)
	}
	return int32(2 * (address - b.first))
}

// runs splits s where neighbours are not alike.
func runs[T any](s []T, alike func(a, b T) bool) [][]T {
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
func (b *planned) piece(slots []point.Placed) planned {
	p := planned{table: b.table, first: slots[0].Reach().First}
	fields := make([]*point.Field, len(slots))
	for i, s := range slots {
		p.first = min(p.first, s.Reach().First)
		fields[i] = s.Field
	}
	for _, f := range fields {
		p.count = max(p.count, f.Reach().End-p.first)
	}
	p.take(fields)
	return p
}

// cut returns where to split b's fields: at one of its widest gaps, near the
// middle; 0 if it can't be split.
func (b *planned) cut() int {
	best, widest := 0, 0
	end := 0
	gaps := make([]int, len(b.fields))
	for i := range b.fields {
		r := b.fields[i].Reach()
		if i > 0 {
			gaps[i] = max(0, r.First-end)
			widest = max(widest, gaps[i])
		}
		end = max(end, r.End)
	}
	middle := b.first + b.count/2
	distance := 1 << 17
	for i := 1; i < len(b.fields); i++ {
		d := b.fields[i].Reach().First - middle
		if d < 0 {
			d = -d
		}
		if 2*gaps[i] >= widest && d < distance {
			best, distance = i, d
		}
	}
	return best
}
