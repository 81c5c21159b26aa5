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
	most    int // registers or bits in a request
	open    int // parts not yet read
	missed  int // parts that were refused
	holes   []Hole
	low     int  // the longest part that was read
	plain   bool // the device answers any length, or may
	stepped bool // it answers in steps only
	joined  bool // it answered for two values that lie beside each other
	pairs   []pair
}

// Hole is a run of addresses that is refused, and by what, for people: "" is that
// it is not there.
type Hole struct {
	point.Span
	Why string
}

// pair is a run that was refused though both its parts were read. Its length is
// the cause, or the place where the parts meet.
type pair struct {
	table wire.Table
	count int
	at    int    // the address where the parts meet
	why   reason // as far as was found out
}

type reason uint8

const (
	either reason = iota
	length
	seam
)

// Part is a request of an inquiry: a part of the block that was refused, or a
// question about what lies between two parts. One owner.
type Part struct {
	Block
	inquiry *inquiry
	parent  int         // registers or bits of what it is a part of
	other   *Part       // the other half; nil for a question
	whole   *Block      // that it is the wider form of
	read    bool        // it was read as it is
	gap     *point.Span // it only asks whether these can be read through; empty is a seam
}

// Dissect begins an inquiry of a block that was refused with what to ask first;
// nil if there is nothing. plain is that the device is known to answer requests of
// any length, within what the configuration allows.
func (b *Block) Dissect(plain bool, within Limits) []*Part {
	in := &inquiry{plain: plain, most: within.Words}
	if b.Table.Bits() {
		in.most = within.Bits
	}
	if next := b.wider(in); next != nil {
		return next
	}
	return b.halves(in)
}

// wider returns a request in steps for what b has, if that may be what the device
// wants.
func (b *Block) wider(in *inquiry) []*Part {
	if in.plain || b.Bytes > 0 || !Plain(b.Table, b.First, b.Count) {
		return nil
	}
	wide := b.piece(b.Fields, true)
	if wide.Count > in.most {
		return nil
	}
	in.open++
	return []*Part{{Block: wide, inquiry: in, parent: b.Count, whole: b}}
}

// halves returns the halves of b as parts of in.
func (b *Block) halves(in *inquiry) []*Part {
	at := b.cut()
	if at == 0 {
		return nil
	}
	left := &Part{Block: b.piece(b.Fields[:at], in.stepped), inquiry: in, parent: b.Count}
	right := &Part{Block: b.piece(b.Fields[at:], in.stepped), inquiry: in, parent: b.Count, other: left}
	left.other = right
	in.open += 2
	return []*Part{left, right}
}

// Refused notes that p was refused, too, and by what; see [Hole]. It returns what to
// ask next, and whether p's points are bad.
func (p *Part) Refused(why string) (next []*Part, bad bool) {
	in := p.inquiry
	in.missed++
	of := &p.Block
	switch {
	case p.gap != nil && p.gap.First == p.gap.End:
		in.pairs = append(in.pairs, pair{p.Table, p.parent, p.gap.First, seam})
		return p.settle(), false
	case p.gap != nil:
		in.holes = append(in.holes, Hole{*p.gap, why})
		return p.settle(), false
	case p.whole != nil:
		of = p.whole
	default:
		if next = p.wider(in); next != nil {
			next[0].other, next[0].parent = p.other, p.parent
			if p.other != nil {
				p.other.other = next[0]
			}
			in.open--
			return next, false
		}
	}
	if next = of.halves(in); next != nil {
		in.open--
		return next, false
	}
	in.holes = append(in.holes, Hole{p.Fields[0].Own(), why})
	return p.settle(), true
}

// Answered notes that p was read, and returns what to ask next.
func (p *Part) Answered() []*Part {
	in := p.inquiry
	p.read = true
	switch {
	case p.gap != nil:
		in.joined = true
		in.pairs = append(in.pairs, pair{p.Table, p.parent, p.gap.First, length})
	case p.whole != nil:
		in.stepped = true
	case Plain(p.Table, p.First, p.Count):
		in.plain = true
	}
	in.joined = in.joined || p.gap == nil && len(p.Fields) > 1
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
	if p.gap != nil || p.other == nil || !p.read || !p.other.read || p.Bytes+p.other.Bytes > 0 {
		return nil
	}
	left, right := p, p.other
	if right.Fields[0].Extent().First < left.Fields[0].Extent().First {
		left, right = right, left
	}
	// Ask for what lies between with a value on each side of it.
	a, z := left.Fields[len(left.Fields)-1].Extent(), right.Fields[0].Extent()
	between := point.Span{First: a.End, End: z.First}
	question := Block{Table: p.Table, First: a.First, Count: z.End - a.First}
	if in.stepped {
		question.widen()
	}
	switch {
	case between.First > between.End: // they share registers, so it was no matter of these
		return nil
	case question.Count < p.parent:
		in.open++
		return []*Part{{Block: question, inquiry: in, parent: p.parent, gap: &between}}
	case between.First < between.End:
		in.holes = append(in.holes, Hole{Span: between}) // it was asked already
	case !in.stepped || !Plain(p.Table, question.First, p.parent):
		in.pairs = append(in.pairs, pair{p.Table, p.parent, between.First, either})
	}
	return nil
}

// Done reports whether all parts of p's inquiry are.
func (p *Part) Done() bool { return p.inquiry.open == 0 }

// Missed returns how many parts of p's inquiry were refused so far.
func (p *Part) Missed() int { return p.inquiry.missed }

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
	high, seams := in.causes()
	most := known.Bound(p.Table)
	if !again && (high == 0 || most.High == 0) {
		return known, false
	}
	if high != 0 && (most.High == 0 || high < most.High) {
		*most = Bound{Low: min(max(most.Low, in.low), high-1), High: high}
	}
	known = known.WithHoles(p.Table, in.holes...)
	if in.stepped && !in.plain && !slices.Contains(known.Stepped, p.Table) {
		known.Stepped = append(slices.Clone(known.Stepped), p.Table)
	}
	if len(seams) >= manySeams && !in.joined {
		if !slices.Contains(known.Alone, p.Table) {
			known.Alone = append(slices.Clone(known.Alone), p.Table)
		}
		return known, true
	}
	known.Seams = slices.Clone(known.Seams)
	for _, s := range seams {
		if !slices.Contains(known.Seams, s) {
			known.Seams = append(known.Seams, s)
		}
	}
	return known, true
}

// manySeams is how many places between values must be seams, and none may be
// none, before a device is known to answer for one value only.
const manySeams = 3

// causes returns the smallest run that was refused for its length, 0 if there is
// none, and the seams. A run that is no longer than one that was read was not
// refused for its length.
func (in *inquiry) causes() (high int, seams []Seam) {
	for _, p := range in.pairs {
		switch {
		case in.stepped && p.why != seam && !in.plain:
			continue // it was no step, or is looked at again when it is
		case p.why == seam, p.why == either && p.count <= in.low:
			seams = append(seams, Seam{p.table, p.at})
		case p.count > in.low && (high == 0 || p.count < high):
			high = p.count
		}
	}
	return high, seams
}

// WithHoles returns what is known when a device refuses these addresses, too.
func (l Learnt) WithHoles(t wire.Table, holes ...Hole) Learnt {
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
