package bridge_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"

	"github.com/google/go-cmp/cmp"
)

// recorder is a queue that only takes.
type recorder struct {
	bridge.Queue
	mu      sync.Mutex
	batches []bridge.Batch
	safes   []func(error)
}

func (r *recorder) Append(b bridge.Batch, safe func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, b)
	r.safes = append(r.safes, safe)
}

// fits is a format of which so many readings fit in a message.
type fits struct {
	bridge.Format
	n int
}

func (f fits) Fit(b *bridge.Batch) (n, size int) {
	n = min(f.n, len(b.Readings))
	return n, n
}

func always(v bool) func() bool { return func() bool { return v } }

func good(point string, v int64) bridge.Reading {
	return bridge.Reading{Point: point, Value: bridge.Int(v)}
}
func bad(point string, r bridge.Reason) bridge.Reading {
	return bridge.Reading{Point: point, Value: bridge.Bad(r)}
}

// delivered flattens what has been appended.
func (r *recorder) delivered() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, b := range r.batches {
		for _, reading := range b.Readings {
			out = append(out, b.Device+"."+reading.Point+"="+reading.Value.String())
		}
	}
	r.batches = nil
	return out
}

func TestBadReadingsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &recorder{}
		c := bridge.NewCollector(q, fits{n: 100}, nil, always(true), slog.New(slog.DiscardHandler))
		emit := func(readings ...bridge.Reading) []string {
			c.Emit(bridge.Batch{Device: "d", At: time.Now(), Readings: readings}, nil)
			return q.delivered()
		}
		for i, step := range []struct {
			wait     time.Duration
			readings []bridge.Reading
			want     []string
		}{
			{0, []bridge.Reading{good("a", 1), good("b", 2)}, []string{"d.a=1", "d.b=2"}},
			{time.Second, []bridge.Reading{bad("a", bridge.ReasonTimeout), good("b", 3)}, []string{"d.a=bad: timeout", "d.b=3"}},
			{time.Second, []bridge.Reading{bad("a", bridge.ReasonTimeout), good("b", 4)}, []string{"d.b=4"}},
			{time.Second, []bridge.Reading{bad("a", bridge.ReasonTimeout)}, nil},
			{time.Second, []bridge.Reading{bad("a", bridge.Exception(2))}, []string{"d.a=bad: exception_2"}},
			{bridge.BadHeartbeat - time.Second, []bridge.Reading{bad("a", bridge.Exception(2))}, nil},
			{time.Second, []bridge.Reading{bad("a", bridge.Exception(2))}, []string{"d.a=bad: exception_2"}},
			{time.Second, []bridge.Reading{good("a", 5)}, []string{"d.a=5"}},
			{time.Second, []bridge.Reading{bad("a", bridge.Exception(2))}, []string{"d.a=bad: exception_2"}},
		} {
			time.Sleep(step.wait) // the bubble's clock
			if diff := cmp.Diff(step.want, emit(step.readings...)); diff != "" {
				t.Errorf("step %d: %s", i, diff)
			}
		}
	})
}

func TestNothingLeftIsSafe(t *testing.T) {
	q := &recorder{}
	c := bridge.NewCollector(q, fits{n: 100}, nil, always(true), slog.New(slog.DiscardHandler))
	c.Emit(bridge.Batch{Device: "d", Readings: []bridge.Reading{bad("a", bridge.ReasonType)}}, nil)
	called := 0
	c.Emit(bridge.Batch{Device: "d", Readings: []bridge.Reading{bad("a", bridge.ReasonType)}}, func(err error) {
		if err != nil {
			t.Error(err)
		}
		called++
	})
	if called != 1 || len(q.batches) != 1 {
		t.Errorf("safe called %d times, %d batches", called, len(q.batches))
	}
}

func TestSplit(t *testing.T) {
	q := &recorder{}
	c := bridge.NewCollector(q, fits{n: 2}, nil, always(false), slog.New(slog.DiscardHandler))
	var results []error
	c.Emit(bridge.Batch{Device: "d", Readings: []bridge.Reading{good("a", 1), good("b", 2), good("c", 3),
		good("d", 4), good("e", 5)}},
		func(err error) { results = append(results, err) })
	var sizes []int
	for _, b := range q.batches {
		sizes = append(sizes, len(b.Readings))
		if !b.Unsynced {
			t.Error("batch is not marked as of an unsynced clock")
		}
	}
	if diff := cmp.Diff([]int{2, 2, 1}, sizes); diff != "" {
		t.Fatal(diff)
	}
	full := errors.New("full")
	q.safes[1](nil)
	q.safes[0](full)
	if len(results) != 0 {
		t.Fatal("safe called before all parts are")
	}
	q.safes[2](nil)
	if len(results) != 1 || !errors.Is(results[0], full) {
		t.Errorf("got %v", results)
	}
}

type failing struct{ runs chan struct{} }

func (f failing) Run(context.Context, bridge.Emit) error {
	f.runs <- struct{}{}
	return errors.New("broken")
}

type endless struct{}

func (endless) Run(ctx context.Context, _ bridge.Emit) error { <-ctx.Done(); return ctx.Err() }

func TestSourceThatEndsIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := bridge.NewCollector(&recorder{}, fits{n: 1}, nil, always(true), slog.New(slog.DiscardHandler))
		f := failing{make(chan struct{})}
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx, f, endless{}) }()
		for range 3 {
			<-f.runs
		}
		cancel()
		<-done
	})
}

// A batch that passes is no piece of the heap on the way.
func TestEmitAllocatesNothing(t *testing.T) {
	c := bridge.NewCollector(nowhere{}, fits{n: 100}, nil, always(true), slog.New(slog.DiscardHandler))
	b := bridge.Batch{Device: "d", Readings: []bridge.Reading{good("a", 1)}}
	if n := testing.AllocsPerRun(100, func() { c.Emit(b, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

type nowhere struct{}

func (nowhere) Append(bridge.Batch, func(error)) {}
