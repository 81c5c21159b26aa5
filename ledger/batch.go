package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
)

// maxSeq bounds the numbers that are believed: no run counts so far.
const maxSeq = 1 << 62

// seed is of this process: nobody can prepare two contents with one hash.
var seed = maphash.MakeSeed()

// part is one thing that a batch says.
type part struct {
	kind  byte // 'd' device and time, 'p' point and value, 'b' point and reason
	name  string
	value string
}

// content is the sum of the hashes of what a batch says, so that the order of
// its points and the format of its message do not matter. Nor does how the batch
// was sent: "backlog" and "labels" may differ when it comes once more.
type content uint64

func (c *content) add(kind byte, name, value string) {
	*c += content(maphash.Comparable(seed, part{kind, name, value}))
}

func start(device string, at int64) (c content) {
	c.add('d', device, strconv.FormatInt(at, 10))
	return c
}

// note files a batch.
func (l *Ledger) note(m *message, seq uint64, c content) error {
	if seq == 0 || seq > maxSeq {
		return fmt.Errorf("batch with seq %d", seq)
	}
	l.run(m.Gateway, m.Run).add(seq, uint32(c^c>>32))
	return nil
}

// addRows takes a message in format rows.
func (l *Ledger) addRows(m *message) error {
	for _, raw := range m.Batches {
		var b struct {
			Seq    uint64                     `json:"seq"`
			Device string                     `json:"device"`
			At     int64                      `json:"at"`
			Points map[string]json.RawMessage `json:"points"`
			Bad    map[string]string          `json:"bad"`
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			return fmt.Errorf("batch: %w", err)
		}
		c := start(b.Device, b.At)
		for point, value := range b.Points {
			c.add('p', strings.TrimPrefix(point, flatMark), string(value))
		}
		for point, reason := range b.Bad {
			c.add('b', point, reason)
		}
		if err := l.note(m, b.Seq, c); err != nil {
			return err
		}
	}
	return nil
}

// group is one element of "devices" in format columns: seq and at begin with a
// value and go on with differences.
type group struct {
	Device string                       `json:"device"`
	Seq    []json.Number                `json:"seq"` // the first may need 64 bits, the rest may be negative
	At     []int64                      `json:"at"`
	Points map[string][]json.RawMessage `json:"points"`
	Bad    map[string]map[string]string `json:"bad"`
}

// addColumns takes a message in format columns.
func (l *Ledger) addColumns(m *message) error {
	for _, raw := range m.Devices {
		var g group
		if err := json.Unmarshal(raw, &g); err != nil {
			return fmt.Errorf("device: %w", err)
		}
		if len(g.Seq) != len(g.At) {
			return fmt.Errorf("device %s: %d seqs and %d times", g.Device, len(g.Seq), len(g.At))
		}
		contents, err := g.contents()
		if err != nil {
			return fmt.Errorf("device %s: %w", g.Device, err)
		}
		var seq int64
		for i, text := range g.Seq {
			n, err := strconv.ParseInt(text.String(), 10, 64)
			if err != nil {
				return fmt.Errorf("device %s: seq: %w", g.Device, err)
			}
			if seq += n; seq <= 0 {
				return fmt.Errorf("device %s: batch with seq %d", g.Device, seq)
			}
			if err := l.note(m, uint64(seq), contents[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// contents returns what each batch of g says.
func (g *group) contents() ([]content, error) {
	all := make([]content, len(g.Seq))
	var at int64
	for i, d := range g.At {
		at += d
		all[i] = start(g.Device, at)
	}
	for point, column := range g.Points {
		if len(column) > len(all) {
			return nil, fmt.Errorf("a point has more values than the %d batches", len(all))
		}
		for i, value := range column {
			if string(value) != "null" {
				all[i].add('p', point, string(value))
			}
		}
	}
	for point, reasons := range g.Bad {
		for index, reason := range reasons {
			i, err := strconv.Atoi(index)
			if err != nil || i < 0 || i >= len(all) {
				return nil, fmt.Errorf("a point is bad outside of the %d batches", len(all))
			}
			all[i].add('b', point, reason)
		}
	}
	return all, nil
}

// flatKeys are the members of a message in format flat that are not points. A point
// called like one of them has flatMark before its name.
var flatKeys = map[string]bool{"backlog": true, "bad": true, "clock": true, "device": true, "gateway": true,
	"labels": true, "run": true, "seq": true, "timestamp": true, "v": true}

const flatMark = "_"

// addFlat takes a message in format flat.
func (l *Ledger) addFlat(m *message, payload []byte) error {
	var b struct {
		Seq       uint64            `json:"seq"`
		Device    string            `json:"device"`
		Timestamp *int64            `json:"timestamp"`
		Bad       map[string]string `json:"bad"`
	}
	var members map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(payload, &b), json.Unmarshal(payload, &members)); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if b.Timestamp == nil {
		return errors.New("batch: it has no timestamp")
	}
	c := start(b.Device, *b.Timestamp)
	for point, value := range members {
		if !flatKeys[point] {
			c.add('p', strings.TrimPrefix(point, flatMark), string(value))
		}
	}
	for point, reason := range b.Bad {
		c.add('b', strings.TrimPrefix(point, flatMark), reason)
	}
	return l.note(m, b.Seq, c)
}
