package ledger

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// maxLine is the longest line that is read, in bytes: AWS IoT Core takes
// messages of 128 KiB, and as a JSON string one may take six times that.
const maxLine = 1 << 20

// maxUnreadable is how many unreadable lines are told one by one.
const maxUnreadable = 10

// Read reads messages from r, one a line, until its end. A line is
//
//   - the payload alone;
//   - a topic, a space and the payload, as mosquitto_sub -F '%t %p' prints it;
//   - an object with the payload in its member "payload", as it is or as a
//     string, as mosquitto_sub -F '%J' or '%j' prints it.
//
// Lines that are none of these are counted and told in the report, and so are
// messages that no gateway has sent. source names r there. The error is r's, or
// ctx's.
func (l *Ledger) Read(ctx context.Context, source string, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var line []byte
	for n := 1; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var long bool
		var err error
		line, long, err = readLine(in, line[:0])
		switch {
		case long:
			l.unreadable(source, n, fmt.Errorf("the line is longer than %d bytes", maxLine))
		case len(bytes.TrimSpace(line)) > 0:
			if err := l.add(line); err != nil {
				l.unreadable(source, n, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine appends a line without its end to buf; what is beyond maxLine is
// read and left out.
func readLine(in *bufio.Reader, buf []byte) (line []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(buf)+len(part) > maxLine {
			long = true
		} else {
			buf = append(buf, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, long, err
		}
	}
}

func (l *Ledger) unreadable(source string, line int, why error) {
	l.unread++
	if len(l.bad) < maxUnreadable {
		l.bad = append(l.bad, Unreadable{source, line, why.Error()})
	}
}

// wrapped is a message with its topic in one object.
type wrapped struct {
	Payload json.RawMessage `json:"payload"`
}

// add takes one line.
func (l *Ledger) add(line []byte) error {
	payload := bytes.TrimSpace(line)
	if payload[0] != '{' {
		_, rest, found := bytes.Cut(payload, []byte(" "))
		if payload = bytes.TrimSpace(rest); !found || len(payload) == 0 || payload[0] != '{' {
			if found {
				l.others++ // a topic with something that is not an object
				return nil
			}
			return errors.New("it is neither a JSON object nor a topic with one")
		}
	}
	var w wrapped
	if err := json.Unmarshal(payload, &w); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if len(w.Payload) > 0 {
		payload = w.Payload
		if payload[0] == '"' {
			var text string
			if err := json.Unmarshal(payload, &text); err != nil {
				return fmt.Errorf("payload: %w", err)
			}
			payload = []byte(text)
		}
	}
	return l.Add(payload)
}

// message is any message of a gateway; which members are there says of what kind.
type message struct {
	V       int               `json:"v"`
	Gateway string            `json:"gateway"`
	Run     string            `json:"run"`
	Type    string            `json:"type"`
	Batches []json.RawMessage `json:"batches"`
	Devices []json.RawMessage `json:"devices"`
	Seq     json.RawMessage   `json:"seq"`
}

// Add takes one message. An error says that it looks like one of a gateway, but
// cannot be understood. It may have been taken in part then.
func (l *Ledger) Add(payload []byte) error {
	var m message
	if err := json.Unmarshal(payload, &m); err != nil {
		var other *json.UnmarshalTypeError
		if errors.As(err, &other) {
			l.others++ // an object with other meanings of the same names
			return nil
		}
		return fmt.Errorf("not JSON: %w", err)
	}
	if m.Gateway == "" || m.Run == "" || m.V == 0 {
		l.others++
		return nil
	}
	if m.V != 1 {
		return fmt.Errorf("message of version %d: this program knows 1", m.V)
	}
	switch {
	case m.Type != "" && m.Seq == nil: // flat may have a point called type
		l.status++
		return l.addStatus(&m, payload)
	case m.Batches != nil:
		l.messages++
		return l.addRows(&m)
	case m.Devices != nil:
		l.messages++
		return l.addColumns(&m)
	case m.Seq != nil:
		l.messages++
		return l.addFlat(&m, payload)
	}
	l.others++
	return nil
}

// addStatus takes a status message: run records and tombstones matter.
func (l *Ledger) addStatus(m *message, payload []byte) error {
	switch m.Type {
	case "online":
		var birth struct {
			Runs []struct {
				Run             string `json:"run"`
				Gateway         string `json:"gateway"` // whose it is, if not the teller's; so below
				Previous        string `json:"previous"`
				PreviousGateway string `json:"previous_gateway"`
				PreviousLast    uint64 `json:"previous_last"`
			} `json:"runs"`
		}
		if err := json.Unmarshal(payload, &birth); err != nil {
			return fmt.Errorf("birth: %w", err)
		}
		for _, record := range birth.Runs {
			if record.Run == "" {
				return errors.New("birth: a run record without run")
			}
			l.run(cmp.Or(record.Gateway, m.Gateway), record.Run).recorded = true
			if record.Previous != "" {
				p := l.run(cmp.Or(record.PreviousGateway, m.Gateway), record.Previous)
				p.followed, p.previousLast = true, max(p.previousLast, min(record.PreviousLast, maxSeq))
			}
		}
	case "lost":
		return l.addStone(m, payload)
	}
	return nil
}

// addStone takes a tombstone.
func (l *Ledger) addStone(m *message, payload []byte) error {
	var lost struct {
		Lost *struct {
			Run     string `json:"run"`
			Gateway string `json:"gateway"` // whose it is, if not the teller's
			First   uint64 `json:"first"`
			Last    uint64 `json:"last"`
			Cause   string `json:"cause"`
		} `json:"lost"`
	}
	if err := json.Unmarshal(payload, &lost); err != nil {
		return fmt.Errorf("tombstone: %w", err)
	}
	t := lost.Lost
	if t == nil || t.Run == "" || t.Last != 0 && t.Last < t.First {
		return errors.New("tombstone: it does not say what is lost")
	}
	if t.Last == 0 {
		t.Last = math.MaxUint64
	}
	r := l.run(cmp.Or(t.Gateway, m.Gateway), t.Run)
	s := stone{first: max(t.First, 1), last: t.Last, cause: t.Cause}
	for _, old := range r.stones {
		if old == s {
			return nil // told twice
		}
	}
	r.stones = append(r.stones, s)
	return nil
}
