package broker

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// Nothing is acknowledged before it is safe, nor out of order.
func TestAckOrder(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			r.hold = true
			s := start(t, plain, r.ingest)
			c := rig.Dial(t, address(t, s), version, "c")
			c.Publish(2, 10, "t/a/p", "1")
			c.Publish(4, 11, "t/a/p", "2")
			c.Publish(2, 12, "t/a/p", "3")
			c.Publish(2, 13, "t/a/p", "4")
			r.wait(t, 4)
			safe := r.take()
			c.Silent()
			safe[2](nil)
			safe[1](nil)
			c.Silent()
			safe[0](nil)
			c.Expect(0x40, 10)
			c.Expect(0x50, 11)
			c.Expect(0x40, 12)
			c.Silent()
			safe[3](nil)
			c.Expect(0x40, 13)
		})
	}
}

func TestRefusedVersion5(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, plain, r.ingest)
	c := rig.Dial(t, address(t, s), 5, "c")
	c.Publish(2, 1, "t/a/p", "1")
	c.Publish(4, 2, "t/a/p", "2")
	c.Publish(2, 3, "t/a/p", "3")
	r.wait(t, 3)
	for _, safe := range r.take() {
		safe(bridge.ErrFull)
	}
	c.Expect(0x40, 1, 0x97)
	c.Expect(0x50, 2, 0x97)
	c.Expect(0x40, 3, 0x97)
	// The refused id is free again.
	c.Publish(4, 2, "t/a/p", "4")
	r.wait(t, 4)
	r.take()[0](nil)
	c.Expect(0x50, 2)
	rig.Same(t, "refusals", s.Counts().Refused, uint64(3))
}

func TestRefusedVersion311(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, plain, r.ingest)
	c := rig.Dial(t, address(t, s), 4, "c")
	for id := range uint16(3) {
		c.Publish(2, id+1, "t/a/p", "1")
	}
	r.wait(t, 3)
	safe := r.take()
	safe[1](bridge.ErrFull)
	safe[2](nil)
	c.Silent()
	safe[0](nil)
	c.Expect(0x40, 1)
	c.Closed()
}

// QoS 2 takes its four packets; a repeated PUBLISH is the same message.
func TestQoS2(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			s := start(t, plain, r.ingest)
			addr := address(t, s)
			c := rig.Open(t, addr, version)
			c.Connect("c", 0) // keeps its session
			c.Read()
			c.Publish(4, 7, "t/a/p", "1")
			c.Expect(0x50, 7)
			_ = c.Conn.Close()

			c = rig.Open(t, addr, version)
			c.Connect("c", 0)
			if _, body := c.Read(); body[0] != 1 {
				t.Fatal("no session present")
			}
			c.Expect(0x50, 7) // the broker repeats what the client may have missed
			c.Publish(12, 7, "t/a/p", "1")
			c.Expect(0x50, 7)
			c.Write(0x62, []byte{0, 7})
			c.Expect(0x70, 7)
			r.wait(t, 1)
			c.Publish(4, 7, "t/a/p", "2")
			c.Expect(0x50, 7)
			r.wait(t, 2)
		})
	}
}

// One client with a window of 20 has 20 messages in every commit: at a commit
// each 20 ms that is 1,000 messages/s.
func TestWindowSharesCommit(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, plain, r.ingest)
	c := rig.Dial(t, address(t, s), 4, "c")
	const window, commits = 20, 50
	next := uint16(1)
	send := func() {
		c.Publish(2, next, "t/a/p", strconv.Itoa(int(next)))
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
			c.Expect(0x40, acked)
			send()
		}
	}
}

func TestTooManyUnacknowledged(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, plain, r.ingest)
	addr := address(t, s)

	five := rig.Dial(t, addr, 5, "five")
	for i := range maxUnacknowledged + 1 {
		five.Publish(2, uint16(i+1), "t/a/p", "1")
	}
	if kind, body := five.Read(); kind != 0xe0 || body[0] != 0x93 {
		t.Errorf("got %#x %x, want DISCONNECT 0x93", kind, body)
	}
	five.Closed()
	r.wait(t, maxUnacknowledged)
	r.take()

	// An older client is not read until there is room.
	three := rig.Dial(t, addr, 4, "three")
	for i := range maxUnacknowledged + 2 {
		three.Publish(2, uint16(i+1), "t/a/p", "1")
	}
	r.wait(t, 2*maxUnacknowledged)
	safe := r.take()
	safe[0](nil)
	three.Expect(0x40, 1)
	r.wait(t, 2*maxUnacknowledged+1)
	for _, safe := range safe[1:] {
		safe(nil)
	}
	for i := 1; i < maxUnacknowledged; i++ {
		three.Expect(0x40, uint16(i+1))
	}
	r.wait(t, 2*maxUnacknowledged+2)
}

