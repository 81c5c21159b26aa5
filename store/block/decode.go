package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"

	"fieldbridge/bridge"
)

// errPayload is what is wrong with a payload whose checksum is right: a mistake of
// the program that wrote it, or of this one.
var errPayload = errors.New("its content makes no sense")

// Decoder reads blocks. One goroutine uses it at a time.
// Its buffer grows to the largest block that it has seen and stays: at most
// maxPayload, some hundred KiB for what an [Encoder] makes.
type Decoder struct {
	zstd *zstd.Decoder // made when first needed
	raw  []byte
}

// Decode returns the batches of a block that [Open] has verified, and for each the
// run time of its run when it was appended, in ms. Nothing of it refers to payload.
func (d *Decoder) Decode(h *Header, payload []byte) ([]bridge.Entry, []int64, error) {
	raw := payload
	if h.flags&flagZstd != 0 {
		if d.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(maxPayload)) // a small frame may claim to be huge
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
	// A frame gives what it gives, whatever the header says of it.
	if len(raw) != h.raw {
		return nil, nil, errPayload
	}
	r := NewParser(raw)
	r.narrow = h.version == 1
	entries, mono := r.block(h)
	if !r.Done() {
		return nil, nil, errPayload
	}
	return entries, mono, nil
}

// Parser takes a payload apart, or other bytes that are written in the same way.
// After the first mistake all it returns is zero, so that who reads need look only
// once, at the end: see [Parser.Done].
type Parser struct {
	b      []byte
	bad    bool
	narrow bool // a reason is one byte, as in version 1
}

// NewParser returns a parser of b.
func NewParser(b []byte) *Parser { return &Parser{b: b} }

// Done reports whether all was taken apart without a mistake.
func (r *Parser) Done() bool { return !r.bad && len(r.b) == 0 }

// Fail notes a mistake that the caller has found.
func (r *Parser) Fail() {
	r.bad = true
	r.b = nil
}

// Uint reads a uvarint.
func (r *Parser) Uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Int reads a varint.
func (r *Parser) Int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes reads n bytes, which are a part of what is read.
// Nothing is copied: who keeps them copies.
func (r *Parser) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.Fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// byte reads one byte.
func (r *Parser) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// Length reads the length of a list whose elements have at least one byte each.
// So a length makes who reads take memory in proportion to the bytes that are there,
// whatever it claims.
func (r *Parser) Length() int {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.Fail()
		return 0
	}
	return int(n)
}

// index reads a number below n.
func (r *Parser) index(n int) int {
	v := r.Uint()
	if v >= uint64(n) {
		r.Fail()
		return 0
	}
	return int(v)
}

