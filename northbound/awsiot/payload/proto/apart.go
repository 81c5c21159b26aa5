package proto

import (
	"cmp"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/order"
)

// cell is where a reading of a batch stands.
type cell struct {
	sheet   uint32
	bad     int // its reason and 1; 0 is good
	n       int // of the point, from 1
	reading int
}

func byPlace(a, b cell) int {
	return cmp.Or(cmp.Compare(a.sheet, b.sheet), cmp.Compare(a.bad, b.bad), cmp.Compare(a.n, b.n))
}

// apart adds a batch whose points are not simply the first ones of a sheet: some are
// absent or bad, of several sheets, in another order or without a number.
func (p *Packer) apart(e *bridge.Entry) {
	shelf := p.book.shelf(e.Device)
	p.cells = p.cells[:0]
	for i := range e.Readings {
		r := &e.Readings[i]
		c := cell{reading: i}
		c.sheet, c.n = p.place(shelf, e.Device, r)
		if !r.Value.Good() {
			c.bad = 1 + int(r.Value.Reason())
		}
		p.cells = append(p.cells, c)
	}
	if !slices.IsSortedFunc(p.cells, byPlace) {
		order.By(p.cells, byPlace)
	}
	if len(p.cells) == 0 { // the batch itself is to be told
		p.lists.reset()
		p.row(readingsRows, e, p.sheets.of(e.Device).number, nil)
	}
	for rest := p.cells; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].sheet == rest[0].sheet && rest[n].bad == rest[0].bad {
			n++
		}
		switch group := rest[:n]; {
		case rest[0].bad > 0:
			p.bad(e, group)
		case p.Blocks:
			p.inBlock(e, group)
		default:
			p.some(e, group)
		}
		rest = rest[n:]
	}
}

// some adds good readings of one sheet: as a row in which the others are absent, or by
// the numbers of the points, whichever is shorter.
func (p *Packer) some(e *bridge.Entry, group []cell) {
	points := p.points(group[0].sheet)
	numbers := p.numbersOf(group)
	gaps, next := 0, 1
	for _, c := range group {
		for ; next < c.n; next++ {
			gaps += absence(points[next-1].Kind)
		}
		next++
	}
	l := &p.lists
	l.reset()
	field := byte(readingsPicks)
	if gaps <= packedSize(len(numbers)) {
		field, numbers = readingsRows, nil
	}
	next = 1
	for _, c := range group {
		for ; field == readingsRows && next < c.n; next++ {
			l.absent(points[next-1].Kind)
		}
		next++
		p.put(l, &points[c.n-1], e.Readings[c.reading].Value)
	}
	p.row(field, e, group[0].sheet, numbers)
}

// appendNumbers appends the numbers of points: those that follow on one another from
// the fourth on as a 0 and how many they are.
func appendNumbers(b []byte, points []uint16) []byte {
	for i := 0; i < len(points); {
		run := 1
		for i+run < len(points) && points[i+run] == points[i]+uint16(run) {
			run++
		}
		b = appendVarint(b, uint64(points[i]))
		if run > 3 {
			b = appendVarint(append(b, 0), uint64(run-1))
			i += run
			continue
		}
		i++
	}
	return b
}

// following returns the numbers of points from n on as they are written.
func (p *Packer) following(n, count int) []byte {
	p.group = p.group[:0]
	for i := range count {
		p.group = append(p.group, uint16(n+i))
	}
	p.numbers = appendNumbers(p.numbers[:0], p.group)
	return p.numbers
}

// numbersOf returns the numbers of a group's points as they are written.
func (p *Packer) numbersOf(group []cell) []byte {
	p.group = p.group[:0]
	for _, c := range group {
		p.group = append(p.group, uint16(c.n))
	}
	p.numbers = appendNumbers(p.numbers[:0], p.group)
	return p.numbers
}

// bad adds readings of one sheet that are bad for one reason.
func (p *Packer) bad(e *bridge.Entry, group []cell) {
	why := e.Readings[group[0].reading].Value.Reason().String()
	numbers := p.numbersOf(group)
	at, seq, sheet := zigzag(int32(e.At.UnixMilli()-p.base.at)), e.Seq-p.base.seq, uint64(group[0].sheet)
	size := 3 + varintSize(at) + varintSize(seq) + varintSize(sheet) + textSize(why) + packedSize(len(numbers))
	b := appendVarint(append(p.rows, tag(readingsBads, wireBytes)), uint64(size))
	b = appendUintField(b, badAt, at)
	b = appendUintField(b, badSeq, seq)
	b = appendUintField(b, badSheet, sheet)
	b = appendText(b, badWhy, why)
	p.rows = appendBytesField(b, badPoints, numbers)
	p.json += rowJSON + len(why) + len(numbers)*jsonNumber
}
