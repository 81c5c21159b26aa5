package payload

import (
	"slices"

	"fieldbridge/bridge"
)

// flat is the format with one batch a message, its points beside the rest, as
// AWS's actions for time series want it:
//
//	{"v":1,"gateway":"g","timestamp":1763887500123,"device":"boiler","run":"r","seq":1042,
//	  "backlog":true,"clock":"unsynced","labels":{},"bad":{"e":"timeout"},"t":71.5}
type flat struct{ envelope }

// FlatReserved are the keys of format flat. A point of such a name, as a sensor may
// have it, is told with [FlatMark] before it: no other point's name begins so.
var FlatReserved = []string{"backlog", "bad", "clock", "device", "gateway", "labels", "run", "seq", "timestamp", "v"}

// FlatMark is before the name of a point that is called like a key of the format.
const FlatMark = "_"

// A batch without its device, run and readings.
const flatBatch = len(`,"timestamp":01234567890123,"device":"","seq":01234567890123456789,"bad":{}}`)

// Room implements [bridge.Format]: the first batch fills a message.
func (f *flat) Room() int { return 1 }

// Fit implements [bridge.Format].
func (f *flat) Fit(b *bridge.Batch) (n, size int) {
	space := f.spaceFor(b)
	size = flatBatch + len(b.Device)
	for i := range b.Readings {
		r := &b.Readings[i]
		next := size + rowsReading + len(FlatMark) + len(r.Point) + valueSize(r.Value)
		if (next > space || f.oneEach()) && i > 0 {
			return i, size
		}
		size = next
	}
	return len(b.Readings), size
}

// Pack implements [bridge.Format].
func (f *flat) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	e := &entries[0]
	readings := apart(e.Readings)
	pooled := scratch.Get().(*[]byte)
	defer scratch.Put(pooled)
	b := f.begin((*pooled)[:0], e)
	b = append(b, `,"timestamp":`...)
	b = appendInt(b, e.At.UnixMilli())
	b = append(b, `,"device":"`...)
	b = append(b, e.Device...)
	b = append(b, `","run":`...)
	b = AppendString(b, e.Run)
	b = append(b, `,"seq":`...)
	b = appendUint(b, e.Seq)
	b = f.states(b, e)
	if slices.ContainsFunc(readings, func(r bridge.Reading) bool { return !r.Value.Good() }) {
		b = appendBad(b, readings)
	}
	b, _, ok := appendPoints(b, readings, `,"`, MaxBytes-1)
	b = append(b, '}')
	*pooled = b
	if !ok || len(b) > MaxBytes {
		return bridge.Message{}, 1, errTooLarge(e)
	}
	return message(f.Topic(&e.Batch), b), 1, nil
}

// apart returns readings under names that are none of the format's keys. Those that
// it is given stay as they are.
func apart(readings []bridge.Reading) []bridge.Reading {
	reserved := func(r bridge.Reading) bool { return slices.Contains(FlatReserved, r.Point) }
	if !slices.ContainsFunc(readings, reserved) {
		return readings
	}
	readings = slices.Clone(readings)
	for i := range readings {
		if reserved(readings[i]) {
			readings[i].Point = FlatMark + readings[i].Point
		}
	}
	return readings
}
