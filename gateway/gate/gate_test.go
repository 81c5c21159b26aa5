package gate

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// well is a gateway of which nothing is to be said.
func well() State {
	return State{Connected: true, Good: 100, Buses: []string{"line", "plc"}, Born: true, Acked: true, Writable: true}
}

// judged is what became of a trial, and when.
type judged struct {
	why       string
	committed bool
	after     time.Duration // of being ready
	last      Standing
}

// judge runs a trial of a gateway that is, so long after it was ready, as now says.
func judge(t *testing.T, before Before, ready time.Duration, commit func() error,
	now func(time.Duration) State) (j judged) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		polls := make(chan struct{})
		start := time.Now().Add(ready)
		time.AfterFunc(ready, func() { close(polls) })
		trial := Trial{Before: before, Ready: polls, Log: slog.New(slog.DiscardHandler),
			Tell: func(s Standing) { j.last = s },
			Now:  func() State { return now(time.Since(start)) },
			Commit: func() error {
				err := commit()
				j.committed = err == nil
				return err
			}}
		j.why = trial.Run(t.Context())
		j.after = time.Since(start)
	})
	return j
}

func fine() error { return nil }

func TestGate(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(*Before)
		now    func(at time.Duration, s *State)
		commit func() error
		why    string // "" committed
		after  time.Duration
	}{
		"well": {after: steady},
		"a start": {now: func(at time.Duration, s *State) { s.Connected = at > 10*time.Second },
			after: steady + 10*time.Second},
		"not up": {now: func(_ time.Duration, s *State) { s.Connected = false }, why: "the link is not up",
			after: usual},
		"no birth": {now: func(_ time.Duration, s *State) { s.Born = false }, why: "acknowledged the birth",
			after: usual},
		"no ack": {now: func(_ time.Duration, s *State) { s.Acked = false }, why: "acknowledges no reading",
			after: usual},
		"few":    {now: func(_ time.Duration, s *State) { s.Good = 94 }, why: "94 of 100 points", after: usual},
		"enough": {now: func(_ time.Duration, s *State) { s.Good = 95 }, after: steady},
		"bus":    {now: func(_ time.Duration, s *State) { s.Buses = s.Buses[:1] }, why: "bus plc", after: usual},
		"disk":   {now: func(_ time.Duration, s *State) { s.Writable = false }, why: "the queue", after: usual},
		"flaps": {now: func(at time.Duration, s *State) { s.Connected = at%steady > time.Second },
			why: "the link is not up", after: usual},
		"its minute at the end": {now: func(at time.Duration, s *State) { s.Connected = at > usual-10*time.Second },
			after: usual - 10*time.Second + steady},
		"its own time": {before: func(b *Before) { b.Within = 30 * time.Minute },
			now: func(_ time.Duration, s *State) { s.Good = 0 }, why: "within 30m0s", after: 30 * time.Minute},
		"a short time": {before: func(b *Before) { b.Within = 10 * time.Second },
			now: func(_ time.Duration, s *State) { s.Good = 0 }, why: "within 10s", after: 10 * time.Second},
		"well for a short time": {before: func(b *Before) { b.Within = 10 * time.Second }, after: 2 * time.Second},
		"down before": {before: func(b *Before) { b.Connected = false },
			now: func(_ time.Duration, s *State) { s.Connected = false }, after: alone},
		"down before, up now": {before: func(b *Before) { b.Connected = false }, after: steady},
		"down before, and ill": {before: func(b *Before) { b.Connected = false },
			now: func(_ time.Duration, s *State) { s.Connected, s.Good = false, 0 }, why: "0 of 100", after: usual},
		"a bus more": {before: func(b *Before) { b.Buses = nil }, after: steady},
		"cannot commit": {commit: func() error { return errors.New("the disk is full") }, why: "the disk is full",
			after: usual},
	} {
		t.Run(name, func(t *testing.T) {
			before := Before{State: well()}
			if tt.before != nil {
				tt.before(&before)
			}
			commit := tt.commit
			if commit == nil {
				commit = fine
			}
			j := judge(t, before, 40*time.Minute, commit, func(at time.Duration) State {
				s := well()
				if tt.now != nil {
					tt.now(at, &s)
				}
				return s
			})
			if j.committed != (tt.why == "") || !strings.Contains(j.why, tt.why) || (j.why == "") != (tt.why == "") {
				t.Errorf("%+v, want %q", j, tt.why)
			}
			if told := strings.Join(j.last.Missing, "; "); !j.committed && !strings.Contains(j.why, told) ||
				j.committed && before.Connected && told != "" {
				t.Errorf("told: %q, of %+v", told, j)
			}
			if j.last.Kept != (j.committed && !before.Connected && j.last.Missing != nil) {
				t.Errorf("%+v", j)
			}
			if j.after < tt.after || j.after > tt.after+2*time.Second {
				t.Errorf("after %v, want %v", j.after, tt.after)
			}
		})
	}
}

func TestNeverReady(t *testing.T) {
	j := judge(t, Before{State: well()}, 2*readyWithin, fine, func(time.Duration) State { return well() })
	if j.committed || !strings.Contains(j.why, "not ready") {
		t.Errorf("%+v", j)
	}
}

// TestStop makes sure that a gateway that is stopped within a trial neither commits nor
// gives up.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		ready := make(chan struct{})
		close(ready)
		trial := Trial{Before: Before{State: well()}, Ready: ready, Now: well, Log: slog.New(slog.DiscardHandler),
			Tell:   func(Standing) {},
			Commit: func() error { t.Error("committed"); return nil }}
		if why := trial.Run(ctx); why != "" {
			t.Error(why)
		}
	})
}
