package mqtt

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// Nothing is acknowledged before it is safe, nor out of order.
func TestAckOrder(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			r.hold = true
			s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
			c := dialRaw(t, address(t, s), version, "c")
			c.publish(2, 10, "t/a/p", "1")
			c.publish(4, 11, "t/a/p", "2")
			c.publish(2, 12, "t/a/p", "3")
			c.publish(2, 13, "t/a/p", "4")
			r.wait(t, 4)
			safe := r.take()
			c.silent()
			safe[2](nil)
			safe[1](nil)
			c.silent()
			safe[0](nil)
			c.expect(0x40, 10)
			c.expect(0x50, 11)
			c.expect(0x40, 12)
			c.silent()
			safe[3](nil)
			c.expect(0x40, 13)
		})
	}
}

// What no rule takes, or what can't be read, is acknowledged at once, but not
// before what came earlier.
func TestAckUnreadable(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, embeddedConfig(sensor("j", Sensor{Topic: "j/{device}", Points: map[string]payload.Point{"a": {Path: "a"}}}), anyReading()), Options{}, r.emit)
	c := dialRaw(t, address(t, s), 4, "c")
	c.publish(2, 1, "unknown", "1")
	c.expect(0x40, 1)
	c.publish(2, 2, "j/x", "{")
	c.expect(0x40, 2)
	c.publish(2, 3, "t/a/p", "1")
	c.publish(2, 4, "j/x", "")
	c.silent()
	r.wait(t, 1)
	r.take()[0](nil)
	c.expect(0x40, 3)
	c.expect(0x40, 4)
}

func TestRefusedVersion5(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	c := dialRaw(t, address(t, s), 5, "c")
	c.publish(2, 1, "t/a/p", "1")
	c.publish(4, 2, "t/a/p", "2")
	c.publish(2, 3, "t/a/p", "3")
	r.wait(t, 3)
	for _, safe := range r.take() {
		safe(bridge.ErrFull)
	}
	c.expect(0x40, 1, 0x97)
	c.expect(0x50, 2, 0x97)
	c.expect(0x40, 3, 0x97)
	// The refused id is free again.
	c.publish(4, 2, "t/a/p", "4")
	r.wait(t, 4)
	r.take()[0](nil)
	c.expect(0x50, 2)
	same(t, "refusals", metric(s, "fieldbridge_mqtt_refused_total"), 3.0)
}

func TestRefusedVersion311(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	c := dialRaw(t, address(t, s), 4, "c")
	for id := range uint16(3) {
		c.publish(2, id+1, "t/a/p", "1")
	}
	r.wait(t, 3)
	safe := r.take()
	safe[1](bridge.ErrFull)
	safe[2](nil)
	c.silent()
	safe[0](nil)
	c.expect(0x40, 1)
	c.closed()
}

func metric(s *Source, name string) float64 {
	sum := 0.0
	s.Observe(func(m bridge.Metric) {
		if m.Name == name {
			sum += m.Value
		}
	})
	return sum
}

// QoS 2 takes its four packets; a repeated PUBLISH is the same message.
func TestQoS2(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
			addr := address(t, s)
			c := openRaw(t, addr, version)
			c.connect("c", 0) // keeps its session
			c.read()
			c.publish(4, 7, "t/a/p", "1")
			c.expect(0x50, 7)
			_ = c.conn.Close()

			c = openRaw(t, addr, version)
			c.connect("c", 0)
			if _, body := c.read(); body[0] != 1 {
				t.Fatal("no session present")
			}
			c.expect(0x50, 7) // the broker repeats what the client may have missed
			c.publish(12, 7, "t/a/p", "1")
			c.expect(0x50, 7)
			c.write(0x62, []byte{0, 7})
			c.expect(0x70, 7)
			r.wait(t, 1)
			c.publish(4, 7, "t/a/p", "2")
			c.expect(0x50, 7)
			r.wait(t, 2)
		})
	}
}

// One client with a window of 20 has 20 messages in every commit: at a commit
// each 20 ms that is 1,000 messages/s.
func TestWindowSharesCommit(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	c := dialRaw(t, address(t, s), 4, "c")
	const window, commits = 20, 50
	next := uint16(1)
	send := func() {
		c.publish(2, next, "t/a/p", strconv.Itoa(int(next)))
		next++
	}
	for range window {
		send()
	}
	acked := uint16(0)
	for commit := range commits {
		r.wait(t, window*(commit+1))
		held := r.take()
		if len(held) != window {
			t.Fatalf("commit %d has %d messages, want %d", commit, len(held), window)
		}
		slices.Reverse(held)
		for _, safe := range held {
			safe(nil)
		}
		for range window {
			acked++
			c.expect(0x40, acked)
			send()
		}
	}
}

