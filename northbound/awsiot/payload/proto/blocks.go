package proto

import (
	"math"
	"slices"

	"fieldbridge/bridge"
)

// blocks are the batches of a message in columns: those that have the same points of
// a sheet share a block. Their memory is used again for the next message.
type blocks struct {
	all    []*block // used ones are all[:used]
	used   int
	latest map[uint32]*block // the last block of each sheet
	size   int
	json   int
	marked struct{ used, size, json int }
	undo   []*block // blocks that the last batch is in
	body   []byte   // of one block, as it is written
}

// block is batches with the same points of a sheet.
type block struct {
	sheet   uint32
	before  *block // the sheet's block before this one
	points  []uint16
	at, seq []byte
	last    [2]uint32 // at and seq
	batches int
	columns []column // used ones are columns[:len(points)]
	head    int      // bytes of sheet and points
	bytes   [256]int // of a list, by its kind; of Bool the bits of a batch
	size    int      // of all, as it stands in the message
	marked  struct {
		at, seq, size int
		last          [2]uint32
	}
}

// column is one point of a block.
type column struct {
	kind   Kind
	places uint8
	values []byte
	last   uint32
	marked struct {
		values int
		last   uint32
	}
}

func (b *blocks) reset() {
	b.used, b.size, b.json = 0, 0, 0
	clear(b.latest)
	b.undo = b.undo[:0]
}

func (b *blocks) mark() {
	b.marked.used, b.marked.size, b.marked.json = b.used, b.size, b.json
	b.undo = b.undo[:0]
}

// rollback takes the last batch out.
func (b *blocks) rollback() {
	for i := len(b.undo) - 1; i >= 0; i-- {
		block := b.undo[i]
		if block.batches--; block.batches == 0 {
			b.latest[block.sheet] = block.before
			continue
		}
		block.at, block.seq, block.last = block.at[:block.marked.at], block.seq[:block.marked.seq], block.marked.last
		block.size = block.marked.size
		for j := range block.columns[:len(block.points)] {
			c := &block.columns[j]
			if c.kind != Bool {
				block.bytes[listOf(c.kind)] -= len(c.values) - c.marked.values
			}
			c.values, c.last = c.values[:c.marked.values], c.marked.last
		}
	}
	b.used, b.size, b.json = b.marked.used, b.marked.size, b.marked.json
}

// wholeInBlock adds a batch that has points of a sheet of the book from n on, if it has.
func (p *Packer) wholeInBlock(sheet uint32, points []Point, n int, e *bridge.Entry) bool {
	for i := range e.Readings {
		if e.Readings[i].Point != points[i].Name || !points[i].holds(e.Readings[i].Value) {
			return false
		}
	}
	last := n + len(e.Readings) - 1
	b := p.blocks.latest[sheet]
	for b != nil && (len(b.points) != len(e.Readings) || int(b.points[0]) != n || int(b.points[len(b.points)-1]) != last) {
		b = b.before
	}
	if b == nil {
		b = p.blocks.open(sheet)
		for i := range e.Readings {
			b.column(&points[i], n+i)
		}
		p.blocks.opened(b)
	}
	p.begin(b, e)
	for i := range e.Readings {
		p.cell(b, i, e.Readings[i].Value)
	}
	p.end(b)
	return true
}

// inBlock adds good readings of one sheet.
func (p *Packer) inBlock(e *bridge.Entry, group []cell) {
	b := p.blocks.find(group)
	if b == nil {
		points := p.points(group[0].sheet)
		b = p.blocks.open(group[0].sheet)
		for _, c := range group {
			b.column(&points[c.n-1], c.n)
		}
		p.blocks.opened(b)
	}
	p.begin(b, e)
	for i, c := range group {
		p.cell(b, i, e.Readings[c.reading].Value)
	}
	p.end(b)
}

// find returns the block of a group's points, nil if there is none nearby: a device
// whose points come in turns has as many as turns.
func (b *blocks) find(group []cell) *block {
	const lookBack = 8
	for i, at := 0, b.latest[group[0].sheet]; at != nil && i < lookBack; i, at = i+1, at.before {
		if slices.EqualFunc(at.points, group, func(n uint16, c cell) bool { return int(n) == c.n }) {
			return at
		}
	}
	return nil
}

func (b *blocks) open(sheet uint32) *block {
	if b.used == len(b.all) {
		b.all = append(b.all, new(block))
	}
	if b.latest == nil {
		b.latest = make(map[uint32]*block)
	}
	fresh := b.all[b.used]
	b.used++
	fresh.sheet, fresh.before = sheet, b.latest[sheet]
	b.latest[sheet] = fresh
	fresh.points, fresh.at, fresh.seq = fresh.points[:0], fresh.at[:0], fresh.seq[:0]
	fresh.last, fresh.batches, fresh.bytes, fresh.size = [2]uint32{}, 0, [256]int{}, 0
	return fresh
}

// opened counts what does not change of a block.
func (b *blocks) opened(fresh *block) {
	numbers := len(appendNumbers(nil, fresh.points))
	fresh.head = 1 + varintSize(uint64(fresh.sheet)) + packedSize(numbers)
	b.json += rowJSON + numbers*jsonNumber
}

