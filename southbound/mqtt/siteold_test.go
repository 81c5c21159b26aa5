package mqtt

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
	"fieldbridge/southbound/mqtt/inlet"
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
func TestSiteOld(t *testing.T) {
	for name, refusal := range map[string][]byte{"CONNACK 1": {0x20, 2, 0, 1}, "silence": nil} {
		t.Run(name, func(t *testing.T) {
			b := startMosquitto(t)
			mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-r", "-t", "w/old/p", "-m", "1")
			r := newRecorder()
			config := func(topics ...string) Config {
				var sensors []Sensor
				for _, topic := range topics {
					sensors = append(sensors, Sensor{Topic: topic, QoS: new(2)})
				}
				return siteConfig(inlet.Broker{URL: "mqtt://" + ageing(t, b.addr, refusal)}, sensors...)
			}
			cfg := config("w/{device}/{point}")
			state := &memory{}
			s, err := New(cfg, Options{Gateway: "g", State: state})
			if err != nil {
				t.Fatal(err)
			}
			stop := run(t, s, r.emit)
			connected(t, s)
			same(t, "retained", values(r.wait(t, 1)), []string{"old.p=1"})
			for _, qos := range []string{"0", "1", "2"} {
				mosquitto(t, "mosquitto_pub", b.addr, "-q", qos, "-t", "w/a/p", "-m", qos)
			}
			same(t, "readings", values(r.wait(t, 4)[1:]), []string{"a.p=0", "a.p=1", "a.p=2"})
			until(t, "all are acknowledged", func() bool { return metric(s, "fieldbridge_mqtt_unacknowledged") == 0 })

			stop()
			mosquitto(t, "mosquitto_pub", b.addr, "-q", "2", "-t", "w/a/p", "-m", "5")
			stop = run(t, s, r.emit)
			same(t, "what waited", values(r.wait(t, 5)[4:]), []string{"a.p=5"})

			cfg.Sensors[0].Value.Topic = "v/{device}/{point}"
			if err := s.Apply(cfg); err != nil {
				t.Fatal(err)
			}
			until(t, "the new subscription", func() bool {
				mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", "v/a/p", "-m", "7")
				r.mu.Lock()
				defer r.mu.Unlock()
				return len(r.batches) > 5
			})
			mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", "w/a/p", "-m", "8")
			stop()
			for _, v := range values(r.batches[5:]) {
				if v != "a.p=7" {
					t.Errorf("got %s under a subscription that nobody wants", v)
				}
			}
		})
	}
}

// What was not safe when the connection to an old broker ended is sent again, and
// what the queue refuses.
func TestSiteOldUnsafeComesAgain(t *testing.T) {
	b := startMosquitto(t)
	r := newRecorder()
	r.hold = true
	s, err := New(siteConfig(inlet.Broker{URL: "mqtt://" + ageing(t, b.addr, []byte{0x20, 2, 0, 1})}, Sensor{Topic: "w/{device}/{point}", QoS: new(2)}), Options{Gateway: "g"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, r.emit)
	connected(t, s)
	for i, qos := range []string{"1", "2", "1", "2", "1"} {
		mosquitto(t, "mosquitto_pub", b.addr, "-q", qos, "-t", "w/a/p", "-m", fmt.Sprint(i))
	}
	r.wait(t, 5)
	safe := r.take()
	safe[3](nil)
	safe[1](nil)
	safe[0](nil)
	until(t, "two are acknowledged", func() bool { return metric(s, "fieldbridge_mqtt_unacknowledged") == 3 })
	safe[2](bridge.ErrFull)
	same(t, "sent again", values(r.wait(t, 8)[5:]), []string{"a.p=2", "a.p=3", "a.p=4"})
	for _, safe := range r.take() {
		safe(nil)
	}
	until(t, "all are acknowledged", func() bool { return metric(s, "fieldbridge_mqtt_unacknowledged") == 0 })
}

// What is no broker of either version, or does not want us, is told with words
// that help.
func TestSiteOldRefuses(t *testing.T) {
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
		s := start(t, siteConfig(inlet.Broker{URL: "mqtt://" + l.Addr().String()}, Sensor{Topic: "w/{device}/{point}"}), Options{Gateway: "g"}, newRecorder().emit)
		until(t, "the explanation", func() bool {
			h := s.Health()
			return len(h) == 1 && strings.Contains(h[0].Text, want)
		})
	}
}

// The connection to an old broker is cut while messages wait until they are
// safe: what was told afterwards acknowledges nothing, all of them come again,
// and when they are safe the broker has none left.
func TestSiteOldCut(t *testing.T) {
	b := startMosquitto(t, "allow_anonymous true", "max_inflight_messages 20")
	var mu sync.Mutex
	var open []net.Conn
	front := relay(t, func(c net.Conn) {
		defer c.Close()
		up, err := net.Dial("tcp", ageing(t, b.addr, []byte{0x20, 2, 0, 1}))
		if err != nil {
			return
		}
		defer up.Close()
		mu.Lock()
		open = append(open, c, up)
		mu.Unlock()
		go func() {
			_, _ = io.Copy(c, up)
			_ = c.Close()
		}()
		_, _ = io.Copy(up, c)
	})
	r := newRecorder()
	r.hold = true
	s := start(t, siteConfig(inlet.Broker{URL: "mqtt://" + front}, Sensor{Topic: "w/{device}/{point}", QoS: new(2)}),
		Options{Gateway: "g"}, r.emit)
	connected(t, s)
	for i := range 30 {
		mosquitto(t, "mosquitto_pub", b.addr, "-q", fmt.Sprint(1+i%2), "-t", "w/a/p", "-m", fmt.Sprint(i))
	}
	first := values(r.wait(t, 20)) // what may be in flight
	held := r.take()
	mu.Lock()
	for _, c := range open {
		_ = c.Close()
	}
	mu.Unlock()
	until(t, "the loss is noticed", func() bool { return len(s.Health()) == 1 })
	for _, safe := range held {
		safe(nil)
	}
	same(t, "sent again", values(r.wait(t, 40)[20:]), first)
	r.mu.Lock()
	r.hold = false
	r.mu.Unlock()
	for _, safe := range r.take() {
		safe(nil)
	}
	same(t, "the rest", len(r.wait(t, 50)), 50)
	until(t, "all are acknowledged", func() bool { return metric(s, "fieldbridge_mqtt_unacknowledged") == 0 })
	seen := make(map[string]bool)
	for _, v := range values(r.wait(t, 50)) {
		seen[v] = true
	}
	same(t, "different readings", len(seen), 30)
}
