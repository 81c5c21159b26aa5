package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/weigh"
)

// named fails unless a condition names a client.
func named(t *testing.T, s *Broker, kind, who string) {
	t.Helper()
	rig.Until(t, "who did it is named", func() bool { return isNamed(s, kind, who) })
}

func isNamed(s *Broker, kind, who string) bool {
	return slices.ContainsFunc(s.Health(), func(c condition.Condition) bool {
		return strings.HasSuffix(c.Subject, kind) && strings.Contains(c.Text, who)
	})
}

// TestRetainedHasABudget: one client cannot fill memory with retained messages,
// nor keep others from having theirs.
func TestRetainedHasABudget(t *testing.T) {
	s := start(t, plain, newRecorder().ingest)
	addr := address(t, s)
	s.Limit(1 << 20)
	greedy, modest := rig.Dial(t, addr, 4, "greedy"), rig.Dial(t, addr, 4, "modest")
	large := strings.Repeat("x", 25<<10)
	for i := range uint16(100) {
		greedy.Publish(3, i+1, fmt.Sprint("r/", i), large)
		greedy.Expect(puback, i+1)
	}
	modest.Publish(3, 1, "modest", "1")
	modest.Expect(puback, 1)
	if _, ok := s.server.Topics.Retained.Get("modest"); !ok {
		t.Error("another client can retain nothing")
	}
	sum := 0
	for _, pk := range s.server.Topics.Retained.GetAll() {
		sum += len(pk.Payload)
	}
	if used, most := s.memory.Retained.Used(); used > most || sum > int(most) || sum < int(most)/2 {
		t.Errorf("%d bytes of %d, counted as %d", sum, most, used)
	}
	named(t, s, weigh.TooMuchRetained, `"greedy"`)
	for i := range uint16(100) { // an empty one takes it away, and its bytes are free again
		greedy.Publish(3, i+1, fmt.Sprint("r/", i), "")
		greedy.Expect(puback, i+1)
	}
	modest.Publish(3, 2, "modest", "")
	modest.Expect(puback, 2)
	if used, _ := s.memory.Retained.Used(); used != 0 {
		t.Errorf("%d bytes of nothing", used)
	}
}

// TestWillsAreWeighed: a last will is retained as any other message is: or not.
func TestWillsAreWeighed(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	s.Limit(256 << 10)
	c := rig.Open(t, addr, 4)
	b := append(append(rig.String("MQTT"), 4, 0x26, 0, 60), rig.String("c")...)
	c.Write(0x10, append(append(b, rig.String("will")...), rig.String(strings.Repeat("x", 10<<10))...))
	c.Read()
	s.Limit(8 << 10)
	_ = c.Conn.Close()
	r.wait(t, 1)
	if _, ok := s.server.Topics.Retained.Get("will"); ok {
		t.Error("it is retained")
	}
	named(t, s, weigh.TooMuchRetained, `"c"`)
}

// TestQueuedHasABudget: what waits for clients that are away has a bound, and the
// one that has most loses it.
func TestQueuedHasABudget(t *testing.T) {
	for _, version := range []byte{4, 5} {
		s := start(t, plain, newRecorder().ingest)
		addr := address(t, s)
		s.Limit(1 << 20)
		for _, id := range []string{"greedy1", "greedy2", "modest"} {
			c := rig.Open(t, addr, version)
			c.Connect(id, 0)
			c.Read()
			(&watched{c}).subscribe(strings.TrimRight(id, "12") + "/#")
			_ = c.Conn.Close()
		}
		rig.Until(t, "they are away", func() bool { return s.Counts().Clients == 0 })
		c := rig.Dial(t, addr, 4, "c")
		c.Publish(2, 1, "modest/p", "kept")
		c.Expect(puback, 1)
		large := strings.Repeat("x", 25<<10)
		for i := range uint16(100) {
			c.Publish(2, i+1, "greedy/p", large)
			c.Expect(puback, i+1)
		}
		sum := 0
		for _, cl := range s.server.Clients.GetAll() {
			for _, pk := range cl.State.Inflight.GetAll(false) {
				sum += len(pk.Payload)
			}
		}
		if used, most := s.memory.Queued.Pool.Used(); used > most || sum > int(most) {
			t.Errorf("%d bytes of %d, counted as %d", sum, most, used)
		}
		named(t, s, weigh.TooMuchQueued, `"greedy`)
		modest := rig.Open(t, addr, version)
		modest.Connect("modest", 0)
		modest.Read()
		if kind, body := modest.Read(); kind&0xf0 != publish || !bytes.Contains(body, []byte("kept")) {
			t.Errorf("version %d: got %#x %.20x, want the message that waited", version, kind, body)
		}
		for _, id := range []string{"greedy1", "greedy2", "modest"} { // a clean session has nothing
			c := rig.Open(t, addr, 4)
			c.Connect(id, 2)
			c.Read()
			_ = c.Conn.Close()
		}
		rig.Until(t, "nothing is counted", func() bool { used, _ := s.memory.Queued.Pool.Used(); return used == 0 })
	}
}

