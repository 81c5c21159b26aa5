package attendance

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Entry is what is remembered of a sensor: of a device under a rule, or of the rule
// alone if Device is empty.
type Entry struct {
	Broker, Rule string
	Device       string   // what it is called, of which its name is made
	Topic, From  string   // of its last message; may be empty
	Points       []string // what they are called and types in turn, those that the rule does not name
	Rhythm       Rhythm
	// Silent is how long nobody heard it while the gateway listened.
	Silent time.Duration
	// Heard is when it was heard last, by the wall clock; zero if that is not known,
	// or the clock was not known to be right.
	Heard time.Time
	// Told is that it was said to be silent.
	Told bool
}

// The bounds of what is written.
const (
	// MostEntries is how many sensors are remembered.
	MostEntries = 20000
	// perPage is how many entries are written under one key.
	perPage = 1000
	// mostBytes is how large what is read may be, unpacked: more is not ours.
	mostBytes = 8 << 20
	// version is the first byte of what is written.
	version = 1
)

var errEntries = errors.New("these are not entries")

// pack writes one page of entries: what does not change while a sensor is well.
func pack(page []Entry, withTopics bool) []byte {
	var out bytes.Buffer
	out.WriteByte(version)
	w, _ := flate.NewWriter(&out, flate.DefaultCompression) // the level is right
	var b []byte
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = binary.AppendUvarint(b, uint64(len(page)))
	for i := range page {
		e := &page[i]
		text(e.Broker)
		text(e.Rule)
		text(e.Device)
		topic, from := e.Topic, e.From
		if !withTopics {
			topic, from = "", ""
		}
		text(topic)
		text(from)
		b = binary.AppendUvarint(b, uint64(len(e.Points)))
		for _, p := range e.Points {
			text(p)
		}
		longest, _ := e.Rhythm.Longest()
		b = binary.AppendUvarint(b, uint64(min(e.Rhythm.gaps, leastGaps)))
		b = binary.AppendUvarint(b, uint64(coarse(longest).Milliseconds()))
	}
	_, _ = w.Write(b) // a buffer takes all
	_ = w.Close()
	return out.Bytes()
}

// coarse rounds a pause up to a step of an eighth: so what is written stays the same
// while a rhythm only wavers.
func coarse(d time.Duration) time.Duration {
	step := time.Second
	for step < d/16 {
		step *= 2
	}
	return (d + step - 1) / step * step
}

// unpack reads a page.
func unpack(data []byte) ([]Entry, error) {
	r, err := open(data)
	if err != nil {
		return nil, err
	}
	n := r.number(perPage)
	var page []Entry
	for range n {
		e := Entry{Broker: r.text(), Rule: r.text(), Device: r.text(), Topic: r.text(), From: r.text()}
		for range r.number(2 * mostPoints) {
			e.Points = append(e.Points, r.text())
		}
		gaps, longest := r.number(leastGaps), r.number(1<<32-1)
		e.Rhythm = recalled(uint32(gaps), time.Duration(longest)*time.Millisecond)
		if r.bad {
			return nil, errEntries
		}
		page = append(page, e)
	}
	return page, nil
}

// mostPoints is how many points of a device are remembered by name.
const mostPoints = 1000

// reader reads numbers and texts; bad is that there was something else.
type reader struct {
	rest []byte
	bad  bool
}

func open(data []byte) (*reader, error) {
	if len(data) == 0 || data[0] != version {
		return nil, errEntries
	}
	all, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[1:])), mostBytes))
	if err != nil {
		return nil, errEntries
	}
	return &reader{rest: all}, nil
}

func (r *reader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() string {
	n := r.number(uint64(len(r.rest)))
	if n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
