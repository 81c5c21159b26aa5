package proto

import (
	"math"

	"fieldbridge/bridge"
)

// The fields of the messages: readings.proto says what they mean.
const (
	readingsV        = 1
	readingsGateway  = 2
	readingsRun      = 3
	readingsAt       = 4
	readingsSeq      = 5
	readingsBook     = 6
	readingsBacklog  = 7
	readingsUnsynced = 8
	readingsLabels   = 9
	readingsSheets   = 10
	readingsTexts    = 11
	readingsRows     = 12
	readingsPicks    = 13
	readingsBads     = 14
	readingsBlocks   = 15

	sheetNumber = 1
	sheetDevice = 2
	sheetNames  = 3
	sheetLists  = 4
	sheetPlaces = 5

	rowAt      = 1
	rowSeq     = 2
	rowSheet   = 3
	rowPoints  = 4
	rowUints   = 5
	rowInts    = 6
	rowFloats  = 7
	rowDoubles = 8
	rowOn      = 9
	rowOff     = 10
	rowTexts   = 11

	badAt     = 1
	badSeq    = 2
	badSheet  = 3
	badWhy    = 4
	badPoints = 5

	blockSheet   = 1
	blockAt      = 2
	blockSeq     = 3
	blockPoints  = 4
	blockUints   = 5
	blockInts    = 6
	blockFloats  = 7
	blockDoubles = 8
	blockOn      = 9
	blockTexts   = 10
)

// Version is what v says.
const Version = 1

// Head is what a message says of all its readings.
type Head struct {
	Gateway string
	Labels  []Label // sorted by name
}

// Label is one of a gateway's.
type Label struct{ Name, Value string }

// LongestBase is the most that [Packer.Begin] adds to a head that is the same for all
// batches: run, of 16 bytes, at, seq, book, backlog and unsynced, with their tags.
const LongestBase = 18 + 9 + 9 + 5 + 2 + 2

// Append appends the fields of a head that do not change from message to message.
func (h *Head) Append(b []byte) []byte {
	b = appendUintField(b, readingsV, Version)
	b = appendText(b, readingsGateway, clean(h.Gateway))
	for _, l := range h.Labels {
		name, value := clean(l.Name), clean(l.Value)
		b = appendVarint(append(b, tag(readingsLabels, wireBytes)), uint64(2+lengthSize(len(name))+lengthSize(len(value))))
		b = appendText(appendText(b, 1, name), 2, value)
	}
	return b
}

// Packer packs one message after another. It is not safe for concurrent use.
type Packer struct {
	Blocks bool // columns of differences instead of rows

	head  []byte
	book  *Book // nil has no numbers
	base  base
	limit int // bytes
	json  int // bytes of rows, picks and bads as JSON, at most

	mostJSON int

	rows    []byte // rows, picks and bads, as they stand in the message
	texts   dictionary
	sheets  sheets
	blocks  blocks
	lists   lists
	cells   []cell
	group   []uint16
	numbers []byte // of points
}

// base is what the first batch says of the message.
type base struct {
	run      string
	at       int64 // epoch milliseconds
	seq      uint64
	backlog  bool
	unsynced bool
}

// mostJSON is how long a message may be as JSON: AWS takes 128 KiB of decode(),
// less what its form of JSON may have more than ours.
const mostJSON = 120 << 10

// Begin begins a message after head, which [Head.Append] made, with the first entry. The
// message has no more than most bytes with the first entry, and no more than limit with
// others. It reports false if the first does not fit.
func (p *Packer) Begin(head []byte, book *Book, first *bridge.Entry, limit, most int) bool {
	p.reset(book, base{first.Run, first.At.UnixMilli(), first.Seq, first.Backlog, first.Unsynced})
	p.head = p.appendBase(append(p.head[:0], head...))
	p.limit, p.mostJSON = most-len(p.head), math.MaxInt // one that nobody decodes is better than none
	ok := p.Add(first)
	p.limit, p.mostJSON = limit-len(p.head), mostJSON
	return ok
}

// Append appends the message to b.
func (p *Packer) Append(b []byte) []byte {
	b = p.sheets.append(append(b, p.head...))
	b = p.texts.append(b)
	b = append(b, p.rows...)
	return p.blocks.append(b)
}

// reaches reports whether what the message's base makes of e fits its fields.
func (p *Packer) reaches(e *bridge.Entry) bool {
	at := e.At.UnixMilli() - p.base.at
	return at <= math.MaxInt32 && at >= math.MinInt32 && e.Seq >= p.base.seq && e.Seq-p.base.seq <= math.MaxUint32 &&
		e.Seq <= maxExact
}

