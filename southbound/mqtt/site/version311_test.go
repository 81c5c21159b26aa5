package site

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// ageing makes an old broker of a new one: it answers CONNECT as a broker does
// that knows MQTT 3.1.1 only, and hands on what is of that version. It returns
// its address.
func ageing(t *testing.T, broker string, refusal []byte) string {
	t.Helper()
	return relay(t, func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		kind, err := in.ReadByte()
		if err != nil {
			return
		}
		length, err := binary.ReadUvarint(in)
		if err != nil || length > 1000 {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if body[6] != 4 {
			_, _ = c.Write(refusal)
			return
		}
		up, err := net.Dial("tcp", broker)
		if err != nil {
			return
		}
		defer up.Close()
		_, _ = up.Write(append(binary.AppendUvarint([]byte{kind}, length), body...))
		go func() {
			_, _ = io.Copy(c, up)
			_ = c.Close()
		}()
		_, _ = io.Copy(up, in)
	})
}

// relay serves each connection that it gets, until the test ends. It returns
// where it listens.
func relay(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// A broker that speaks only MQTT 3.1.1 is used with that: every QoS, what waits
// while the gateway is away, retained messages once, changed rules.
func TestVersion311(t *testing.T) {
	for name, refusal := range map[string][]byte{"CONNACK 1": {0x20, 2, 0, 1}, "silence": nil} {
		t.Run(name, func(t *testing.T) {
			b := rig.StartMosquitto(t)
			rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-r", "-t", "w/old/p", "-m", "1")
			r := &recorder{}
			s := client("mqtt://"+ageing(t, b.Addr, refusal), &rig.Memory{}, "w/+/+")
			stop := run(t, s, r.ingest)
			connected(t, s)
			rig.Same(t, "retained", r.wait(t, 1), []string{"w/old/p=1"})
			for _, qos := range []string{"0", "1", "2"} {
				rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", qos, "-t", "w/a/p", "-m", qos)
			}
			rig.Same(t, "readings", r.wait(t, 4)[1:], []string{"w/a/p=0", "w/a/p=1", "w/a/p=2"})
			rig.Until(t, "all are acknowledged", func() bool { return s.Counts().Unacknowledged == 0 })

			stop()
			rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "2", "-t", "w/a/p", "-m", "5")
			stop = run(t, s, r.ingest)
			rig.Same(t, "what waited", r.wait(t, 5)[4:], []string{"w/a/p=5"})

			s.Want(wanted("v/+/+"))
			rig.Until(t, "the new subscription", func() bool {
				rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "v/a/p", "-m", "7")
				r.mu.Lock()
				defer r.mu.Unlock()
				return len(r.heard) > 5
			})
			rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "8")
			stop()
			for _, v := range r.heard[5:] {
				if v != "v/a/p=7" {
					t.Errorf("got %s under a subscription that nobody wants", v)
				}
			}
		})
	}
}

// What was not safe when the connection to an old broker ended is sent again, and
// what the queue refuses.
func TestVersion311UnsafeComesAgain(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := &recorder{}
	r.hold = true
	s := client("mqtt://"+ageing(t, b.Addr, []byte{0x20, 2, 0, 1}), nil, "w/+/+")
	run(t, s, r.ingest)
	connected(t, s)
	for i, qos := range []string{"1", "2", "1", "2", "1"} {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", qos, "-t", "w/a/p", "-m", fmt.Sprint(i))
	}
	r.wait(t, 5)
	safe := r.take()
	safe[3](nil)
	safe[1](nil)
	safe[0](nil)
	rig.Until(t, "two are acknowledged", func() bool { return s.Counts().Unacknowledged == 3 })
	safe[2](bridge.ErrFull)
	rig.Same(t, "sent again", r.wait(t, 8)[5:], []string{"w/a/p=2", "w/a/p=3", "w/a/p=4"})
	for _, safe := range r.take() {
		safe(nil)
	}
	rig.Until(t, "all are acknowledged", func() bool { return s.Counts().Unacknowledged == 0 })
}

// What is not a broker of either version, or does not want us, is told with words
// that help.
func TestVersion311Refuses(t *testing.T) {
	for answer, want := range map[string]string{
		"\x20\x02\x00\x01": "neither MQTT 5 nor 3.1.1",
		"\x20\x02\x00\x02": "change client_id",
		"\x20\x02\x00\x04": "username and password_file",
		"\x20\x02\x00\x05": "not authorized",
		"\x20\x02\x00\x03": "code 3",
		"HTTP/1.1 400":     "is this the address of a broker",
		"":                 "is this the address of a broker",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1024))
				_, _ = c.Write([]byte(answer))
				_ = c.Close()
			}
		}()
		s := client("mqtt://"+l.Addr().String(), nil, "w/+/+")
		run(t, s, (&recorder{}).ingest)
		rig.Until(t, "the explanation", func() bool {
			h := s.Health()
			return len(h) == 1 && strings.Contains(h[0].Text, want)
		})
	}
}

// The connection to an old broker is cut while messages wait until they are
// safe: what was told afterwards acknowledges nothing, all of them come again,
// and when they are safe the broker has none left.
func TestVersion311Cut(t *testing.T) {
	b := rig.StartMosquitto(t, "allow_anonymous true", "max_inflight_messages 20")
	var mu sync.Mutex
	var open []net.Conn
	cut := false
	front := relay(t, func(c net.Conn) {
		defer c.Close()
		up, err := net.Dial("tcp", ageing(t, b.Addr, []byte{0x20, 2, 0, 1}))
		if err != nil {
			return
		}
		defer up.Close()
		mu.Lock()
		open = append(open, c, up)
		refused := cut
		mu.Unlock()
		if refused {
			return
		}
		go func() {
			_, _ = io.Copy(c, up)
			_ = c.Close()
		}()
		_, _ = io.Copy(up, c)
	})
	r := &recorder{}
	r.hold = true
	s := client("mqtt://"+front, nil, "w/+/+")
	run(t, s, r.ingest)
	connected(t, s)
	for i := range 30 {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", fmt.Sprint(1+i%2), "-t", "w/a/p", "-m", fmt.Sprint(i))
	}
	first := r.wait(t, 20) // what may be in flight
	held := r.take()
	mu.Lock()
	for _, c := range open {
		_ = c.Close()
	}
	cut = true // until it is noticed
	mu.Unlock()
	rig.Until(t, "the loss is noticed", func() bool { return len(s.Health()) == 1 })
	mu.Lock()
	cut = false
	mu.Unlock()
	for _, safe := range held {
		safe(nil)
	}
	rig.Same(t, "sent again", r.wait(t, 40)[20:], first)
	r.mu.Lock()
	r.hold = false
	r.mu.Unlock()
	for _, safe := range r.take() {
		safe(nil)
	}
	rig.Same(t, "the rest", len(r.wait(t, 50)), 50)
	rig.Until(t, "all are acknowledged", func() bool { return s.Counts().Unacknowledged == 0 })
	seen := make(map[string]bool)
	for _, v := range r.wait(t, 50) {
		seen[v] = true
	}
	rig.Same(t, "different readings", len(seen), 30)
}
