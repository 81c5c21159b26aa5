package awsiot

import (
	"bytes"

	"fieldbridge/bridge"
)

// rows is the format that lists batches one after another:
//
//	{"v":1,"gateway":"g","run":"r","backlog":true,"clock":"unsynced","batches":[
//	  {"seq":1042,"device":"boiler","at":1763887500123,"points":{"t":71.5},"bad":{"e":"timeout"}}]}
//
// "backlog", "clock", "points" and "bad" are there only if they say something.
type rows struct {
	topic topic
	limit int    // bytes of topic, content type and payload
	head  []byte // up to the run
}

func newRows(t topic, gateway string, limit int) *rows {
	return &rows{topic: t, limit: limit, head: appendString([]byte(`{"v":1,"gateway":`), gateway)}
}

const (
	rowsTail = `]}`
	// What follows the gateway in the longest envelope, with a run of 16 bytes.
	rowsEnvelope = len(`,"run":"0123456789abcdef","backlog":true,"clock":"unsynced","batches":[`) + len(rowsTail)
	// A batch without its device and readings, with a seq of ten digits.
	rowsBatch = len(`,{"seq":0123456789,"device":"","at":01234567890123,"points":{},"bad":{}}`)
	// The digits that the longest seq has beyond those.
	longSeq = 10
	// A reading without its name and value.
	rowsReading = len(`"":,`)
	// A bad reading's reason: "exception_127" in quotes.
	rowsReason = len(`"exception_127"`)
)

// Topic implements [bridge.Format].
func (f *rows) Topic(b *bridge.Batch) string { return f.topic.fill(b.Device) }

// Room implements [bridge.Format].
func (f *rows) Room() int {
	device := ""
	if f.topic.hasDevice() {
		device = longestName
	}
	return f.space(f.topic.size(device))
}

var longestName = string(bytes.Repeat([]byte{'d'}, longestDevice))

// space returns what a message leaves for batches, given the size of its topic.
func (f *rows) space(topic int) int {
	return f.limit - topic - len(contentType) - len(f.head) - rowsEnvelope
}

// Fit implements [bridge.Format].
func (f *rows) Fit(b *bridge.Batch) (n, size int) {
	space := f.space(f.topic.size(b.Device)) - longSeq
	size = rowsBatch + len(b.Device)
	for i := range b.Readings {
		r := &b.Readings[i]
		next := size + rowsReading + len(r.Point) + valueSize(r.Value)
		if next > space && i > 0 {
			return i, size
		}
		size = next
	}
	return len(b.Readings), size
}

// Pack implements [bridge.Format].
func (f *rows) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	pooled := scratch.Get().(*[]byte)
	defer scratch.Put(pooled)
	first := &entries[0]
	topic := f.topic.fill(first.Device)
	b := f.envelope((*pooled)[:0], first)
	// A batch is never split here: the first one goes even if it is larger than
	// what is configured (it was queued under another configuration, or has one
	// very long string).
	limit := maxPayload - len(rowsTail)
	n := 0
	for i := range entries {
		e := &entries[i]
		if i > 0 && !sameMessage(f.topic, first, e) {
			break
		}
		start := len(b)
		var ok bool
		if b, ok = rowsAppend(b, e, limit, i > 0); !ok {
			b = b[:start]
			break
		}
		n++
		limit = f.limit - len(topic) - len(contentType) - len(rowsTail)
	}
	b = append(b, rowsTail...)
	*pooled = b
	if n == 0 {
		return bridge.Message{}, 1, errTooLarge(first)
	}
	return bridge.Message{Topic: topic, Payload: bytes.Clone(b), ContentType: contentType}, n, nil
}

func (f *rows) envelope(b []byte, e *bridge.Entry) []byte {
	b = append(b, f.head...)
	b = append(b, `,"run":`...)
	b = appendString(b, e.Run)
	if e.Backlog {
		b = append(b, `,"backlog":true`...)
	}
	if e.Unsynced {
		b = append(b, `,"clock":"unsynced"`...)
	}
	return append(b, `,"batches":[`...)
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
	good, bad := 0, 0
	for i := range e.Readings {
		r := &e.Readings[i]
		if !r.Value.Good() {
			bad++
			continue
		}
		if good++; good == 1 {
			b = append(b, `,"points":{"`...)
		} else {
			b = append(b, `,"`...)
		}
		b = append(b, r.Point...)
		b = append(b, `":`...)
		b = appendValue(b, r.Value)
		if len(b) > limit {
			return b, false
		}
	}
	if good > 0 {
		b = append(b, '}')
	}
	if bad > 0 {
		b = rowsBad(b, e.Readings)
	}
	b = append(b, '}')
	return b, len(b) <= limit
}

func rowsBad(b []byte, readings []bridge.Reading) []byte {
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
