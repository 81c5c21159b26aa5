package main

import (
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store"
)

func TestGovernor(t *testing.T) {
	waiting := func(all, memory uint64) store.Status {
		return store.Status{Ledger: bridge.Ledger{Waiting: bridge.Count{Readings: all}},
			Memory: bridge.Count{Readings: memory}}
	}
	committed := waiting(0, 0)
	committed.Commits = 1
	var g governor
	for _, step := range []struct {
		what  string
		share float64 // of a thread
		queue store.Status
		one   bool
	}{
		{"at first it is not known", 0.2, waiting(10, 10), false},
		{"a calm one", 0.01, waiting(10, 10), true},
		{"somewhat busy", 0.3, waiting(10, 10), true},
		{"busy", 0.5, waiting(10, 10), false},
		{"still somewhat busy", 0.2, waiting(10, 10), false},
		{"calm again", 0.1, waiting(10, 10), true},
		{"a commit", 0.01, committed, false},
		{"no commit since", 0.01, committed, false},
	} {
		const span = 5 * time.Second
		used := g.used + time.Duration(step.share*float64(span))
		if got := g.enough(used, span, step.queue); got != step.one {
			t.Errorf("%s: one thread is enough: %v, want %v", step.what, got, step.one)
		}
	}
	looks := 2
	for !g.enough(g.used, governEvery, committed) {
		looks++
	}
	if span := time.Duration(looks) * governEvery; span < 50*time.Second || span > time.Minute+governEvery {
		t.Errorf("the disk counts for %v", span)
	}
	if g.enough(g.used, governEvery, waiting(10, 9)) {
		t.Error("with readings on the disk one thread is enough")
	}
}

func TestGovernorOverruled(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	if mayGovern() {
		t.Error("GOMAXPROCS does not count")
	}
}