// block reads a payload. Every number is looked at before memory is taken for it.
func (r *Parser) block(h *Header) ([]bridge.Entry, []int64) {
	// The order is that of putTables and putBatches, and then the columns.
	names := make([]string, r.Length())
	for i := range names {
		names[i] = string(r.bytes(r.Uint()))
	}
	sets := make([][]string, r.Length())
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
	shapes := make([]decodedShape, r.Length())
	for i := range shapes {
		device, set := r.index(len(names)), r.index(len(sets))
		if r.bad {
			return nil, nil
		}
		shapes[i] = decodedShape{names[device], set}
	}
	// Each batch has at least a byte in the table: a header that promises more than
	// there is gets no memory.
	n := int(h.Count.Batches)
	if n > len(r.b) {
		r.Fail()
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
	if r.bad || readings != int(h.Count.Readings) {
		r.Fail()
		return nil, nil
	}
	// One piece of memory for all readings: they are handed out and forgotten
	// together.
	slab := make([]bridge.Reading, readings)
	for s := range shapes {
		points := sets[shapes[s].set]
		for _, i := range members[s] {
			entries[i].Readings = slab[:len(points):len(points)]
			slab = slab[len(points):]
		}
	}
	var column []int
	// By shape and then in order, as gather has put them.
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

// set reads the names of the points of a set.
func (r *Parser) set(names []string) []string {
	set := make([]string, r.Length())
	previous := int64(-1)
	for j := range set {
		n := previous + 1 + r.Int()
		if r.bad || n < 0 || n >= int64(len(names)) {
			r.Fail()
			return nil
		}
		set[j], previous = names[n], n
	}
	return set
}

// batches reads the table of batches into entries and returns when in the run
// they were appended.
func (r *Parser) batches(h *Header, entries []bridge.Entry) []int64 {
	// Positions only grow, and the first and the last are those of the header: so a
	// block can neither claim what is not its own nor give a position twice.
	expected := h.First
	for i := range entries {
		p := expected + bridge.Position(r.Uint())
		if r.bad || p < expected || p > h.Last {
			r.Fail()
			return nil
		}
		entries[i].Position = p
		entries[i].Run = h.Run
		entries[i].Seq = h.Seq + uint64(p-h.First)
		expected = p + 1
	}
	if len(entries) == 0 || entries[len(entries)-1].Position != h.Last || entries[0].Position != h.First {
		r.Fail()
		return nil
	}
	for i, flags := range r.bytes(uint64(len(entries))) {
		entries[i].Unsynced = flags&1 != 0
	}
	var at, offset int64
	for i := range entries {
		at += r.Int()
		entries[i].At = time.UnixMilli(at).UTC()
	}
	mono := make([]int64, len(entries))
	for i := range entries {
		offset += r.Int()
		mono[i] = entries[i].At.UnixMilli() - offset
	}
	return mono
}

// column reads the values of one point into the batches that have it.
func (r *Parser) column(entries []bridge.Entry, batches []int, point int, name string) {
	var of [len(columnKinds)][]int // the batches with a value of each kind, in order
	next := 0
	for range r.Length() {
		k, n := r.byte(), r.Uint()
		if r.bad || int(k) >= len(columnKinds) || n > uint64(len(batches)-next) {
			r.Fail()
			return
		}
		// Mostly all are of one kind: then the list of batches serves as it is. Its
		// capacity ends with it, so that a later append makes a list of its own.
		if of[k] == nil {
			of[k] = batches[next : next+int(n) : next+int(n)]
		} else {
			of[k] = append(of[k], batches[next:next+int(n)]...)
		}
		next += int(n)
	}
	if next != len(batches) {
		r.Fail()
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
func (r *Parser) kind(k bridge.Kind, n int, put func(i int, v bridge.Value)) {
	switch k {
	case bridge.KindBad:
		for i := 0; i < n && !r.bad; i++ {
			put(i, bridge.Bad(r.reason()))
		}
	case bridge.KindBool:
		b := r.bytes(uint64(n+7) / 8)
		for i := 0; i < n && !r.bad; i++ {
			put(i, bridge.Bool(b[i/8]>>(i%8)&1 != 0))
		}
	case bridge.KindInt, bridge.KindUint:
		var v uint64
		for i := 0; i < n && !r.bad; i++ {
			v += uint64(r.Int())
			put(i, bridge.FromBits(k, v))
		}
	case bridge.KindFloat32, bridge.KindFloat64:
		r.floats(k, n, put)
	case bridge.KindString:
		s := ""
		for i := 0; i < n && !r.bad; i++ {
			if length := r.Uint(); length > 0 {
				s = string(r.bytes(length - 1))
			}
			put(i, bridge.String(s))
		}
	}
}

// reason reads why a reading is bad.
func (r *Parser) reason() bridge.Reason {
	if r.narrow {
		return bridge.Reason(r.byte())
	}
	v := r.Uint()
	if v > math.MaxUint16 {
		r.Fail()
	}
	return bridge.Reason(v)
}

// floats reads n values of kind k as decimals or as differences of bits, whichever
// the encoder found shorter.
func (r *Parser) floats(k bridge.Kind, n int, put func(i int, v bridge.Value)) {
	how := r.byte()
	if how > floatDecimal+maxDecimals {
		r.Fail()
		return
	}
	if how != floatBits {
		var v int64
		for i := 0; i < n && !r.bad; i++ {
			v += r.Int()
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
