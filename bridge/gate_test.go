package bridge

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// drive publishes messages of size on lane as fast as the gate lets it, each
// acknowledged after rtt, and counts them.
func drive(ctx context.Context, wg *sync.WaitGroup, g *gate, lane Lane, size int, rtt time.Duration,
	count *atomic.Int64) {
	wg.Go(func() {
		for g.enter(ctx, lane) {
			g.charge(lane, size)
			count.Add(1)
			wg.Go(func() {
				time.Sleep(rtt) // the bubble's clock
				g.leave()
			})
		}
	})
}

func run(t *testing.T, limits Limits, share float64, span time.Duration, sizes [2]int, lanes ...Lane) (counts [2]int) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		g := newGate(limits, share)
		var wg sync.WaitGroup
		var sent [2]atomic.Int64
		for _, l := range lanes {
			drive(ctx, &wg, g, l, sizes[l], 20*time.Millisecond, &sent[l])
		}
		wg.Wait()
		counts = [2]int{int(sent[0].Load()), int(sent[1].Load())}
	})
	return counts
}

func between(t *testing.T, what string, got, low, high int) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s: got %d, want %d to %d", what, got, low, high)
	}
}

func TestGateRate(t *testing.T) {
	both := Limits{Window: 20, Messages: 80, Bytes: 400 << 10}
	c := run(t, both, 0.8, 100*time.Second, [2]int{1000, 1000}, Fresh)
	between(t, "messages bind", c[Fresh], 7990, 8020)
	c = run(t, both, 0.8, 100*time.Second, [2]int{10240, 10240}, Backlog)
	between(t, "bytes bind", c[Backlog], 3990, 4015)
	c = run(t, Limits{Window: 5}, 0.8, 10*time.Second, [2]int{1000, 1000}, Fresh)
	between(t, "the window binds", c[Fresh], 2490, 2510)
}

// TestGateSecond checks AWS's rule: in no second more than 100 messages.
func TestGateSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		g := newGate(Limits{Window: 100, Messages: 80}, 0.8)
		var times []time.Time
		for g.enter(ctx, Fresh) {
			g.charge(Fresh, 100)
			times = append(times, time.Now())
			g.leave()
		}
		for i := range times {
			n := 0
			for j := i; j < len(times) && times[j].Sub(times[i]) < time.Second; j++ {
				n++
			}
			if n > 100 {
				t.Fatalf("%d messages in the second after %v", n, times[i].Sub(times[0]))
			}
		}
	})
}

func TestGateShare(t *testing.T) {
	limits := Limits{Window: 20, Messages: 80, Bytes: 400 << 10}
	c := run(t, limits, 0.8, 100*time.Second, [2]int{1000, 1000}, Fresh, Backlog)
	between(t, "fresh", c[Fresh], 6000, 6600)
	between(t, "backlog", c[Backlog], 1450, 1900)
	// The backlog's messages are large: the share is of what binds.
	c = run(t, limits, 0.5, 100*time.Second, [2]int{5120, 102400}, Fresh, Backlog)
	between(t, "small fresh", c[Fresh], 3000, 4200)
	between(t, "large backlog", c[Backlog], 190, 250)
	// Without a rate, the window is shared.
	c = run(t, Limits{Window: 10}, 0.8, 100*time.Second, [2]int{1000, 1000}, Fresh, Backlog)
	between(t, "fresh by window", c[Fresh]*100/(c[Fresh]+c[Backlog]), 65, 85)
}

// TestGateIdleLaneSavesNothing lets fresh be idle for a long time: afterwards
// it gets its share, not all of the time that it did not use.
func TestGateIdleLaneSavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Second)
		defer cancel()
		g := newGate(Limits{Window: 20, Messages: 80}, 0.5)
		var wg sync.WaitGroup
		var fresh, backlog atomic.Int64
		drive(ctx, &wg, g, Backlog, 100, time.Millisecond, &backlog)
		time.Sleep(100 * time.Second) // the bubble's clock
		before := backlog.Load()
		drive(ctx, &wg, g, Fresh, 100, time.Millisecond, &fresh)
		wg.Wait()
		between(t, "backlog in the second half", int(backlog.Load()-before), 3950, 4050)
		between(t, "fresh", int(fresh.Load()), 3950, 4050)
	})
}

func TestGatePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Window: 20}, 0.8)
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			if got := g.refused(); got != want {
				t.Errorf("pause %v, want %v", got, want)
			}
			if g.refused() != 0 {
				t.Error("refusals of one flight count more than once")
			}
			start := time.Now()
			if !g.enter(t.Context(), Fresh) || time.Since(start) != want {
				t.Errorf("entered after %v, want %v", time.Since(start), want)
			}
			g.leave()
		}
		g.accepted()
		if got := g.refused(); got != time.Second {
			t.Errorf("after an acknowledgement: pause %v", got)
		}
		for range 10 {
			g.enter(t.Context(), Fresh)
			g.leave()
			g.refused()
		}
		if g.pause != time.Minute {
			t.Errorf("longest pause %v", g.pause)
		}
	})
}

// TestNarrowWindow: where memory is short a quarter of the window is in flight, and one
// message at the least.
func TestNarrowWindow(t *testing.T) {
	for window, want := range map[int]int{20: 5, 3: 1, 1: 1} {
		var f Forwarder
		g := newGate(Limits{Window: window}, 0.8)
		g.narrow = &f.narrow
		enter := func() (n int) {
			for {
				if _, ok := g.try(Fresh); !ok {
					return n
				}
				n++
			}
		}
		f.Shed()
		if n := enter(); n != want {
			t.Errorf("%d of %d are in flight, want %d", n, window, want)
		}
		f.Regain()
		if n := enter(); n != window-want {
			t.Errorf("then %d more, want %d", n, window-want)
		}
	}
}
