package proto

import (
	"math"

	"fieldbridge/bridge"
)

// What a row takes without its values: with all its numbers and the headers of its lists
// at their longest, and in company, where it has few lists and its numbers are small.
const (
	rowAlone     = 4 + 6 + 6 + 4 + 8*4
	rowCompany   = 2 + 3 + 2 + 2 + 2
	blockCompany = 1 + 2
	badAlone     = rowAlone + len("exception_255")
	badCompany   = 3
	ownAlone     = rowAlone + 4*4 // a sheet of the message's own and a row of it, without its names
	// What a reading takes that is not where it is expected: the number of its point.
	picked = 3
)

// need is what readings take in a message: alone and as JSON at most, and about in
// company.
type need struct{ alone, json, company int }

// measure reckons what the readings of one batch need.
type measure struct {
	need
	shelf   *shelf
	blocks  bool
	bools   int
	sheets  uint64 // that have been counted: the message's own, and those of the shelf by their place below 63
	unknown bool   // some good reading has no number
}

const ownSheetBit = 1 << 63

// Fit returns how many of the readings of b, from the first, surely fit in a message
// that has space bytes for them, and about how many bytes they take in company. Where all
// would take more than a quarter of the space they go in equal parts: those fill
// messages. unknown reports whether some good reading has no number.
func Fit(book *Book, b *bridge.Batch, space int, blocks bool) (n, size int, unknown bool) {
	m := measure{shelf: book.shelf(b.Device), blocks: blocks}
	n, size = m.some(b, b.Readings, math.MaxInt)
	quarter := max(space/4, 1)
	if m.alone <= quarter && m.json <= mostJSON || n <= 1 {
		return n, size, m.unknown
	}
	parts := max((m.alone+quarter-1)/quarter, (m.json+mostJSON-1)/mostJSON)
	n, size = m.some(b, b.Readings[:(n+parts-1)/parts], space)
	return n, size, m.unknown
}

// some returns how many of the readings, from the first, stay within limit, one at
// least, and what they take in company.
func (m *measure) some(b *bridge.Batch, readings []bridge.Reading, limit int) (n, size int) {
	m.need, m.bools, m.sheets = need{json: rowJSON, company: rowCompany}, 0, 0
	if m.blocks {
		m.company = blockCompany
	}
	var points []Point // that the readings follow
	if len(readings) > 0 {
		if spot, ok := m.shelf.points[readings[0].Point]; ok {
			points = m.shelf.sheets[spot.sheet].Points[spot.n-1:]
			m.use(spot.sheet)
		}
	}
	for i := range readings {
		r, before := &readings[i], m.need
		if i >= len(points) || points[i].Name != r.Point || !m.value(&points[i], r.Value) {
			m.elsewhere(b, r)
		}
		if m.alone > limit && i > 0 {
			return i, before.company + m.bools/4
		}
	}
	return len(readings), m.company + m.bools/4
}

// use counts a row of a sheet of the shelf.
func (m *measure) use(sheet int) {
	if bit := uint64(1) << (sheet % 63); m.sheets&bit == 0 || sheet >= 63 {
		m.sheets |= bit
		m.alone += rowAlone
		m.json += rowJSON
	}
}

// value counts a good value in the list of its point, unless that cannot hold it.
func (m *measure) value(p *Point, v bridge.Value) bool {
	size, json := 0, jsonNumber
	switch p.Kind {
	case Uint:
		n, ok := whole(v, p.Places)
		if !ok || n < 0 || n >= NoUint {
			return false
		}
		size = varintSize(uint64(n))
	case Int:
		n, ok := whole(v, p.Places)
		if !ok || n <= NoInt || n > math.MaxInt32 {
			return false
		}
		size = varintSize(zigzag(int32(n)))
	default:
		if !p.holds(v) {
			return false
		}
		switch p.Kind {
		case Float:
			size, json = 4, jsonDouble
		case Double:
			size, json = 8, jsonDouble
		case Bool: // five bytes for 32, in on and in off
			m.alone++
			m.json++
			m.bools++
			return true
		case Text, Digits:
			text := textOf(v)
			size, json = 3+textSize(text), jsonNumber+textJSON(text)
		}
	}
	m.alone += size
	m.json += json
	if m.blocks && (p.Kind == Uint || p.Kind == Int) {
		size = 1 // mostly it has changed by little
	}
	m.company += size
	return true
}

// elsewhere counts a reading that is bad, of another sheet or in another order, or that
// has no number.
func (m *measure) elsewhere(b *bridge.Batch, r *bridge.Reading) {
	spot, known := m.shelf.points[r.Point]
	if !r.Value.Good() {
		m.alone += badAlone + picked
		m.json += rowJSON + len("exception_255") + jsonNumber
		m.company += badCompany
	} else if known {
		if m.value(&m.shelf.sheets[spot.sheet].Points[spot.n-1], r.Value) {
			m.use(spot.sheet)
			m.alone += picked
			m.json += jsonNumber
			m.company++
			return
		}
	}
	if known && !r.Value.Good() {
		return
	}
	if m.sheets&ownSheetBit == 0 {
		m.sheets |= ownSheetBit
		m.alone += ownAlone + textSize(b.Device)
		m.json += 2*rowJSON + len(b.Device)
	}
	m.alone += textSize(r.Point) + 2 + picked
	m.json += len(r.Point) + len(`"",u9,`) + jsonNumber
	m.company++
	if r.Value.Good() {
		m.unknown = m.unknown || !known
		p := PointFor(r.Point, r.Value, Hint{Places: -1})
		m.value(&p, r.Value)
	}
}
