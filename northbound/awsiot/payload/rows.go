package payload

import (
	"math"

	"fieldbridge/bridge"
)

// rows is the format that lists batches one after another:
//
//	{"v":1,"gateway":"g","run":"r","backlog":true,"clock":"unsynced","labels":{"site":"brno"},"batches":[
//	  {"seq":1042,"device":"boiler","at":1763887500123,"points":{"t":71.5},"bad":{"e":"timeout"}}]}
//
// "backlog", "clock", "labels", "points" and "bad" are there only if they say
// something.
type rows struct{ envelope }

const (
	rowsOpen = `,"batches":[`
	rowsTail = `]}`
	// A batch without its device and readings, with a seq of ten digits.
	rowsBatch = len(`,{"seq":0123456789,"device":"","at":01234567890123,"points":{},"bad":{}}`)
	// The digits that the longest seq has beyond those.
	longSeq = 10
	// A reading without its name and value.
	rowsReading = len(`"":,`)
	// A bad reading's reason: "exception_255" in quotes.
	rowsReason = len(`"exception_255"`)
)

// Room implements [bridge.Format].
func (f *rows) Room() int { return f.leastSpace() - len(rowsOpen) - len(rowsTail) }

// Fit implements [bridge.Format]. The size is what b takes with a seq of one digit: by
// it a message is filled, and what does not fit goes with the next one.
func (f *rows) Fit(b *bridge.Batch) (n, size int) {
	space := f.spaceFor(b) - len(rowsOpen) - len(rowsTail) - longSeq
	size = rowsBatch + len(b.Device)
	bad := 0
	for i := range b.Readings {
		r := &b.Readings[i]
		next := size + rowsReading + len(r.Point) + valueSize(r.Value)
		if (next > space || f.oneEach()) && i > 0 {
			break
		}
		size = next
		n++
		if !r.Value.Good() {
			bad++
		}
	}
	size -= len(`012345678`)
	switch bad {
	case 0:
		size -= len(`,"bad":{}`)
	case n:
		size -= len(`,"points":{}`)
	}
	return n, size
}

// Pack implements [bridge.Format].
func (f *rows) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	pooled := scratch.Get().(*[]byte)
	defer scratch.Put(pooled)
	first := &entries[0]
	topic := f.Topic(&first.Batch)
	b := f.begin((*pooled)[:0], first)
	b = append(f.marks(b, first), rowsOpen...)
	// A batch is never split here: the first one goes even if it is larger than
	// what is configured (it was queued under another configuration, or has one
	// very long string).
	limit := MaxBytes - len(rowsTail)
	n := 0
	for i := range entries {
		e := &entries[i]
		if i > 0 && !f.sameMessage(first, e) {
			break
		}
		start := len(b)
		var ok bool
		if b, ok = rowsAppend(b, e, limit, i > 0); !ok {
			b = b[:start]
			break
		}
		n++
		limit = f.payloadLimit(topic) - len(rowsTail)
	}
	b = append(b, rowsTail...)
	*pooled = b
	if n == 0 {
		return bridge.Message{}, 1, errTooLarge(first)
	}
	return message(topic, b), n, nil
}

// rowsAppend appends one batch. It gives up and reports false once b is longer
// than limit.
func rowsAppend(b []byte, e *bridge.Entry, limit int, comma bool) ([]byte, bool) {
	if comma {
		b = append(b, ',')
	}
	b = append(b, `{"seq":`...)
	b = appendUint(b, e.Seq)
	b = append(b, `,"device":"`...)
	b = append(b, e.Device...)
	b = append(b, `","at":`...)
	b = appendInt(b, e.At.UnixMilli())
	b, bad, ok := appendPoints(b, e.Readings, `,"points":{"`, limit)
	if !ok {
		return b, false
	}
	if bad < len(e.Readings) {
		b = append(b, '}')
	}
	if bad > 0 {
		b = appendBad(b, e.Readings)
	}
	b = append(b, '}')
	return b, len(b) <= limit
}

// appendPoints appends the good readings as members, the first after open, and
// returns how many are bad. It gives up once b is longer than limit.
func appendPoints(b []byte, readings []bridge.Reading, open string, limit int) (_ []byte, bad int, ok bool) {
	separator := open
	for i := range readings {
		r := &readings[i]
		if !r.Value.Good() {
			bad++
			continue
		}
		b = append(b, separator...)
		separator = `,"`
		b = append(b, r.Point...)
		b = append(b, `":`...)
		b = AppendValue(b, r.Value)
		if len(b) > limit {
			return b, bad, false
		}
	}
	return b, bad, true
}

// appendBad appends the reasons of the bad readings.
func appendBad(b []byte, readings []bridge.Reading) []byte {
	separator := `,"bad":{"`
	for i := range readings {
		r := &readings[i]
		if r.Value.Good() {
			continue
		}
		b = append(b, separator...)
		separator = `,"`
		b = append(b, r.Point...)
		b = append(b, `":"`...)
		b = append(b, r.Value.Reason().String()...)
		b = append(b, '"')
	}
	return append(b, '}')
}

// AppendAlone appends a message in format rows with the whole batch of e, however
// long, as it would go to the cloud alone and fresh, measured by origin: what is exported
// looks so.
func AppendAlone(b []byte, origin *bridge.Origin, e *bridge.Entry) []byte {
	var v envelope
	fresh := *e
	fresh.Backlog, fresh.Origin = false, origin
	b = append(v.marks(v.begin(b, &fresh), &fresh), rowsOpen...)
	b, _ = rowsAppend(b, &fresh, math.MaxInt, false)
	return append(b, rowsTail...)
}
