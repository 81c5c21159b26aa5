package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"

	"fieldbridge/bridge"
)

// Numbered is a batch with its position: what an [Encoder] takes.
type Numbered struct {
	bridge.Batch
	Position bridge.Position
	Mono     int64 // run time of the run when it was appended, ms
}

// The payload of a block has, in this order: the names of devices and points as
// they first come; the sets of points that batches have, as numbers of names; the
// shapes, each a device and a set; the table of batches, a column of each of its
// fields; and the values, a column for each point of each set.
//
// A device mostly sends the same points each time, so there are about as many
// shapes as devices, and a batch is told by one small number. A column holds the
// values of one point of all batches with its set, those of one device together:
// what resembles one another stands side by side, which is what makes them small.

// Encoder makes blocks. It keeps its buffers from block to block; one goroutine
// uses it.
// The buffers are as large as the largest block so far; a block has at most some
// 32,000 readings (see package store), so they are bounded as well.
type Encoder struct {
	zstd   *zstd.Encoder // made when first needed: a gateway whose cloud answers writes nothing
	raw    []byte
	out    []byte
	values []bridge.Value // of one column

	names  map[string]int
	list   []string
	sets   []pointSet
	byKey  map[string]int // of a set's name numbers
	key    []byte
	shapes []shape
	byPair map[[2]int]int // of a shape's device and set
	latest map[string]int // a device's last shape
	order  []int          // the shape of each batch
}

// pointSet is the points of a batch, in order, by number of name. Columns belong
// to sets.
type pointSet struct{ names []int }

// shape is a device with a set of points, and the batches that have it.
type shape struct {
	device, set int              // numbers of a name and of a set
	sample      []bridge.Reading // of the first batch
	batches     []int
}

// Encode returns the block of batches; h has Run, Seq, Before, the times of
// writing and what is optional, Encode fills in the rest. The block is valid
// until the next call.
func (e *Encoder) Encode(h *Header, batches []Numbered) ([]byte, error) {
	e.reset()
	e.order = e.order[:0]
	h.First, h.Last = batches[0].Position, batches[len(batches)-1].Position
	h.Count = bridge.Count{Batches: uint64(len(batches))}
	h.Oldest, h.Newest = math.MaxInt64, math.MinInt64
	for i := range batches {
		b := &batches[i]
		s := e.shapeOf(&b.Batch)
		e.shapes[s].batches = append(e.shapes[s].batches, i)
		e.order = append(e.order, s)
		at := b.At.UnixMilli()
		h.Oldest, h.Newest = min(h.Oldest, at), max(h.Newest, at)
		h.Count.Readings += uint64(len(b.Readings))
	}
	e.putTables()
	e.putBatches(h.First, batches)
	for set := range e.sets {
		for point := range e.sets[set].names {
			e.putColumn(e.gather(batches, set, point))
		}
	}
	// What a decoder would refuse must not be written.
	h.raw = len(e.raw)
	if h.raw > maxPayload || h.Count.Readings > maxBlockReadings {
		return nil, fmt.Errorf("encode block: %d readings of %d bytes are too many", h.Count.Readings, h.raw)
	}
	return e.finish(h)
}

// reset forgets the block before but keeps its memory.
func (e *Encoder) reset() {
	if e.names == nil {
		e.names, e.byKey, e.latest = make(map[string]int), make(map[string]int), make(map[string]int)
		e.byPair = make(map[[2]int]int)
	}
	// The maps keep their room: the next block has the same names.
	clear(e.names)
	clear(e.byKey)
	clear(e.byPair)
	clear(e.latest)
	clear(e.list)
	clear(e.shapes) // they refer to readings
	e.list, e.sets, e.shapes, e.raw = e.list[:0], e.sets[:0], e.shapes[:0], e.raw[:0]
}

// finish compresses the payload and puts the header before it. A payload that zstd
// makes no shorter, as of a single batch, stays as it is.
func (e *Encoder) finish(h *Header) ([]byte, error) {
	if e.zstd == nil {
		z, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.SpeedFastest), // the columns have done most of it
			zstd.WithEncoderConcurrency(1),           // no goroutines of its own
			zstd.WithWindowSize(128<<10),             // its memory is this, times a few
			zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderCRC(false), // the block has its own
			zstd.WithSingleSegment(true))
		if err != nil {
			return nil, fmt.Errorf("make zstd encoder: %w", err)
		}
		e.zstd = z
	}
	e.out = h.appendTail(append(e.out[:0], make([]byte, fixedSize)...))
	// The header has its final length here, since the payload follows it in place.
	h.version, h.size, h.flags = Version, len(e.out), flagZstd
	if h.size > MaxHeader {
		return nil, fmt.Errorf("encode block: a header of %d bytes is too long", h.size)
	}
	e.out = e.zstd.EncodeAll(e.raw, e.out)
	if len(e.out)-h.size >= len(e.raw) {
		e.out = append(e.out[:h.size], e.raw...)
		h.flags = 0
	}
	h.payload = len(e.out) - h.size
	h.Put(e.out)
	return e.out, nil
}

