package broker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/trouble"
)

func TestRefusals(t *testing.T) {
	var r refusals
	now := time.Unix(1000, 0)
	for i, want := range []time.Duration{0, 1, 2, 4, 8, 16, 30, 30} {
		d := r.next("a", now)
		if d != want*time.Second {
			t.Errorf("refusal %d: %s", i, d)
		}
		now = now.Add(d + time.Second)
	}
	if d := r.next("b", now); d != 0 {
		t.Errorf("another client: %s", d)
	}
	if d := r.next("a", now.Add(forgiven)); d != 0 {
		t.Errorf("later: %s", d)
	}
	for i := range 3 * mostRefused {
		r.next(fmt.Sprint(i), now)
	}
	if len(r.by) > mostRefused {
		t.Errorf("%d are remembered", len(r.by))
	}
}

// A client of MQTT 3.1.1 whose message the queue refuses again and again is not
// disconnected again and again at once, and what it sends meanwhile is not taken.
func TestRefusedNotInALoop(t *testing.T) {
	r := newRecorder()
	r.fail = errors.New("the queue is full")
	s, _ := startLogged(t, plain, r.ingest)
	addr := address(t, s)
	c := rig.Dial(t, addr, 4, "c")
	c.Publish(2, 1, "t/a/p", "1")
	c.Closed()
	begin := time.Now()
	c = rig.Dial(t, addr, 4, "c")
	c.Publish(2, 1, "t/a/p", "1")
	r.wait(t, 2)
	c.Publish(2, 2, "t/a/p", "2")
	c.Closed()
	if d := time.Since(begin); d < 900*time.Millisecond {
		t.Errorf("disconnected after %s", d)
	}
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	r.wait(t, 2)
	c = rig.Dial(t, addr, 4, "c")
	c.Publish(10, 1, "t/a/p", "1")
	c.Expect(0x40, 1)
	if e := troubleOf(t, s, trouble.Queue, 2); e.Client.ID != "c" {
		t.Errorf("%+v", e)
	}
}
