package modbus

import (
	"slices"
	"time"

	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// learnt is what a device was found not to allow. It is kept over restarts and
// tried again after [forgetAfter].
type learnt struct {
	Words bound     `json:"words,omitzero"` // registers in one request
	Bits  bound     `json:"bits,omitzero"`
	Holes []refused `json:"holes,omitempty"`
	// Models is the list of a SunSpec device, by address; nil is not known.
	Models []SunSpecModel `json:"models,omitempty"`
	// Trip is the round trip to the device over a network, in steps; see trip. It
	// has no age.
	Trip time.Duration `json:"trip,omitempty"`
	At   time.Time     `json:"at"` // of the last of the other facts
}

// bound is the most that a device takes: Low is proved, High is refused. High 0
// is that nothing was refused.
type bound struct {
	Low  int `json:"low"`
	High int `json:"high"`
}

// refused is a run of addresses that no request may touch.
type refused struct {
	Table wire.Table `json:"table"`
	First int        `json:"first"`
	End   int        `json:"end"`
}

// forgetAfter is how long a device is taken at its word.
const forgetAfter = 24 * time.Hour

// most is what to ask for: in the middle of what is not known yet.
func (b bound) most(limit int) int {
	if b.High == 0 {
		return limit
	}
	return min(limit, max(1, (b.Low+b.High)/2))
}

// known reports whether anything was learnt.
func (l learnt) known() bool { return l.Words.High != 0 || l.Bits.High != 0 || len(l.Holes) > 0 }

// bound returns the bound for a table.
func (l *learnt) bound(t wire.Table) *bound {
	if t.Bits() {
		return &l.Bits
	}
	return &l.Words
}

// limits returns what requests may ask for, of what the configuration allows.
func (l learnt) limits(of limits) limits {
	of.words, of.bits = l.Words.most(of.words), l.Bits.most(of.bits)
	for _, h := range l.Holes {
		of.holes = append(of.holes, hole{h.Table, point.Span{First: h.First, End: h.End}})
	}
	return of
}

// add notes a hole, and reports whether it is news.
func (l *learnt) add(t wire.Table, s point.Span) bool {
	h := refused{t, s.First, s.End}
	if slices.Contains(l.Holes, h) {
		return false
	}
	l.Holes = append(l.Holes, h)
	return true
}

// inquiry is the search for why a block is refused: it is read in ever smaller
// parts, between the other requests, so that what can be read still arrives in
// the same cycle.
type inquiry struct {
	block *block // the one that was refused
	open  int    // parts not yet read
	holes []point.Span
	high  int // the smallest run that was refused though its parts are not; 0 is none
	low   int // the longest part that was read
}

// part is a place of a block in an inquiry.
type part struct {
	*inquiry
	parent *block      // nil for the halves of the whole
	other  *block      // the other half
	read   bool        // it was read as it is
	gap    *point.Span // it only asks whether these can be read through
}

// refusal reports whether an exception means that a request asks for what is not
// there, or for too much: then its parts may be well.
func refusal(code byte) bool { return code == 2 || code == 3 }

// dissect replaces a refused block by its halves, and reports false if it can't:
// then what it has is bad.
func (j *job) dissect(b *block) bool {
	if b.part != nil && b.part.gap != nil {
		b.part.holes = append(b.part.holes, *b.part.gap)
		j.settle(b)
		return true
	}
	at := b.cut()
	if at == 0 {
		if b.part != nil {
			b.part.holes = append(b.part.holes, b.fields[0].Own())
			j.settle(b)
		}
		return false
	}
	in := &inquiry{block: b}
	if b.part != nil {
		in = b.part.inquiry
		in.open--
	}
	left, right := b.piece(b.fields[:at]), b.piece(b.fields[at:])
	left.part = &part{inquiry: in, parent: b, other: right}
	right.part = &part{inquiry: in, parent: b, other: left}
	in.open += 2
	j.queue = slices.Insert(j.queue, 0, left, right)
	return true
}

// piece makes a block of some fields of b.
func (b *block) piece(slots []point.Placed) *block {
	p := &block{table: b.table, first: slots[0].Reach().First}
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
func (b *block) cut() int {
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

// settle notes that a part of an inquiry was read, or can't be. What its parent
// was refused for is then known when both halves were read.
func (j *job) settle(b *block) {
	p := b.part
	p.open--
	if p.read {
		p.low = max(p.low, b.count)
	}
	if p.gap != nil || !p.read || !p.other.part.read {
		return
	}
	left, right := b, p.other
	if right.first < left.first {
		left, right = right, left
	}
	between := point.Span{First: left.first + left.count, End: right.first}
	if between.First >= between.End {
		// Nothing but its length tells it from its halves.
		p.tooLong(p.parent.count)
		return
	}
	// Ask for the gap with a value on each side of it.
	first, last := left.fields[len(left.fields)-1].Reach().First, right.fields[0].Reach().End
	question := &block{table: b.table, first: first, count: last - first}
	if question.count >= p.parent.count {
		p.holes = append(p.holes, between) // it was asked already
		return
	}
	question.part = &part{inquiry: p.inquiry, parent: p.parent, gap: &between}
	p.open++
	j.queue = slices.Insert(j.queue, 0, question)
}

// through notes that a gap can be read: the block was refused for its length.
func (j *job) through(b *block) {
	b.part.tooLong(b.part.parent.count)
	j.settle(b)
}

// tooLong notes that count was refused for its length. If a part was as long it
// was no matter of length, but a whim.
func (in *inquiry) tooLong(count int) {
	if count > in.low && (in.high == 0 || count < in.high) {
		in.high = count
	}
}