func TestTooManyUnacknowledged(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	addr := address(t, s)

	five := dialRaw(t, addr, 5, "five")
	for i := range maxUnacknowledged + 1 {
		five.publish(2, uint16(i+1), "t/a/p", "1")
	}
	if kind, body := five.read(); kind != 0xe0 || body[0] != 0x93 {
		t.Errorf("got %#x %x, want DISCONNECT 0x93", kind, body)
	}
	five.closed()
	r.wait(t, maxUnacknowledged)
	r.take()

	// An older client is not read until there is room.
	three := dialRaw(t, addr, 4, "three")
	for i := range maxUnacknowledged + 2 {
		three.publish(2, uint16(i+1), "t/a/p", "1")
	}
	r.wait(t, 2*maxUnacknowledged)
	safe := r.take()
	safe[0](nil)
	three.expect(0x40, 1)
	r.wait(t, 2*maxUnacknowledged+1)
	for _, safe := range safe[1:] {
		safe(nil)
	}
	for i := 1; i < maxUnacknowledged; i++ {
		three.expect(0x40, uint16(i+1))
	}
	r.wait(t, 2*maxUnacknowledged+2)
}

// Callbacks that come after the client has gone, or the source has ended, are
// harmless.
func TestSafeAfterTheEnd(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s, err := New(embeddedConfig(anyReading()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	c := dialRaw(t, address(t, s), 4, "c")
	c.publish(2, 1, "t/a/p", "1")
	r.wait(t, 1)
	_ = c.conn.Close()
	until(t, "the client is gone", func() bool { return metric(s, "fieldbridge_mqtt_clients") == 0 })
	d := dialRaw(t, address(t, s), 5, "d")
	d.publish(2, 1, "t/a/p", "1")
	r.wait(t, 2)
	stop()
	for _, safe := range r.take() {
		safe(nil)
	}
	if _, err := d.conn.Write([]byte{0xc0, 0}); err == nil {
		if kind, body := d.read(); kind != 0xe0 || body[0] != 0x8b {
			t.Errorf("got %#x %x, want DISCONNECT 0x8b (server shutting down)", kind, body)
		}
	}
}

// Stopping waits a moment for what is about to be safe.
func TestStopAcknowledges(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s, err := New(embeddedConfig(anyReading()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	c := dialRaw(t, address(t, s), 4, "c")
	c.publish(2, 1, "t/a/p", "1")
	r.wait(t, 1)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	until(t, "the listener is closed", func() bool { return s.Addr("local") == nil })
	r.take()[0](nil)
	c.expect(0x40, 1)
	<-stopped
	c.closed()
}

// A QoS 2 message whose PUBREC was not sent when the connection broke is not
// taken again when the client repeats it.
func TestQoS2AcrossConnections(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			r.hold = true
			s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
			addr := address(t, s)
			connect := func(flags byte) *rawClient {
				c := openRaw(t, addr, version)
				c.connect("c", flags)
				c.read()
				return c
			}
			c := connect(0)
			for id := range uint16(3) {
				c.publish(4, id+1, "t/a/p", "1")
			}
			c.publish(12, 1, "t/a/p", "1") // repeated too soon: its PUBREC comes once
			r.wait(t, 3)
			_ = c.conn.Close()
			until(t, "the client is gone", func() bool { return metric(s, "fieldbridge_mqtt_clients") == 0 })
			safe := r.take()
			safe[0](nil)

			c = connect(0)
			for id := range uint16(3) {
				c.publish(12, id+1, "t/a/p", "1")
			}
			c.expect(0x50, 1)
			c.silent()
			safe[2](bridge.ErrFull)
			safe[1](nil)
			c.expect(0x50, 2)
			if version == 5 {
				c.expect(0x50, 3, 0x97)
			} else {
				c.closed()
				c = connect(0)
				c.read() // PUBRECs of those not yet released, in any order
				c.read()
			}
			r.wait(t, 3)
			c.publish(4, 3, "t/a/p", "1") // refused, it is taken anew
			r.wait(t, 4)
			_ = c.conn.Close()

			c = connect(2) // a clean start forgets
			c.publish(4, 3, "t/a/p", "1")
			r.wait(t, 5)
			e := s.brokers["local"].embedded
			_ = c.conn.Close()
			until(t, "nothing is left", func() bool {
				e.limbo.mu.Lock()
				defer e.limbo.mu.Unlock()
				return version == 5 || len(e.limbo.byClient) == 0
			})
		})
	}
}
