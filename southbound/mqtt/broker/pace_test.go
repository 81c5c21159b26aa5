package broker

import (
	"testing"
	"time"
)

// TestPace: a client that waits for its acknowledgements is found out, one that goes
// on or is only slow is not.
func TestPace(t *testing.T) {
	const commit = 200 * time.Millisecond
	// send has a client send, at most window at a time, a message every so often, to
	// one who answers all each commit, or at once when it is held. It returns how many
	// of the messages were held back for longer than their interval.
	send := func(window int, every time.Duration, messages int) (held, late int) {
		var p pace
		now := time.Unix(0, 0)
		var waiting []time.Time // when they were due
		due, answer := now, now.Add(commit)
		for sent := 0; sent < messages; {
			if next := due; len(waiting) < window && !next.After(answer) {
				now = next
				if p.last.After(now) || p.acked.After(now) {
					now = p.acked.Add(time.Millisecond)
				}
				waiting = append(waiting, due)
				due = due.Add(every)
				if sent++; p.came(len(waiting), now) > 0 {
					held++
					answer = now.Add(time.Millisecond)
				}
				continue
			}
			now = answer
			for _, d := range waiting {
				if now.Sub(d) > max(every, commit)+commit/2 {
					late++
				}
			}
			if len(waiting) > 0 {
				waiting = waiting[:0]
				p.answered(now)
			}
			answer = now.Add(commit)
		}
		return held, late
	}
	for _, tt := range []struct {
		name     string
		window   int
		every    time.Duration
		messages int
		held     bool
	}{
		{"one at a time, 20 a second", 1, 50 * time.Millisecond, 400, true},
		{"two at a time, 20 a second", 2, 50 * time.Millisecond, 400, true},
		{"a window of 20, 20 a second", 20, 50 * time.Millisecond, 400, false},
		{"one a second", 20, 1010 * time.Millisecond, 400, false},
		{"a thousand a second", 1000, time.Millisecond, 4000, false},
	} {
		held, late := send(tt.window, tt.every, tt.messages)
		if tt.held && (held < tt.messages/(2*tt.window) || late > 60) || !tt.held && held > 0 {
			t.Errorf("%s: held %d times, %d late", tt.name, held, late)
		}
	}
}