// TestUnsentHasABudget: many slow readers together have a bound, too.
func TestUnsentHasABudget(t *testing.T) {
	s := start(t, plain, newRecorder().ingest)
	addr := address(t, s)
	s.Limit(8 << 20) // an eighth of it is less than 20 times maxUnsent
	for i := range 20 {
		slow := rig.Dial(t, addr, 4, fmt.Sprint("slow", i))
		_ = slow.Conn.(*net.TCPConn).SetReadBuffer(4096)
		slow.Write(0x82, append(append([]byte{0, 1}, rig.String("#")...), 0))
		slow.Read()
	}
	c := rig.Dial(t, addr, 4, "c")
	payload := strings.Repeat("x", 60<<10)
	n := uint16(0)
	rig.Until(t, "slow clients are disconnected", func() bool {
		n++
		c.Publish(2, n, "t/a/p", payload)
		c.Expect(puback, n)
		if used, most := s.memory.Unsent.Used(); used > 2*most {
			t.Fatalf("%d of %d", used, most)
		}
		return s.Counts().Slow >= 10
	})
	named(t, s, weigh.TooMuchUnsent, `"slow`)
}

// TestSubscriptionsHaveABudget: filters cost memory for each of their levels.
func TestSubscriptionsHaveABudget(t *testing.T) {
	s := start(t, plain, newRecorder().ingest)
	addr := address(t, s)
	s.Limit(1 << 20)
	c := rig.Dial(t, addr, 4, "greedy")
	for i := 0; ; i++ {
		c.Write(0x82, append(append([]byte{0, 1}, rig.String(strings.Repeat("/", 50)+fmt.Sprint(i))...), 1))
		if _, _, err := c.TryRead(); err != nil {
			break
		}
		if used, most := s.memory.Subscribed.Used(); used > most {
			t.Fatalf("%d of %d after %d", used, most, i)
		}
	}
	named(t, s, weigh.TooMuchSubscribed, `"greedy"`)
	rig.Until(t, "nothing is counted", func() bool { used, _ := s.memory.Subscribed.Used(); return used == 0 })
}

// TestLongTopics: topics and filters have at most 1 KiB.
func TestLongTopics(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	c := rig.Dial(t, address(t, s), 5, "c")
	c.Publish(2, 1, strings.Repeat("x", inlet.MaxTopic+1), "1")
	if kind, body := c.Read(); kind != puback || body[2] != 0x87 {
		t.Errorf("got %#x %x, want PUBACK 0x87", kind, body)
	}
	c.Publish(2, 2, strings.Repeat("x", inlet.MaxTopic), "1")
	c.Expect(puback, 2)
	named(t, s, weigh.TooLongTopic, `"c"`)
	r.wait(t, 1)
}

