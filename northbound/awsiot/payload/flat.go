package payload

import (
	"fmt"
	"slices"

	"fieldbridge/bridge"
)

// flat is the format with one batch a message, its points beside the rest, as
// AWS's actions for time series want it:
//
//	{"v":1,"gateway":"g","timestamp":1763887500123,"device":"boiler","run":"r","seq":1042,
//	  "backlog":true,"clock":"unsynced","labels":{},"bad":{"e":"timeout"},"t":71.5}
type flat struct{ envelope }

// FlatReserved are the names that a point cannot have in format flat.
var FlatReserved = []string{"backlog", "bad", "clock", "device", "gateway", "labels", "run", "seq", "timestamp", "v"}

// A batch without its device, run and readings.
const flatBatch = len(`,"timestamp":01234567890123,"device":"","seq":01234567890123456789,"bad":{}}`)

// Room implements [bridge.Format]: the first batch fills a message.
func (f *flat) Room() int { return 1 }

// Fit implements [bridge.Format].
func (f *flat) Fit(b *bridge.Batch) (n, size int) {
	space := f.space(f.topic.size(b.Device))
	size = flatBatch + len(b.Device)
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
func (f *flat) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	e := &entries[0]
	for i := range e.Readings {
		if name := e.Readings[i].Point; slices.Contains(FlatReserved, name) {
			return bridge.Message{}, 1, bridge.Permanent(fmt.Errorf("device %s: the point %s has the name of a key of format "+
				"flat: rename it, or use rows", e.Device, name))
		}
	}
	pooled := scratch.Get().(*[]byte)
	defer scratch.Put(pooled)
	b := append((*pooled)[:0], f.head...)
	b = append(b, `,"timestamp":`...)
	b = appendInt(b, e.At.UnixMilli())
	b = append(b, `,"device":"`...)
	b = append(b, e.Device...)
	b = append(b, `","run":`...)
	b = AppendString(b, e.Run)
	b = append(b, `,"seq":`...)
	b = appendUint(b, e.Seq)
	b = f.states(b, e)
	if slices.ContainsFunc(e.Readings, func(r bridge.Reading) bool { return !r.Value.Good() }) {
		b = appendBad(b, e.Readings)
	}
	b, _, ok := appendPoints(b, e.Readings, `,"`, MaxBytes-1)
	b = append(b, '}')
	*pooled = b
	if !ok || len(b) > MaxBytes {
		return bridge.Message{}, 1, errTooLarge(e)
	}
	return message(f.topic.Fill(e.Device), b), 1, nil
}
