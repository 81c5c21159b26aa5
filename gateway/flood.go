package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// floodWindow is how long events of one kind are counted together.
	floodWindow = 10 * time.Second
	// floodBurst lines of one kind pass in a window: thirty devices that go down at
	// once are thirty events, a cloud that sends five hundred commands a second is
	// a flood.
	floodBurst = 50
)

// dam is a handler that nothing floods: who makes many events of one kind, from
// the cloud or from a sensor, must not fill the disk or hide the other events. In a
// flood one line in ten seconds passes, with the count of those that did not. A
// kind is a line's message; its details come as attributes. What is asked for at
// level debug passes always.
type dam struct {
	next  slog.Handler
	kinds *tallies
}

type tallies struct {
	mu sync.Mutex
	by map[string]*tally // guarded by mu; messages are the program's own, so there are few
}

// tally is what came of one kind.
type tally struct {
	since   time.Time // the window's begin
	came    int       // in it
	flooded bool      // the window before had too many
	kept    int       // back since the last line
}

func newDam(next slog.Handler) dam { return dam{next, &tallies{by: make(map[string]*tally)}} }

// pass reports whether a line of a kind is written, and how many were kept back
// before it.
func (t *tallies) pass(kind string, now time.Time) (kept int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.by[kind]
	if k == nil {
		k = &tally{since: now}
		t.by[kind] = k
	}
	if now.Sub(k.since) >= floodWindow {
		k.flooded = k.came > floodBurst && now.Sub(k.since) < 2*floodWindow
		k.since, k.came = now, 0
	}
	k.came++
	if k.came > floodBurst || k.flooded && k.came > 1 {
		k.kept++
		return 0, false
	}
	kept, k.kept = k.kept, 0
	return kept, true
}

// Enabled implements slog.Handler.
func (d dam) Enabled(ctx context.Context, level slog.Level) bool { return d.next.Enabled(ctx, level) }

// Handle implements slog.Handler.
func (d dam) Handle(ctx context.Context, r slog.Record) error {
	if r.Level > slog.LevelDebug {
		kept, ok := d.kinds.pass(r.Message, time.Now())
		if !ok {
			return nil
		}
		if kept > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("others_since_last_line", kept))
		}
	}
	return d.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (d dam) WithAttrs(attrs []slog.Attr) slog.Handler { return dam{d.next.WithAttrs(attrs), d.kinds} }

// WithGroup implements slog.Handler.
func (d dam) WithGroup(name string) slog.Handler { return dam{d.next.WithGroup(name), d.kinds} }