// measure returns the bytes of a block in the message. Only those of its bits may be
// some too many.
func (b *block) measure() int {
	bits := b.bytes[Bool] * b.batches
	n := b.head + packedSize(len(b.at)) + packedSize(len(b.seq)) + packedSize(b.bytes[Uint]) + packedSize(b.bytes[Int]) +
		packedSize(b.bytes[Float]) + packedSize(b.bytes[Double]) + packedSize(b.bytes[Text]) +
		packedSize(bits/32*5+(bits%32+6)/7)
	return 1 + lengthSize(n)
}

func (b *block) column(p *Point, n int) {
	i := len(b.points)
	b.points = append(b.points, uint16(n))
	if i == len(b.columns) {
		b.columns = append(b.columns, column{})
	}
	c := &b.columns[i]
	c.kind, c.places, c.values, c.last = p.Kind, p.Places, c.values[:0], 0
	if p.Kind == Bool {
		b.bytes[Bool]++
	}
}

// begin adds a batch without its values.
func (p *Packer) begin(b *block, e *bridge.Entry) {
	p.blocks.undo = append(p.blocks.undo, b)
	b.marked.at, b.marked.seq, b.marked.last, b.marked.size = len(b.at), len(b.seq), b.last, b.size
	at, seq := uint32(e.At.UnixMilli()-p.base.at), uint32(e.Seq-p.base.seq)
	b.at = appendVarint(b.at, zigzag(int32(at-b.last[0])))
	b.seq = appendVarint(b.seq, zigzag(int32(seq-b.last[1])))
	b.last = [2]uint32{at, seq}
	b.batches++
	p.blocks.json += 2 * jsonNumber
}

// end counts what a batch has added to a block.
func (p *Packer) end(b *block) {
	b.size = b.measure()
	p.blocks.size += b.size - b.marked.size
}

// cell adds a value that its column can hold.
func (p *Packer) cell(b *block, i int, v bridge.Value) {
	c := &b.columns[i]
	c.marked.values, c.marked.last = len(c.values), c.last
	var json int
	switch c.kind {
	case Uint, Int:
		n, _ := whole(v, c.places)
		c.values = appendVarint(c.values, zigzag(int32(uint32(n)-c.last)))
		c.last = uint32(n)
		json = 3 + 2*(len(c.values)-c.marked.values) // as in lists.json
	case Float:
		c.values = appendFloat(c.values, math.Float32frombits(uint32(v.Bits())))
		json = jsonDouble
	case Double:
		f, _ := asDouble(v)
		c.values = appendDouble(c.values, f)
		json = jsonDouble
	case Text, Digits:
		c.values = appendVarint(c.values, uint64(p.texts.put(textOf(v))))
		json = jsonNumber
	case Bool: // written as bits at the end
		c.values = append(c.values, byte(v.Bits()))
		p.blocks.json++ // a bit of a word
		return
	}
	b.bytes[listOf(c.kind)] += len(c.values) - c.marked.values
	p.blocks.json += json
}

// append writes the blocks.
func (b *blocks) append(out []byte) []byte {
	for _, one := range b.all[:b.used] {
		b.body = one.append(b.body[:0])
		out = appendText(out, readingsBlocks, b.body)
	}
	return out
}

func (b *block) append(out []byte) []byte {
	out = appendUintField(out, blockSheet, uint64(b.sheet))
	out = appendText(out, blockAt, b.at)
	out = appendText(out, blockSeq, b.seq)
	out = appendText(out, blockPoints, appendNumbers(nil, b.points))
	for _, list := range [...]struct {
		field byte
		kind  Kind
	}{{blockUints, Uint}, {blockInts, Int}, {blockFloats, Float}, {blockDoubles, Double}, {blockTexts, Text}} {
		out = b.list(out, list.field, list.kind)
	}
	return b.bits(out)
}

// list writes the columns of one list after one another.
func (b *block) list(out []byte, field byte, kind Kind) []byte {
	size := 0
	columns := b.columns[:len(b.points)]
	for i := range columns {
		if listOf(columns[i].kind) == kind {
			size += len(columns[i].values)
		}
	}
	if size == 0 {
		return out
	}
	out = appendVarint(append(out, tag(field, wireBytes)), uint64(size))
	for i := range columns {
		if listOf(columns[i].kind) == kind {
			out = append(out, columns[i].values...)
		}
	}
	return out
}

// bits writes the columns of bools, a bit each.
func (b *block) bits(out []byte) []byte {
	var words []uint32
	n := 0
	columns := b.columns[:len(b.points)]
	for i := range columns {
		if columns[i].kind != Bool {
			continue
		}
		for _, on := range columns[i].values {
			if n/32 == len(words) {
				words = append(words, 0)
			}
			words[n/32] |= uint32(on) << (n % 32)
			n++
		}
	}
	if len(words) == 0 {
		return out
	}
	var list []byte
	for _, w := range words {
		list = appendVarint(list, uint64(w))
	}
	return appendText(out, blockOn, list)
}
