package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"fieldbridge/bridge"
)

var errPayload = errors.New("its content makes no sense")

// decoder reads blocks. One goroutine uses it at a time.
type decoder struct {
	zstd *zstd.Decoder // made when first needed
	raw  []byte
}

// decode returns the batches of a verified block. Nothing of it refers to
// payload.
func (d *decoder) decode(h *header, payload []byte) ([]bridge.Entry, []int64, error) {
	raw := payload
	if h.flags&flagZstd != 0 {
		if d.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPayload))
			if err != nil {
				return nil, nil, fmt.Errorf("make zstd decoder: %w", err)
			}
			d.zstd = z
		}
		if cap(d.raw) < h.raw {
			d.raw = make([]byte, 0, h.raw)
		}
		var err error
		if d.raw, err = d.zstd.DecodeAll(payload, d.raw[:0]); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errPayload, err)
		}
		raw = d.raw
	}
	if len(raw) != h.raw {
		return nil, nil, errPayload
	}
	r := reader{b: raw}
	entries, mono := r.block(h)
	if r.bad || len(r.b) > 0 {
		return nil, nil, errPayload
	}
	return entries, mono, nil
}

// reader takes a payload apart. After the first mistake bad is set and all it
// returns is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.bad = true
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// length reads the length of a list whose elements have at least one byte each.
func (r *reader) length() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

// index reads a number below n.
func (r *reader) index(n int) int {
	v := r.uint()
	if v >= uint64(n) {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *reader) block(h *header) ([]bridge.Entry, []int64) {
	names := make([]string, r.length())
	for i := range names {
		names[i] = string(r.bytes(r.uint()))
	}
	sets := make([][]string, r.length())
	for i := range sets {
		sets[i] = r.set(names)
	}
	type decodedShape struct {
		device string
		set    int
	}
	if r.bad {
		return nil, nil
	}
	shapes := make([]decodedShape, r.length())
	for i := range shapes {
		device, set := r.index(len(names)), r.index(len(sets))
		if r.bad {
			return nil, nil
		}
		shapes[i] = decodedShape{names[device], set}
	}
	n := int(h.count.Batches)
	if n > len(r.b) {
		r.fail()
		return nil, nil
	}
	entries := make([]bridge.Entry, n)
	members := make([][]int, len(shapes)) // the batches of each shape
	readings := 0
	for i := range entries {
		s := r.index(len(shapes))
		if r.bad {
			return nil, nil
		}
		entries[i].Device = shapes[s].device
		members[s] = append(members[s], i)
		readings += len(sets[shapes[s].set])
	}
	mono := r.batches(h, entries)
	if r.bad || readings != int(h.count.Readings) {
		r.fail()
		return nil, nil
	}
	slab := make([]bridge.Reading, readings)
	for s := range shapes {
		points := sets[shapes[s].set]
		for _, i := range members[s] {
			entries[i].Readings = slab[:len(points):len(points)]
			slab = slab[len(points):]
		}
	}
	var column []int
	for set, points := range sets {
		column = column[:0]
		for s := range shapes {
			if shapes[s].set == set {
				column = append(column, members[s]...)
			}
		}
		for point, name := range points {
			r.column(entries, column, point, name)
		}
	}
	return entries, mono
}

func (r *reader) set(names []string) []string {
	set := make([]string, r.length())
	previous := int64(-1)
	for j := range set {
		n := previous + 1 + r.int()
		if r.bad || n < 0 || n >= int64(len(names)) {
			r.fail()
			return nil
		}
		set[j], previous = names[n], n
	}
	return set
}

// batches reads the table of batches into entries and returns when in the run
// they were appended.
func (r *reader) batches(h *header, entries []bridge.Entry) []int64 {
	expected := h.first
	for i := range entries {
		p := expected + bridge.Position(r.uint())
		if r.bad || p < expected || p > h.last {
			r.fail()
			return nil
		}
		entries[i].Position = p
		entries[i].Run = h.run
		entries[i].Seq = h.seq + uint64(p-h.first)
		expected = p + 1
	}
	if len(entries) == 0 || entries[len(entries)-1].Position != h.last || entries[0].Position != h.first {
		r.fail()
		return nil
	}
	for i, flags := range r.bytes(uint64(len(entries))) {
		entries[i].Unsynced = flags&1 != 0
	}
	var at, offset int64
	for i := range entries {
		at += r.int()
		entries[i].At = unixMilli(at)
	}
	mono := make([]int64, len(entries))
	for i := range entries {
		offset += r.int()
		mono[i] = entries[i].At.UnixMilli() - offset
	}
	return mono
}

// column reads the values of one point into the batches that have it.
func (r *reader) column(entries []bridge.Entry, batches []int, point int, name string) {
	var of [len(columnKinds)][]int
	next := 0
	for range r.length() {
		k, n := r.byte(), r.uint()
		if r.bad || int(k) >= len(columnKinds) || n > uint64(len(batches)-next) {
			r.fail()
			return
		}
		if of[k] == nil {
			of[k] = batches[next : next+int(n) : next+int(n)]
		} else {
			of[k] = append(of[k], batches[next:next+int(n)]...)
		}
		next += int(n)
	}
	if next != len(batches) {
		r.fail()
		return
	}
	for _, k := range columnKinds {
		if len(of[k]) > 0 {
			r.kind(k, len(of[k]), func(i int, v bridge.Value) {
				entries[of[k][i]].Readings[point] = bridge.Reading{Point: name, Value: v}
			})
		}
	}
}

// kind reads n values of kind k.
func (r *reader) kind(k bridge.Kind, n int, put func(i int, v bridge.Value)) {
	switch k {
	case bridge.KindBad:
		for i, reason := range r.bytes(uint64(n)) {
			put(i, bridge.Bad(bridge.Reason(reason)))
		}
	case bridge.KindBool:
		b := r.bytes(uint64(n+7) / 8)
		for i := 0; i < n && !r.bad; i++ {
			put(i, bridge.Bool(b[i/8]>>(i%8)&1 != 0))
		}
	case bridge.KindInt, bridge.KindUint:
		var v uint64
		for i := 0; i < n && !r.bad; i++ {
			v += uint64(r.int())
			put(i, bridge.FromBits(k, v))
		}
	case bridge.KindFloat32, bridge.KindFloat64:
		r.floats(k, n, put)
	case bridge.KindString:
		s := ""
		for i := 0; i < n && !r.bad; i++ {
			if length := r.uint(); length > 0 {
				s = string(r.bytes(length - 1))
			}
			put(i, bridge.String(s))
		}
	}
}

func (r *reader) floats(k bridge.Kind, n int, put func(i int, v bridge.Value)) {
	how := r.byte()
	if how > floatDecimal+maxDecimals {
		r.fail()
		return
	}
	if how != floatBits {
		var v int64
		for i := 0; i < n && !r.bad; i++ {
			v += r.int()
			put(i, fromDecimal(k, v, int(how-floatDecimal)))
		}
		return
	}
	width := floatWidth(k)
	planes := r.bytes(uint64(n) * uint64(width))
	if r.bad {
		return
	}
	var bits uint64
	for i := range n {
		var z uint64
		for plane := range width {
			z |= uint64(planes[plane*n+i]) << (8 * plane)
		}
		bits = unzigzag(k, z, bits)
		put(i, bridge.FromBits(k, bits))
	}
}
