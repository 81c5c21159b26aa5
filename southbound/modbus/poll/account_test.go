package poll

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// TestAccount: a bus is down while there is no connection, and up again with any
// answer; attempts to connect come ever more rarely.
func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := account{log: slog.New(slog.DiscardHandler)}
		lost := &wire.ConnectError{Err: wire.ErrTimeout}
		if a.request(nil) || a.request(wire.ErrTimeout) || !a.Status().Down.IsZero() {
			t.Error("an answer that does not come means that the bus was down")
		}
		began := time.Now()
		var pauses []time.Duration
		for range 6 {
			if a.request(lost) {
				t.Error("it is back without a connection")
			}
			pauses = append(pauses, time.Until(a.down.until))
			time.Sleep(time.Second)
		}
		if s := a.Status(); !s.Down.Equal(began) || s.Detail != lost.Error() || a.down.reason != bridge.ReasonTimeout {
			t.Errorf("down since %v for %q, reason %v", s.Down, s.Detail, a.down.reason)
		}
		if pauses[0] != minConnectPause || pauses[5] != maxConnectPause {
			t.Errorf("pauses %v", pauses)
		}
		if back := a.book(wire.Fetched{Failed: []error{lost}}); !back || !a.Status().Down.IsZero() {
			t.Error("it is not back with an answer")
		}
		if a.book(wire.Fetched{Failed: []error{wire.ErrTimeout}, Err: errors.New("all failed")}) {
			t.Error("it is back twice")
		}
		s := a.Status()
		if s.Requests != 11 || a.Failures(bridge.ReasonTimeout) != 9 {
			t.Errorf("%d requests, %d timeouts, want 11 and 9", s.Requests, a.Failures(bridge.ReasonTimeout))
		}
	})
}

func TestOverloadIsTold(t *testing.T) {
	var a account
	now := time.Now()
	for _, tt := range []struct {
		load float64
		over bool
	}{{0.99, false}, {1.01, true}, {0.97, true}, {0.94, false}, {0.97, false}} {
		if a.measure(tt.load, now); !a.Status().Over.IsZero() != tt.over {
			t.Errorf("load %v: over %v, want %v", tt.load, !tt.over, tt.over)
		}
	}
}
