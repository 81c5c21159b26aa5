package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// An address that is taken is reported, and tried again.
func TestListenTaken(t *testing.T) {
	l, err := net.Listen("tcp", needtest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	config := inlet.Broker{Listen: inlet.Addresses{l.Addr().String()}}
	r := newRecorder()
	s := start(t, config, r.ingest)
	rig.Until(t, "the condition", func() bool {
		h := s.Health()
		return len(h) == 1 && h[0].Subject == "mqtt local" && strings.Contains(h[0].Text, "another program has the port of")
	})
	_ = l.Close()
	rig.Mosquitto(t, "mosquitto_pub", address(t, s), "-q", "1", "-t", "t/a/p", "-m", "1")
	r.wait(t, 1)
	if h := s.Health(); len(h) != 0 {
		t.Errorf("health: %v", h)
	}
}

// A subscriber that reads nothing is disconnected, and stops nobody.
func TestSlowReader(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	slow := rig.Dial(t, addr, 4, "slow")
	_ = slow.Conn.(*net.TCPConn).SetReadBuffer(4096)
	slow.Write(0x82, append(append([]byte{0, 1}, rig.String("#")...), 1))
	slow.Read()
	c := rig.Dial(t, addr, 4, "c")
	payload := strings.Repeat("x", 100<<10)
	n := 0
	rig.Until(t, "the slow client is disconnected", func() bool {
		n++
		c.Publish(2, uint16(n), "t/a/p", payload)
		c.Expect(0x40, uint16(n))
		return s.Counts().Slow == 1
	})
	r.wait(t, n)
}

// Nonsense on one connection is the end of that connection only.
func TestHostile(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	good := rig.Dial(t, addr, 5, "good")
	short, err := New("short", plain, discard) // for who would be waited for
	if err != nil {
		t.Fatal(err)
	}
	short.connectTimeout = 300 * time.Millisecond
	run(t, short, r.ingest)
	for name, attack := range map[string]func(c *rig.Client){
		"no CONNECT":     func(c *rig.Client) { c.Publish(0, 0, "t/a/p", "666") },
		"garbage":        func(c *rig.Client) { _, _ = c.Conn.Write(bytes.Repeat([]byte{0xff}, 100)) },
		"second CONNECT": func(c *rig.Client) { c.Connect("x", 2); c.Read(); c.Connect("x", 2) },
		"huge SUBSCRIBE": func(c *rig.Client) {
			c.Connect("x", 2)
			c.Read()
			_, _ = c.Conn.Write([]byte{0x82, 0xff, 0xff, 0xff, 0x7f})
		},
		"huge CONNECT":      func(c *rig.Client) { _, _ = c.Conn.Write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}) },
		"topic not UTF-8":   func(c *rig.Client) { c.Connect("x", 2); c.Read(); c.Publish(0, 0, "t/\xff/p", "666") },
		"no packet id":      func(c *rig.Client) { c.Connect("x", 2); c.Read(); c.Publish(2, 0, "t/a/p", "666") },
		"QoS 3":             func(c *rig.Client) { c.Connect("x", 2); c.Read(); c.Publish(6, 1, "t/a/p", "666") },
		"truncated PUBLISH": func(c *rig.Client) { c.Connect("x", 2); c.Read(); c.Write(0x32, []byte{0, 9, 't'}) },
		"unknown topic alias": func(c *rig.Client) {
			c.Connect("x", 2)
			c.Read()
			c.Write(0x30,
				[]byte{0, 0, 3, 0x23, 0, 5, '1'})
		},
		"topic alias 17": func(c *rig.Client) {
			c.Connect("x", 2)
			c.Read()
			c.Write(0x30, []byte{0, 1, 't', 3, 0x23, 0, 17, '1'})
		},
		"empty topic": func(c *rig.Client) { c.Connect("x", 2); c.Read(); c.Write(0x30, []byte{0, 0, 0, '1'}) },
	} {
		where := addr
		if name == "huge CONNECT" {
			where = address(t, short)
		}
		c := rig.Open(t, where, 5)
		attack(c)
		for {
			if kind, _, err := c.TryRead(); err != nil {
				break
			} else if kind != 0xe0 {
				t.Errorf("%s: got packet %#x, want DISCONNECT or the connection closed", name, kind)
			}
		}
	}
	good.Publish(2, 1, "t/a/p", "1")
	good.Expect(0x40, 1)
	rig.Same(t, "readings", r.wait(t, 1), []string{"t/a/p=1"})
}

// Aliases save the topic in later messages.
func TestTopicAlias(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	c := rig.Open(t, address(t, s), 5)
	c.Connect("c", 2)
	if _, body := c.Read(); !bytes.Contains(body, []byte{0x22, 0, 16}) || !bytes.Contains(body, []byte{0x21, 0x10, 0}) ||
		!bytes.Contains(body, []byte{0x27, 0, 0x20, 0, 0}) {
		t.Errorf("CONNACK %x lacks Topic Alias Maximum 16, Receive Maximum 4096 or Maximum Packet Size 2 MiB", body)
	}
	c.Write(0x30, append(rig.String("t/a/p"), 3, 0x23, 0, 1, '1'))
	c.Write(0x30, append(rig.String(""), 3, 0x23, 0, 1, '2'))
	rig.Same(t, "readings", r.wait(t, 2), []string{"t/a/p=1", "t/a/p=2"})
}