// TestUnfinishedPackets: memory for packets that are being received has a bound,
// and who holds it without going on goes if others wait.
func TestUnfinishedPackets(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	s.Limit(8 << 20)
	good := rig.Dial(t, addr, 4, "good")
	for i := range 50 {
		c := rig.Dial(t, addr, 4, fmt.Sprint("half", i))
		if _, err := c.Conn.Write(append([]byte{0x30, 0xf0, 0xff, 0x0f}, make([]byte, 100<<10)...)); err != nil {
			t.Fatal(err)
		}
	}
	rig.Until(t, "they hold all", func() bool {
		used, most, waiting := s.memory.Arriving()
		if used > most {
			t.Fatalf("%d of %d", used, most)
		}
		// On a busy machine the first of them has gone before the last is there.
		return waiting > 0 || isNamed(s, weigh.TooMuchArriving, `"half`)
	})
	for i := range uint16(10) { // another client has its answers
		good.Publish(2, i+1, "t/a/p", strings.Repeat("x", 20<<10))
		good.Expect(puback, i+1)
	}
	named(t, s, weigh.TooMuchArriving, `"half`)
	r.wait(t, 10)
}

// TestSilentCrowd: connections that do not log in take no client's place.
func TestSilentCrowd(t *testing.T) {
	s := start(t, inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, MaxClients: 5}, newRecorder().ingest)
	addr := address(t, s)
	good := rig.Dial(t, addr, 4, "good")
	for range 3 * weigh.MaxStrangers {
		rig.Open(t, addr, 4)
	}
	for i := range 4 {
		rig.Dial(t, addr, 4, fmt.Sprint("new", i)).Silent()
	}
	// One that has to go counts until it is closed.
	rig.Until(t, "there are no more connections than places", func() bool {
		return s.Counts().Clients <= 5+weigh.MaxStrangers
	})
	c := rig.Open(t, addr, 4)
	c.Connect("too many", 2)
	if kind, body := c.Read(); kind != 0x20 || body[1] != 3 {
		t.Errorf("got %#x %x, want CONNACK 3", kind, body)
	}
	named(t, s, weigh.TooManySilent, "127.0.0.1")
	good.Silent()
}

// TestPanicLeavesNothing: a client on which the broker panicked is dead: its last
// will is sent, and its session is gone.
func TestPanicLeavesNothing(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, func(m inlet.Message, safe func(error)) {
		if m.Topic == "boom" {
			panic("as a broker's library does")
		}
		r.ingest(m, safe)
	})
	addr := address(t, s)
	c := rig.Open(t, addr, 4)
	b := append(append(rig.String("MQTT"), 4, 0x24, 0, 60), rig.String("c")...) // retained will, session stays
	c.Write(0x10, append(append(b, rig.String("c/LWT")...), rig.String("dead")...))
	c.Read()
	(&watched{c}).subscribe("x/#")
	c.Publish(2, 1, "boom", "1")
	c.Closed()
	rig.Same(t, "readings", r.wait(t, 1), []string{"c/LWT=dead"})
	rig.Until(t, "the client is gone", func() bool { return s.server.Clients.Len() == 0 })
	if n := s.server.Topics.Subscribers("x/y").Subscriptions; len(n) != 0 {
		t.Errorf("%d subscriptions stay", len(n))
	}
	if _, ok := s.server.Topics.Retained.Get("c/LWT"); !ok {
		t.Error("its last will is not retained")
	}
}

// TestSubscribeWithoutOptions: the broker's library panics on it; it never sees it.
func TestSubscribeWithoutOptions(t *testing.T) {
	var log bytes.Buffer
	r := newRecorder()
	s, err := New("local", plain, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.ingest)
	for _, filter := range []string{"a", strings.Repeat("long/", 2000)} {
		c := rig.Open(t, address(t, s), 5)
		b := append(append(rig.String("MQTT"), 5, 0x06, 0, 60, 0), rig.String("c")...)
		c.Write(0x10, append(append(append(b, 0), rig.String("c/LWT")...), rig.String("dead")...))
		c.Read()
		c.Write(0x82, append([]byte{0, 1, 0}, rig.String(filter)...))
		c.Closed()
	}
	rig.Same(t, "readings", r.wait(t, 2), []string{"c/LWT=dead", "c/LWT=dead"})
	stop()
	if strings.Contains(log.String(), "panic") {
		t.Errorf("the broker panicked: %s", log.String())
	}
}