// name returns the number of a name; they are numbered as they come.
func (e *Encoder) name(s string) int {
	n, ok := e.names[s]
	if !ok {
		n = len(e.list)
		e.names[s] = n
		e.list = append(e.list, s)
	}
	return n
}

// shapeOf returns the number of b's shape. A device mostly has the shape of its
// batch before.
func (e *Encoder) shapeOf(b *bridge.Batch) int {
	if s, ok := e.latest[b.Device]; ok && samePoints(e.shapes[s].sample, b.Readings) {
		return s
	}
	device := e.name(b.Device)
	// A set is known by the numbers of its names, in order.
	e.key = e.key[:0]
	for i := range b.Readings {
		e.key = binary.AppendUvarint(e.key, uint64(e.name(b.Readings[i].Point)))
	}
	set, ok := e.byKey[string(e.key)]
	if !ok {
		set = len(e.sets)
		e.byKey[string(e.key)] = set
		names := make([]int, len(b.Readings))
		for i := range b.Readings {
			names[i] = e.names[b.Readings[i].Point]
		}
		e.sets = append(e.sets, pointSet{names})
	}
	s, ok := e.byPair[[2]int{device, set}]
	if !ok {
		s = len(e.shapes)
		e.byPair[[2]int{device, set}] = s
		e.shapes = append(e.shapes, shape{device: device, set: set, sample: b.Readings})
	}
	e.latest[b.Device] = s
	return s
}

// samePoints reports whether two batches have the same points in the same order.
func samePoints(a, b []bridge.Reading) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Point != b[i].Point {
			return false
		}
	}
	return true
}

// uint and int append a number of up to ten bytes, the fewer the smaller it is.
func (e *Encoder) uint(v uint64) { e.raw = binary.AppendUvarint(e.raw, v) }
func (e *Encoder) int(v int64)   { e.raw = binary.AppendVarint(e.raw, v) }

// putTables writes the names, the sets of points and the shapes.
func (e *Encoder) putTables() {
	e.uint(uint64(len(e.list)))
	for _, n := range e.list {
		e.uint(uint64(len(n)))
		e.raw = append(e.raw, n...)
	}
	e.uint(uint64(len(e.sets)))
	for _, s := range e.sets {
		e.uint(uint64(len(s.names)))
		previous := -1
		for _, n := range s.names {
			e.int(int64(n - previous - 1)) // mostly 0: the names are in the order of first use
			previous = n
		}
	}
	e.uint(uint64(len(e.shapes)))
	for i := range e.shapes {
		e.uint(uint64(e.shapes[i].device))
		e.uint(uint64(e.shapes[i].set))
	}
}

// putBatches writes the table of batches, column by column.
func (e *Encoder) putBatches(first bridge.Position, batches []Numbered) {
	for _, s := range e.order {
		e.uint(uint64(s))
	}
	// Positions leave gaps only where batches were done before they were written.
	expected := first
	for i := range batches {
		e.uint(uint64(batches[i].Position - expected))
		expected = batches[i].Position + 1
	}
	for i := range batches {
		var flags byte
		if batches[i].Unsynced {
			flags |= 1
		}
		e.raw = append(e.raw, flags)
	}
	var previous int64
	for i := range batches {
		at := batches[i].At.UnixMilli()
		e.int(at - previous)
		previous = at
	}
	// The run time goes with the wall clock: their difference is nearly constant, and
	// where it jumps the clock was set.
	previous = 0
	for i := range batches {
		offset := batches[i].At.UnixMilli() - batches[i].Mono
		e.int(offset - previous)
		previous = offset
	}
}

// gather returns the values of one column: the batches with this set, by shape
// and then in order.
func (e *Encoder) gather(batches []Numbered, set, point int) []bridge.Value {
	e.values = e.values[:0]
	for s := range e.shapes {
		if e.shapes[s].set != set {
			continue
		}
		for _, i := range e.shapes[s].batches {
			e.values = append(e.values, batches[i].Readings[point].Value)
		}
	}
	return e.values
}
