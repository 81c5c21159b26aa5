package modbus

import (
	"slices"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

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
	at := b.Cut()
	if at == 0 {
		if b.part != nil {
			b.part.holes = append(b.part.holes, b.Fields[0].Own())
			j.settle(b)
		}
		return false
	}
	in := &inquiry{block: b}
	if b.part != nil {
		in = b.part.inquiry
		in.open--
	}
	left, right := &block{Block: b.Piece(b.Fields[:at])}, &block{Block: b.Piece(b.Fields[at:])}
	left.part = &part{inquiry: in, parent: b, other: right}
	right.part = &part{inquiry: in, parent: b, other: left}
	in.open += 2
	j.queue = slices.Insert(j.queue, 0, left, right)
	return true
}

// settle notes that a part of an inquiry was read, or can't be. What its parent
// was refused for is then known when both halves were read.
func (j *job) settle(b *block) {
	p := b.part
	p.open--
	if p.read {
		p.low = max(p.low, b.Count)
	}
	if p.gap != nil || !p.read || !p.other.part.read {
		return
	}
	left, right := b, p.other
	if right.First < left.First {
		left, right = right, left
	}
	between := point.Span{First: left.First + left.Count, End: right.First}
	if between.First >= between.End {
		// Nothing but its length tells it from its halves.
		p.tooLong(p.parent.Count)
		return
	}
	// Ask for the gap with a value on each side of it.
	first, last := left.Fields[len(left.Fields)-1].Reach().First, right.Fields[0].Reach().End
	question := &block{Block: plan.Block{Table: b.Table, First: first, Count: last - first}}
	if question.Count >= p.parent.Count {
		p.holes = append(p.holes, between) // it was asked already
		return
	}
	question.part = &part{inquiry: p.inquiry, parent: p.parent, gap: &between}
	p.open++
	j.queue = slices.Insert(j.queue, 0, question)
}

// through notes that a gap can be read: the block was refused for its length.
func (j *job) through(b *block) {
	b.part.tooLong(b.part.parent.Count)
	j.settle(b)
}

// tooLong notes that count was refused for its length. If a part was as long it
// was no matter of length, but a whim.
func (in *inquiry) tooLong(count int) {
	if count > in.low && (in.high == 0 || count < in.high) {
		in.high = count
	}
}
