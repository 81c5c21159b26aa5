package awsiot

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/condition"
)

func contested(s *Sink) string {
	for _, c := range s.Health() {
		if c.Code == condition.SessionContested.Code {
			return c.Text
		}
	}
	return ""
}

// TestSilentClone: a broker that tells nobody that two gateways have one client id.
func TestSilentClone(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		for i := range contestCount {
			<-r.links
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if text := contested(r.sink); text != "" {
				t.Fatalf("told after %d ends: %s", i, text)
			}
			r.cloud.Drop("gateway-1")
			<-r.lost
			synctest.Wait()
		}
		if text := contested(r.sink); !strings.Contains(text, `"gateway-1"`) || !strings.Contains(text, "4 connections") {
			t.Errorf("told: %q", text)
		}
		begun := time.Now()
		<-r.links
		if wait := time.Since(begun); wait > 10*time.Second {
			t.Errorf("back after %v: it may be the network", wait)
		}
		time.Sleep(contestMemory)
		if text := contested(r.sink); text != "" {
			t.Errorf("still told: %s", text)
		}
	})
}

// TestNoContest: connections that ended otherwise are no sign of it.
func TestNoContest(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name            string
		every, up       time.Duration
		worked, dropped bool
	}{
		{"nothing acknowledged", 10 * time.Second, time.Second, false, true},
		{"a reason was given", 10 * time.Second, time.Second, true, false},
		{"they lasted", 10 * time.Minute, 10 * time.Minute, true, true},
		{"one an hour", time.Hour, time.Minute, true, true},
	} {
		var c contest
		now := start
		for range 10 {
			now = now.Add(tt.every)
			c.ended(now, tt.up, tt.worked, tt.dropped)
		}
		if n, _ := c.now(now); n != 0 {
			t.Errorf("%s: %d", tt.name, n)
		}
	}
}

// TestConnectionNumbersOverBoxes: a box that was swapped remembers nothing, and a
// folder that was restored too little; their numbers are above those before.
func TestConnectionNumbersOverBoxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		restored := &memoryState{}
		_ = restored.Put(lastLinkKey, []byte(`{"connection":3,"clean":true}`))
		unset := newLastLink(restored, slog.New(slog.DiscardHandler))
		if got := unset.connecting(); got != 4 {
			t.Errorf("by a clock that was never set: %d", got)
		}
		time.Sleep(time.Until(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)))
		for name, state := range map[string]*memoryState{"swapped": {}, "restored": restored} {
			m := newLastLink(state, slog.New(slog.DiscardHandler))
			first := m.connecting()
			if first != uint64(time.Now().Unix()) {
				t.Errorf("%s: %d", name, first)
			}
			if next := m.connecting(); next != first+1 {
				t.Errorf("%s: %d after %d", name, next, first)
			}
		}
	})
}
