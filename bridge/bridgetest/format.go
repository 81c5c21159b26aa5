package bridgetest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"fieldbridge/bridge"
)

// Format is a plain text [bridge.Format]: one line a batch, as
//
//	run-1 42 fresh boiler temp=71.5 energy=timeout!
//
// The topic is "t/" and the device's name, or Everything if it is set.
type Format struct {
	Everything string // the topic of all batches
	MaxRoom    int    // bytes of batches in a message; 0 is 4,000
	Gather     bool   // devices share messages with themselves first
}

var _ bridge.Gatherer = Format{}

// Gathers implements [bridge.Gatherer].
func (f Format) Gathers() bool { return f.Gather }

// Topic implements [bridge.Format].
func (f Format) Topic(b *bridge.Batch) string {
	if f.Everything != "" {
		return f.Everything
	}
	return "t/" + b.Device
}

// Room implements [bridge.Format].
func (f Format) Room() int {
	if f.MaxRoom == 0 {
		return 4000
	}
	return f.MaxRoom
}

// Fit implements [bridge.Format].
func (f Format) Fit(b *bridge.Batch) (n, size int) {
	size = 64 + len(b.Device) // run, seq, lane and the end of the line
	for n < len(b.Readings) {
		r := &b.Readings[n]
		s := len(r.Point) + 28 + len(r.Value.Str())
		if n > 0 && size+s > f.Room() {
			break
		}
		n, size = n+1, size+s
	}
	return max(n, 1), size
}

// Pack implements [bridge.Format].
func (f Format) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	first := &entries[0]
	m := bridge.Message{Topic: f.Topic(&first.Batch), ContentType: "text/plain"}
	n, size := 0, 0
	for i := range entries {
		e := &entries[i]
		_, s := f.Fit(&e.Batch)
		if e.Run != first.Run || e.Backlog != first.Backlog || e.Unsynced != first.Unsynced || i > 0 && size+s > f.Room() {
			break
		}
		m.Payload = appendLine(m.Payload, e)
		n, size = n+1, size+s
	}
	return m, n, nil
}

func appendLine(b []byte, e *bridge.Entry) []byte {
	lane := bridge.Fresh
	if e.Backlog {
		lane = bridge.Backlog
	}
	b = fmt.Appendf(b, "%s %d %v %s", e.Run, e.Seq, lane, e.Device)
	for _, r := range e.Readings {
		if r.Value.Good() {
			b = fmt.Appendf(b, " %s=%v", r.Point, r.Value)
		} else {
			b = fmt.Appendf(b, " %s=%v!", r.Point, r.Value.Reason())
		}
	}
	return append(b, '\n')
}

// Delivery is one line of a message of [Format].
type Delivery struct {
	Run      string
	Seq      uint64
	Backlog  bool
	Device   string
	Readings string // "temp=71.5 energy=timeout!"
}

// Deliveries reads messages of [Format] back, in order.
func Deliveries(messages []bridge.Message) ([]Delivery, error) {
	var out []Delivery
	for _, m := range messages {
		for line := range bytes.Lines(m.Payload) {
			parts := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 5)
			if len(parts) < 4 {
				return nil, fmt.Errorf("bridgetest: line %q has too few words", line)
			}
			seq, err := strconv.ParseUint(parts[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("bridgetest: line %q: %w", line, err)
			}
			d := Delivery{Run: parts[0], Seq: seq, Backlog: parts[2] == bridge.Backlog.String(), Device: parts[3]}
			if len(parts) == 5 {
				d.Readings = parts[4]
			}
			out = append(out, d)
		}
	}
	return out, nil
}
