package service

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// manager is a service manager that writes down what it is told.
type manager struct {
	wants time.Duration
	mu    sync.Mutex
	said  []string
	alive []time.Time
}

func (m *manager) say(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = append(m.said, text)
}

func (m *manager) Ready()                  { m.say("ready") }
func (m *manager) Status(text string)      { m.say("status " + text) }
func (m *manager) Reloading()              { m.say("reloading") }
func (m *manager) Stopping()               { m.say("stopping") }
func (m *manager) Extend(d time.Duration)  { m.say("extend " + d.String()) }
func (m *manager) Watchdog() time.Duration { return m.wants }
func (m *manager) Alive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alive = append(m.alive, time.Now())
}

func (m *manager) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	said := m.said
	m.said = nil
	return said
}

// times returns how often it was fed.
func (m *manager) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.alive)
}

// longest returns the longest time without a sign of life until now.
func (m *manager) longest(since time.Time) (longest time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range append(slices.Clone(m.alive), time.Now()) {
		if at.After(since) {
			longest, since = max(longest, at.Sub(since)), at
		}
	}
	return longest
}

// log is what a service says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rig is a service under a manager whose watchdog is set to a minute.
type rig struct {
	*Service
	manager *manager
	log     log
	ready   chan struct{}
	end     func()

	mu    sync.Mutex
	clock struct{ wall, run, all time.Duration } // guarded by mu; ahead of the bubble's
	text  string                                 // guarded by mu
}

func newRig(t *testing.T, disk func()) *rig {
	r := &rig{manager: &manager{wants: time.Minute}, ready: make(chan struct{}), text: "all is well"}
	r.Service = New(Options{Manager: r.manager, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Disk: disk})
	begun := time.Now()
	r.now = func() instant {
		r.mu.Lock()
		defer r.mu.Unlock()
		past := time.Since(begun)
		return instant{time.Now().Round(0).Add(r.clock.wall), past + r.clock.run, past + r.clock.all}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, r.ready, func() string {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.text
		})
	}()
	r.end = func() { cancel(); <-done }
	return r
}

// says changes the sentence.
func (r *rig) says(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = text
}

// after lets time pass.
func (r *rig) after(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := r.manager.take(); !slices.Equal(got, want) {
				t.Errorf("%s: told %q, want %q", what, got, want)
			}
		}
		r.Reload(func() {})
		r.after(time.Minute)
		expect("no bus polls yet")
		close(r.ready)
		expect("the buses poll", "ready", "status all is well")
		r.after(time.Hour)
		expect("nothing is new")
		r.says("3 of 4 devices answer")
		r.after(time.Minute)
		expect("news", "status 3 of 4 devices answer")
		for i := range 60 {
			r.says(fmt.Sprint(i))
			r.after(time.Second)
		}
		if n := len(r.manager.take()); n < 8 || n > 13 {
			t.Errorf("%d statuses in a minute with news each second", n)
		}
		r.Reload(func() { r.Reload(func() {}) })
		expect("a reload", "reloading", "ready")
		r.end()
		r.Stopping()
		if got := r.manager.take(); len(got) != 2 || got[0] != "stopping" || !strings.HasPrefix(got[1], "status ") {
			t.Errorf("a stop: told %q", got)
		}
	})
}

func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{}
		s := New(Options{Manager: m, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		go s.Start(ctx)
		checked := s.Board.OnDisk("committer")
		for range 60 { // an hour, a step each minute
			checked.Within(5 * time.Minute)
			time.Sleep(time.Minute)
		}
		if said := m.take(); len(said) < 100 || said[0] != "extend 1m30s" {
			t.Errorf("in an hour of checks: %d times, %q", len(said), said[:min(1, len(said))])
		}
		time.Sleep(10 * time.Minute)
		m.take()
		time.Sleep(time.Hour)
		if said := m.take(); len(said) != 0 {
			t.Errorf("it stands still, and gets more time: %q", said)
		}
		cancel()
		synctest.Wait()
	})
}