// Callbacks that come after the client has gone, or the source has ended, are
// harmless.
func TestSafeAfterTheEnd(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s, err := New("local", plain, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.ingest)
	c := rig.Dial(t, address(t, s), 4, "c")
	c.Publish(2, 1, "t/a/p", "1")
	r.wait(t, 1)
	_ = c.Conn.Close()
	rig.Until(t, "the client is gone", func() bool { return s.Counts().Clients == 0 })
	d := rig.Dial(t, address(t, s), 5, "d")
	d.Publish(2, 1, "t/a/p", "1")
	r.wait(t, 2)
	stop()
	for _, safe := range r.take() {
		safe(nil)
	}
	if _, err := d.Conn.Write([]byte{0xc0, 0}); err == nil {
		if kind, body := d.Read(); kind != 0xe0 || body[0] != 0x8b {
			t.Errorf("got %#x %x, want DISCONNECT 0x8b (server shutting down)", kind, body)
		}
	}
}

// Stopping waits a moment for what is about to be safe.
func TestStopAcknowledges(t *testing.T) {
	for range 20 { // a busy machine may be away for that moment, more than once
		if stopAcknowledges(t) {
			return
		}
	}
	t.Error("what became safe while the broker stopped is not acknowledged")
}

// stopAcknowledges tells whether a message that becomes safe while a broker stops is
// acknowledged.
func stopAcknowledges(t *testing.T) bool {
	t.Helper()
	r := newRecorder()
	r.hold = true
	s, err := New("local", plain, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.ingest)
	c := rig.Dial(t, address(t, s), 4, "c")
	c.Publish(2, 1, "t/a/p", "1")
	r.wait(t, 1)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	rig.Until(t, "the listener is closed", func() bool { return s.Addr(false) == nil })
	r.take()[0](nil)
	kind, body, err := c.TryRead()
	<-stopped
	if err != nil {
		return false
	}
	if kind != 0x40 || string(body) != "\x00\x01" {
		t.Fatalf("got %#x %x, want PUBACK 1", kind, body)
	}
	c.Closed()
	return true
}

// A QoS 2 message whose PUBREC was not sent when the connection broke is not
// taken again when the client repeats it.
func TestQoS2AcrossConnections(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			r.hold = true
			s := start(t, plain, r.ingest)
			addr := address(t, s)
			connect := func(flags byte) *rig.Client {
				c := rig.Open(t, addr, version)
				c.Connect("c", flags)
				c.Read()
				return c
			}
			c := connect(0)
			for id := range uint16(3) {
				c.Publish(4, id+1, "t/a/p", "1")
			}
			c.Publish(12, 1, "t/a/p", "1") // repeated too soon: its PUBREC comes once
			r.wait(t, 3)
			_ = c.Conn.Close()
			rig.Until(t, "the client is gone", func() bool { return s.Counts().Clients == 0 })
			safe := r.take()
			safe[0](nil)

			c = connect(0)
			for id := range uint16(3) {
				c.Publish(12, id+1, "t/a/p", "1")
			}
			c.Expect(0x50, 1)
			c.Silent()
			safe[2](bridge.ErrFull)
			safe[1](nil)
			c.Expect(0x50, 2)
			if version == 5 {
				c.Expect(0x50, 3, 0x97)
			} else {
				c.Closed()
				c = connect(0)
				c.Read() // PUBRECs of those not yet released, in any order
				c.Read()
			}
			r.wait(t, 3)
			c.Publish(4, 3, "t/a/p", "1") // refused, it is taken anew
			r.wait(t, 4)
			_ = c.Conn.Close()

			c = connect(2) // a clean start forgets
			c.Publish(4, 3, "t/a/p", "1")
			r.wait(t, 5)
			e := s
			_ = c.Conn.Close()
			rig.Until(t, "nothing is left", func() bool {
				e.repeats.mu.Lock()
				defer e.repeats.mu.Unlock()
				return version == 5 || len(e.repeats.byClient) == 0
			})
		})
	}
}
