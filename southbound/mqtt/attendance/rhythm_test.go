package attendance

import (
	"testing"
	"time"
)

func TestRhythm(t *testing.T) {
	now := time.Now()
	var r Rhythm
	r.Heard(now)
	for i := range 19 {
		now = now.Add(time.Minute)
		r.Heard(now)
		if _, ok := r.Longest(); ok || r.Allowed() != Day {
			t.Fatalf("a rhythm after %d pauses", i+1)
		}
	}
	now = now.Add(7 * time.Minute)
	r.Heard(now)
	if got := r.Allowed(); got != 21*time.Minute {
		t.Errorf("allowed: %v", got)
	}
	// The long pause counts for the hundred that follow, and not much longer.
	for range 99 {
		now = now.Add(time.Minute)
		r.Heard(now)
	}
	if got := r.Allowed(); got != 21*time.Minute {
		t.Errorf("after 99 more: %v", got)
	}
	for range 11 {
		now = now.Add(time.Minute)
		r.Heard(now)
	}
	if got := r.Allowed(); got != LeastQuiet {
		t.Errorf("after 110 more: %v", got)
	}
}

// Messages of one second are one: values that have topics of their own, or a
// sensor that speaks ten times a second.
func TestBurst(t *testing.T) {
	now := time.Now()
	var r Rhythm
	for range 3 {
		for range 30 {
			r.Heard(now)
			now = now.Add(10 * time.Millisecond)
		}
		now = now.Add(time.Hour)
	}
	if _, ok := r.Longest(); ok || r.gaps != 2 {
		t.Errorf("%d pauses", r.gaps)
	}
	var fast Rhythm
	for range 300 {
		fast.Heard(now)
		now = now.Add(100 * time.Millisecond)
	}
	if longest, ok := fast.Longest(); !ok || longest != time.Second {
		t.Errorf("ten a second: %v, %v", longest, ok)
	}
}

// A pause in which nobody listened is none.
func TestPause(t *testing.T) {
	now := time.Now()
	r := recalled(57, 90*time.Second)
	r.Pause()
	now = now.Add(100 * time.Hour)
	r.Heard(now)
	r.Heard(now.Add(5 * time.Second))
	if longest, ok := r.Longest(); !ok || longest != 90*time.Second || r.gaps != 58 {
		t.Errorf("%v, %v, %d", longest, ok, r.gaps)
	}
}
