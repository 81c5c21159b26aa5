package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"fieldbridge/bridge"
)

// Kinds of records. The numbers are part of the format.
const (
	kindBatch = 2
	kindDone  = 3 // positions that are acknowledged, dropped or buried
	kindAgain = 4 // a batch that was a dead letter
)

// Entry is a batch as the queue numbered it.
type Entry struct {
	Position bridge.Position
	Seq      uint64
	Mono     int64 // run time when it was appended, ms
	// Letter is the number of the dead letter that it was, 0 for none. It is one until
	// the batch is on disk.
	Letter bridge.Position
	bridge.Batch
}

// Record is one of the two: exactly one field is set.
type Record struct {
	Entry *Entry            // a batch of the journal's run
	Done  []bridge.Position // positions that need not be kept
}

// ErrRecord is of a record that was not written by this format.
var ErrRecord = errors.New("the journal holds a record of another format")

// AppendDone appends the record of positions that are done to b.
func AppendDone(b []byte, positions []bridge.Position) []byte {
	b = append(b, kindDone)
	var last bridge.Position
	for _, p := range positions {
		b = binary.AppendVarint(b, int64(p-last))
		last = p
	}
	return b
}

// AppendEntry appends the record of a batch to b; letter is the number of the dead
// letter that it was, 0 for none.
func AppendEntry(
	b []byte, position bridge.Position, seq uint64, mono int64, letter bridge.Position, batch *bridge.Batch,
) []byte {
	if letter == 0 {
		b = append(b, kindBatch)
	} else {
		b = append(b, kindAgain)
		b = binary.AppendUvarint(b, uint64(letter))
	}
	b = binary.AppendUvarint(b, uint64(position))
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendUvarint(b, uint64(mono))
	b = binary.AppendVarint(b, batch.At.UnixMilli())
	unsynced := byte(0)
	if batch.Unsynced {
		unsynced = 1
	}
	b = append(b, unsynced)
	b = appendText(b, batch.Device)
	b = binary.AppendUvarint(b, uint64(len(batch.Readings)))
	for i := range batch.Readings {
		r := &batch.Readings[i]
		b = appendText(b, r.Point)
		kind := r.Value.Kind()
		b = append(b, byte(kind))
		if kind == bridge.KindString {
			b = appendText(b, r.Value.Str())
			continue
		}
		b = binary.LittleEndian.AppendUint64(b, r.Value.Bits())
	}
	return b
}

func appendText(b []byte, s string) []byte {
	if len(s) < 0x80 {
		b = append(b, byte(len(s)))
	} else {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	return append(b, s...)
}

// Decoder reads records. It keeps one copy of each name. The zero Decoder is
// ready; one goroutine uses it.
type Decoder struct{ names map[string]string }

// Decode reads a record, of which it keeps nothing.
func (d *Decoder) Decode(b []byte) (Record, error) {
	if len(b) == 0 {
		return Record{}, ErrRecord
	}
	r := reader{rest: b[1:]}
	switch b[0] {
	case kindDone:
		var done []bridge.Position
		var last int64
		for len(r.rest) > 0 && r.err == nil {
			last += r.varint()
			done = append(done, bridge.Position(last))
		}
		return Record{Done: done}, r.err
	case kindBatch:
		return d.entry(&r, 0)
	case kindAgain:
		if letter := bridge.Position(r.uvarint()); letter != 0 {
			return d.entry(&r, letter)
		}
	}
	return Record{}, fmt.Errorf("%w: kind %d", ErrRecord, b[0])
}

func (d *Decoder) entry(r *reader, letter bridge.Position) (Record, error) {
	e := &Entry{Position: bridge.Position(r.uvarint()), Seq: r.uvarint(), Mono: int64(r.uvarint()), Letter: letter}
	e.At = time.UnixMilli(r.varint())
	e.Unsynced = r.byte() == 1
	e.Device = d.name(r.text())
	n := r.uvarint()
	const least = 3 // bytes of a reading: two lengths and a kind
	if n > uint64(len(r.rest))/least {
		return Record{}, ErrRecord
	}
	e.Readings = make([]bridge.Reading, n)
	for i := range e.Readings {
		e.Readings[i] = bridge.Reading{Point: d.name(r.text()), Value: r.value()}
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = ErrRecord
	}
	if r.err != nil {
		return Record{}, r.err
	}
	return Record{Entry: e}, nil
}

// name returns the one copy of a name.
func (d *Decoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if d.names == nil {
		d.names = make(map[string]string)
	}
	s := string(b)
	d.names[s] = s
	return s
}

// reader takes a record apart; after the first error it returns zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.rest)) {
		r.err = ErrRecord
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); r.err == nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.err = ErrRecord
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.err = ErrRecord
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() []byte { return r.take(r.uvarint()) }

// value reads a value as the store does: no NaN comes back.
func (r *reader) value() bridge.Value {
	kind := bridge.Kind(r.byte())
	if kind == bridge.KindString {
		return bridge.String(string(r.text()))
	}
	b := r.take(8)
	if r.err != nil {
		return bridge.Value{}
	}
	bits := binary.LittleEndian.Uint64(b)
	switch kind {
	case bridge.KindBad, bridge.KindInt, bridge.KindUint:
		return bridge.FromBits(kind, bits)
	case bridge.KindBool:
		return bridge.Bool(bits != 0)
	case bridge.KindFloat32:
		return bridge.Float32(math.Float32frombits(uint32(bits)))
	case bridge.KindFloat64:
		return bridge.Float64(math.Float64frombits(bits))
	}
	r.err = ErrRecord
	return bridge.Value{}
}
