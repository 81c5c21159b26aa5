package pause_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/pause"
)

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !pause.Sleep(t.Context(), time.Minute) || time.Since(start) != time.Minute {
			t.Errorf("slept %v", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if pause.Sleep(ctx, time.Minute) || time.Since(start) != time.Second {
			t.Errorf("the context ended after 1s, the sleep after %v", time.Since(start))
		}
		if pause.Sleep(ctx, 0) {
			t.Error("a sleep of nothing after the context's end counts as slept")
		}
		if !pause.Sleep(t.Context(), 0) {
			t.Error("a sleep of nothing was cut short")
		}
	})
}

func TestGrowing(t *testing.T) {
	g := pause.Growing{Least: time.Second, Most: 5 * time.Second}
	next := func() (all []time.Duration) {
		for range 4 {
			all = append(all, g.Next()/time.Second)
		}
		return all
	}
	want := []time.Duration{1, 2, 4, 5}
	if got := next(); !slices.Equal(got, want) {
		t.Errorf("got %v s, want %v", got, want)
	}
	if g.Last() != 5*time.Second {
		t.Errorf("the last was %v", g.Last())
	}
	g.Reset()
	if got := next(); !slices.Equal(got, want) {
		t.Errorf("after a reset: got %v s, want %v", got, want)
	}
	if d := new(pause.Growing).Next(); d != 0 {
		t.Errorf("the zero value waits %v", d)
	}
}

func TestJittered(t *testing.T) {
	for range 1000 {
		g := pause.Growing{Least: time.Second, Most: 4 * time.Second}
		for _, limit := range []time.Duration{1, 2, 4, 4} {
			if d := g.Jittered(); d < time.Second/10 || d > limit*time.Second {
				t.Fatalf("a pause of %v, limit %v s", d, limit)
			}
		}
	}
}
