package plan

import (
	"slices"

	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// inquiry is the search for why a block is refused: it is read in ever smaller
// parts, between the other requests, so that what can be read still arrives in
// the same cycle.
type inquiry struct {
	open  int // parts not yet read
	holes []point.Span
	high  int // the smallest run that was refused though its parts are not; 0 if none
	low   int // the longest part that was read
}

// Part is a request of an inquiry: a part of the block that was refused, or a
// question about what lies between two parts. One owner.
type Part struct {
	Block
	inquiry *inquiry
	parent  int         // registers or bits of what it is a part of
	other   *Part       // the other half
	read    bool        // it was read as it is
	gap     *point.Span // it only asks whether these can be read through
}

// Dissect begins an inquiry with the halves of a block that was refused; nil if
// it has none.
func (b *Block) Dissect() []*Part { return b.halves(&inquiry{}) }

// halves returns the halves of b as parts of in.
func (b *Block) halves(in *inquiry) []*Part {
	at := b.cut()
	if at == 0 {
		return nil
	}
	left := &Part{Block: b.piece(b.Fields[:at]), inquiry: in, parent: b.Count}
	right := &Part{Block: b.piece(b.Fields[at:]), inquiry: in, parent: b.Count, other: left}
	left.other = right
	in.open += 2
	return []*Part{left, right}
}

// Refused notes that p was refused, too. It returns what to ask next, and whether
// p's points are bad.
func (p *Part) Refused() (next []*Part, bad bool) {
	if p.gap != nil {
		p.inquiry.holes = append(p.inquiry.holes, *p.gap)
		return p.settle(), false
	}
	if next = p.halves(p.inquiry); next != nil {
		p.inquiry.open--
		return next, false
	}
	p.inquiry.holes = append(p.inquiry.holes, p.Fields[0].Own())
	return p.settle(), true
}

// Answered notes that p was read, and returns what to ask next.
func (p *Part) Answered() []*Part {
	p.read = true
	if p.gap != nil {
		p.inquiry.tooLong(p.parent) // its gap can be read: the block was refused for its length
	}
	return p.settle()
}

// settle notes that a part was read, or cannot be. What its parent was refused for
// is then known when both halves were read.
func (p *Part) settle() []*Part {
	in := p.inquiry
	in.open--
	if p.read {
		in.low = max(in.low, p.Count)
	}
	if p.gap != nil || !p.read || !p.other.read {
		return nil
	}
	left, right := p, p.other
	if right.First < left.First {
		left, right = right, left
	}
	between := point.Span{First: left.First + left.Count, End: right.First}
	if between.First >= between.End {
		// Nothing but its length tells it from its halves.
		in.tooLong(p.parent)
		return nil
	}
	// Ask for the gap with a value on each side of it.
	first, last := left.Fields[len(left.Fields)-1].Reach().First, right.Fields[0].Reach().End
	if last-first >= p.parent {
		in.holes = append(in.holes, between) // it was asked already
		return nil
	}
	in.open++
	return []*Part{{Block: Block{Table: p.Table, First: first, Count: last - first}, inquiry: in, parent: p.parent,
		gap: &between}}
}

// tooLong notes that count was refused for its length. If a part was as long it
// was no matter of length, but a whim.
func (in *inquiry) tooLong(count int) {
	if count > in.low && (in.high == 0 || count < in.high) {
		in.high = count
	}
}

// Done reports whether all parts of p's inquiry are.
func (p *Part) Done() bool { return p.inquiry.open == 0 }

// Proved reports whether any part of p's inquiry was read.
func (p *Part) Proved() bool { return p.inquiry.low > 0 }

// Conclude returns what is known when all parts of p's inquiry are done, and
// whether it counts: again is that the block was refused before, as one error
// proves nothing.
func (p *Part) Conclude(known Learnt, again bool) (Learnt, bool) {
	in := p.inquiry
	if in.open > 0 {
		return known, false
	}
	most := known.Bound(p.Table)
	if !again && (in.high == 0 || most.High == 0) {
		return known, false
	}
	if in.high != 0 && (most.High == 0 || in.high < most.High) {
		*most = Bound{Low: min(max(most.Low, in.low), in.high-1), High: in.high}
	}
	return known.WithHoles(p.Table, in.holes...), true
}

// WithHoles returns what is known when a device refuses these addresses, too.
func (l Learnt) WithHoles(t wire.Table, holes ...point.Span) Learnt {
	l.Holes = slices.Clone(l.Holes)
	for _, h := range holes {
		l.add(t, h)
	}
	return l
}

// Without returns what is known when a device allows a run of addresses after
// all.
func (l Learnt) Without(t wire.Table, s point.Span) Learnt {
	l.Holes = slices.DeleteFunc(slices.Clone(l.Holes), func(h Refused) bool {
		return h.Table == t && h.First < s.End && s.First < h.End
	})
	if b := l.Bound(t); b.High != 0 && s.End-s.First >= b.High {
		*b = Bound{}
	}
	return l
}