// A last will is a reading too, but for that of clients whose connection ends
// since the broker does.
func TestWill(t *testing.T) {
	r := newRecorder()
	s, err := New("local", plain, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.ingest)
	for _, device := range []string{"pump", "valve"} {
		c := rig.Open(t, address(t, s), 4)
		b := append(append(rig.String("MQTT"), 4, 0x06, 0, 60), rig.String(device)...)
		c.Write(0x10, append(append(b, rig.String(device+"/LWT")...), rig.String("false")...))
		c.Read()
		if device == "pump" {
			_ = c.Conn.Close()
			r.wait(t, 1)
		}
	}
	stop()
	rig.Same(t, "readings", r.wait(t, 1), []string{"pump/LWT=false"})
}

// Connections that say nothing are closed, and leave room for others.
func TestSilentConnections(t *testing.T) {
	config := inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, MaxClients: 5}
	r := newRecorder()
	s := start(t, config, r.ingest)
	addr := address(t, s)
	good := rig.Dial(t, addr, 4, "good")
	silent := make([]*rig.Client, 4)
	for i := range silent {
		silent[i] = rig.Open(t, addr, 4)
	}
	rig.Until(t, "all places are taken", func() bool { return s.Counts().Clients == 5 })
	rig.Open(t, addr, 4).Closed()
	for _, c := range silent {
		_ = c.Conn.Close()
	}
	rig.Until(t, "silent ones have gone", func() bool { return s.Counts().Clients == 1 })
	rig.Dial(t, addr, 4, "new").Silent()
	short, err := New("short", config, discard) // nobody who has to be quick is here
	if err != nil {
		t.Fatal(err)
	}
	short.connectTimeout = 300 * time.Millisecond
	run(t, short, r.ingest)
	for i := range silent {
		silent[i] = rig.Open(t, address(t, short), 4)
	}
	for _, c := range silent {
		c.Closed()
	}
	rig.Until(t, "they count no more", func() bool { return short.Counts().Clients == 0 })
	good.Publish(2, 1, "t/a/p", "1")
	good.Expect(0x40, 1)
}

// Thousands of connections that come and go stop nobody and leave nothing.
func TestManyConnects(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	good := rig.Dial(t, addr, 4, "good")
	for i := range 3_000 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			_, _ = c.Write([]byte("\x10\x0f\x00\x04MQTT\x04\x00\x00\x3c\x00\x03abc")) // its session stays
		}
		_ = c.Close()
		if i%300 == 0 {
			good.Publish(2, 1, "t/a/p", "1")
			good.Expect(0x40, 1)
		}
	}
	rig.Until(t, "they are gone", func() bool { return s.Counts().Clients == 1 })
	r.wait(t, 10)
}

// What clients may leave behind is bounded.
func TestLeftBehind(t *testing.T) {
	config := inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, MaxClients: 10}
	r := newRecorder()
	s := start(t, config, r.ingest)
	addr := address(t, s)
	for i := range 50 {
		for _, version := range []byte{4, 5} {
			c := rig.Open(t, addr, version)
			c.Connect(strings.Repeat("x", i+1)+string('0'+version), 0)
			c.Read()
			_ = c.Conn.Close()
		}
	}
	server := s.server
	rig.Until(t, "the clients are gone", func() bool { return s.Counts().Clients == 0 })
	if n := server.Clients.Len(); n > 20 {
		t.Errorf("%d sessions stay", n)
	}
	c := rig.Dial(t, addr, 5, "c")
	for i := range 10_000 + 100 {
		c.Publish(1, 0, fmt.Sprint("r/", i), "1")
	}
	c.Publish(3, 1, "r/0", "2") // one that is there already
	c.Expect(0x40, 1)
	c.Publish(3, 2, "r/new", "2")
	c.Expect(0x40, 2)
	if n := server.Topics.Retained.Len(); n > 10_000 {
		t.Errorf("%d topics have retained messages", n)
	}
	if pk, _ := server.Topics.Retained.Get("r/0"); string(pk.Payload) != "2" {
		t.Errorf("r/0 has %q", pk.Payload)
	}
}

// Topics and subscriptions are bounded in depth and number; MQTT 3.1.1 clients
// are disconnected without a packet that they do not know.
func TestDeepAndManySubscriptions(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	c := rig.Dial(t, addr, 5, "deep")
	c.Publish(3, 1, strings.Repeat("/", maxLevels), "1")
	if kind, body := c.Read(); kind != 0x40 || body[2] != 0x87 {
		t.Errorf("got %#x %x, want PUBACK 0x87", kind, body)
	}
	c.Write(0x82, append(append([]byte{0, 2, 0}, rig.String(strings.Repeat("/", 10000))...), 1))
	if kind, body := c.Read(); kind != 0x90 || body[3] != 0x87 {
		t.Errorf("got %#x %x, want SUBACK 0x87", kind, body)
	}
	many := rig.Dial(t, addr, 4, "many")
	for i := range maxSubscriptions {
		many.Write(0x82, append(append([]byte{0, 1}, rig.String(fmt.Sprint("x/", i))...), 1))
		many.Read()
	}
	many.Write(0x82, append(append([]byte{0, 1}, rig.String("one/more")...), 1))
	many.Closed()
}