func TestFeeding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.end()
		bus := r.Board.Loop("bus line")
		close(r.ready)
		begun := time.Now()
		for range 60 {
			bus.Within(2 * time.Minute)
			r.after(time.Minute)
		}
		if gap := r.manager.longest(begun); gap > 30*time.Second {
			t.Errorf("all is well, and the watchdog hears nothing for %v", gap)
		}
		if n := r.manager.times(); n > 60*5 {
			t.Errorf("it hears %d times in an hour", n)
		}
		r.after(5 * time.Minute)
		if gap := r.manager.longest(begun); gap < 3*time.Minute {
			t.Errorf("a bus stands still, and the watchdog hears nothing for %v alone", gap)
		}
		if h := r.Health(); len(h) != 1 || !strings.Contains(h[0].Text, "the bus line does not move any more") {
			t.Errorf("conditions: %v", h)
		}
		if n := strings.Count(r.log.String(), "does not move any more\" part=\"bus line\""); n != 1 {
			t.Errorf("told %d times:\n%s", n, &r.log)
		}
		bus.Within(time.Hour)
		r.after(time.Minute)
		if h := r.Health(); len(h) != 0 || r.manager.longest(time.Now().Add(-30*time.Second)) > 20*time.Second {
			t.Errorf("it moves again: %v", h)
		}
	})
}

// TestDiskIsExcused: who waits for a disk that does not answer is no reason to restart,
// since that would stop the polls and help nobody.
func TestDiskIsExcused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan struct{})
		var asked atomic.Int32
		r := newRig(t, func() { asked.Add(1); <-answers })
		defer r.end()
		committer := r.Board.OnDisk("committer")
		close(r.ready)
		begun := time.Now()
		committer.Within(5 * time.Minute)
		r.after(time.Hour)
		if gap := r.manager.longest(begun); gap > 30*time.Second || asked.Load() != 1 {
			t.Errorf("the disk does not answer (asked %d times), and the watchdog hears nothing for %v",
				asked.Load(), gap)
		}
		bus := r.Board.Loop("bus line")
		bus.Within(0)
		r.after(5 * time.Minute)
		if gap := r.manager.longest(begun); gap < 4*time.Minute {
			t.Error("a bus is excused by the disk")
		}
		bus.End()
		answers <- struct{}{}
		synctest.Wait()
		begun = time.Now()
		r.after(5 * time.Minute)
		if gap := r.manager.longest(begun); gap < 4*time.Minute {
			t.Error("the disk answers, the committer stands still, and the watchdog is fed")
		}
		committer.Within(time.Minute)
		r.after(30 * time.Second)
		committer.Within(time.Second)
		r.after(time.Minute)
		if asked.Load() != 2 {
			t.Errorf("it stands still again, and the disk was asked %d times", asked.Load())
		}
		close(answers)
		synctest.Wait()
	})
}

// TestLapses: SIGSTOP, sleep and a clock that leaps are told once and starve nobody.
func TestLapses(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		wall, run, all time.Duration
		told           []string
	}{
		"nothing":             {},
		"a busy machine":      {7 * time.Second, 7 * time.Second, 7 * time.Second, nil},
		"a clock that drifts": {wall: 1900 * time.Millisecond},
		"stopped":             {10 * time.Minute, 10 * time.Minute, 10 * time.Minute, []string{"did not run for 10m0s"}},
		"slept":               {8 * time.Hour, 0, 8 * time.Hour, []string{"slept for 8h0m0s"}},
		"set forward":         {wall: 5 * time.Second, told: []string{"set forward by 5s"}},
		"set back":            {wall: -3 * time.Minute, told: []string{"set back by 3m0s"}},
		"years forward":       {wall: 56 * 365 * day, told: []string{"set forward by 20440 days"}},
		"years back":          {wall: -56 * 365 * day, told: []string{"set back by 20440 days"}},
		"slept, and set":      {8*time.Hour + time.Minute, 0, 8 * time.Hour, []string{"slept", "set forward by 1m0s"}},
		"stopped, and set back": {9 * time.Minute, 10 * time.Minute, 10 * time.Minute,
			[]string{"did not run", "set back by 1m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				defer r.end()
				close(r.ready)
				bus := r.Board.Loop("bus line")
				bus.Within(2 * time.Minute)
				r.after(time.Minute)
				begun := time.Now()
				r.mu.Lock()
				r.clock.wall, r.clock.run, r.clock.all = tt.wall, tt.run, tt.all
				r.mu.Unlock()
				time.Sleep(time.Minute - 10*time.Second)
				synctest.Wait()
				log := r.log.String()
				for _, want := range tt.told {
					if strings.Count(log, want) != 1 {
						t.Errorf("%q is not told once:\n%s", want, log)
					}
				}
				if n := strings.Count(log, "level="); n != len(tt.told) {
					t.Errorf("%d lines, want %d:\n%s", n, len(tt.told), log)
				}
				if gap := r.manager.longest(begun); gap > 30*time.Second || len(r.Health()) > 0 {
					t.Errorf("the watchdog hears nothing for %v; %v", gap, r.Health())
				}
			})
		})
	}
}