func (p *Packer) reset(book *Book, b base) {
	p.book, p.base, p.json = book, b, 0
	p.rows = p.rows[:0]
	p.texts.reset()
	p.sheets.reset()
	p.blocks.reset()
}

// appendBase appends what the first batch says, and the book.
func (p *Packer) appendBase(b []byte) []byte {
	b = appendText(b, readingsRun, clean(p.base.run))
	b = appendDouble(append(b, tag(readingsAt, wire64)), float64(p.base.at))
	b = appendDouble(append(b, tag(readingsSeq, wire64)), float64(p.base.seq))
	if h := p.book.Hash(); h != 0 {
		b = append(b, tag(readingsBook, wire32), byte(h), byte(h>>8), byte(h>>16), byte(h>>24))
	}
	if p.base.backlog {
		b = appendUintField(b, readingsBacklog, 1)
	}
	if p.base.unsynced {
		b = appendUintField(b, readingsUnsynced, 1)
	}
	return b
}

// size returns the bytes of the message but for its head.
func (p *Packer) size() int { return len(p.rows) + p.texts.size + p.sheets.size + p.blocks.size }

// asJSON returns the most that it takes as JSON, but for its head.
func (p *Packer) asJSON() int { return p.json + p.texts.json + p.sheets.json + p.blocks.json }

// fits reports whether the message is within its limits.
func (p *Packer) fits() bool {
	return p.size() <= p.limit && p.asJSON() <= p.mostJSON
}

// Add adds a batch, unless it does not fit. It is of the run, the lane, the state of the
// clock and the origin of the first.
func (p *Packer) Add(e *bridge.Entry) bool {
	if !p.reaches(e) {
		return false
	}
	rows, json := len(p.rows), p.json
	p.texts.mark()
	p.sheets.mark()
	p.blocks.mark()
	if !p.whole(e) {
		p.apart(e)
	}
	if p.fits() {
		return true
	}
	p.rows, p.json = p.rows[:rows], json
	p.texts.rollback()
	p.sheets.rollback()
	p.blocks.rollback()
	return false
}

// whole adds a batch whose points follow on one another in a sheet, as those of nearly
// all do. It reports whether e is one.
func (p *Packer) whole(e *bridge.Entry) bool {
	if len(e.Readings) == 0 {
		return false
	}
	shelf := p.book.shelf(e.Device)
	spot, ok := shelf.points[e.Readings[0].Point]
	if !ok {
		return false
	}
	s := shelf.sheets[spot.sheet]
	points := s.Points[spot.n-1:]
	if len(points) < len(e.Readings) {
		return false
	}
	if p.Blocks {
		return p.wholeInBlock(s.Number, points, spot.n, e)
	}
	texts := len(p.texts.all)
	l := &p.lists
	l.reset()
	for i := range e.Readings {
		r := &e.Readings[i]
		if r.Point != points[i].Name || !p.put(l, &points[i], r.Value) {
			p.texts.cut(texts)
			return false
		}
	}
	if spot.n == 1 {
		p.row(readingsRows, e, s.Number, nil)
	} else {
		p.row(readingsPicks, e, s.Number, p.following(spot.n, len(e.Readings)))
	}
	return true
}

// row writes p.lists as a row.
func (p *Packer) row(field byte, e *bridge.Entry, sheet uint32, points []byte) {
	l := &p.lists
	at, seq := zigzag(int32(e.At.UnixMilli()-p.base.at)), e.Seq-p.base.seq
	on, off := l.packed()
	size := 3 + varintSize(at) + varintSize(seq) + varintSize(uint64(sheet)) + packedSize(len(points)) +
		packedSize(len(l.uints)) + packedSize(len(l.ints)) + packedSize(len(l.floats)) + packedSize(len(l.doubles)) +
		packedSize(len(on)) + packedSize(len(off)) + packedSize(len(l.texts))
	b := appendVarint(append(p.rows, tag(field, wireBytes)), uint64(size))
	b = appendUintField(b, rowAt, at)
	b = appendUintField(b, rowSeq, seq)
	b = appendUintField(b, rowSheet, uint64(sheet))
	b = appendBytesField(b, rowPoints, points)
	b = appendBytesField(b, rowUints, l.uints)
	b = appendBytesField(b, rowInts, l.ints)
	b = appendBytesField(b, rowFloats, l.floats)
	b = appendBytesField(b, rowDoubles, l.doubles)
	b = appendBytesField(b, rowOn, on)
	b = appendBytesField(b, rowOff, off)
	p.rows = appendBytesField(b, rowTexts, l.texts)
	p.json += rowJSON + l.json() + len(points)*jsonNumber
}
