package mqtt

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// An address that is taken is reported, and tried again.
func TestListenTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := embeddedConfig(anyReading())
	cfg.Brokers["local"] = inlet.Broker{Listen: l.Addr().String()}
	r := newRecorder()
	s := start(t, cfg, Options{}, r.emit)
	until(t, "the condition", func() bool {
		h := s.Health()
		return len(h) == 1 && h[0].Subject == "mqtt local" && strings.Contains(h[0].Text, "address already in use")
	})
	_ = l.Close()
	mosquitto(t, "mosquitto_pub", address(t, s), "-q", "1", "-t", "t/a/p", "-m", "1")
	r.wait(t, 1)
	if h := s.Health(); len(h) != 0 {
		t.Errorf("health: %v", h)
	}
}

// A subscriber that reads nothing is disconnected, and stops nobody.
func TestSlowReader(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(sensor("any", Sensor{Topic: "t/{device}/{point}", Value: payload.Value{Type: "string"}})), Options{}, r.emit)
	addr := address(t, s)
	slow := dialRaw(t, addr, 4, "slow")
	_ = slow.conn.(*net.TCPConn).SetReadBuffer(4096)
	slow.write(0x82, append(append([]byte{0, 1}, mqttString("#")...), 1))
	slow.read()
	c := dialRaw(t, addr, 4, "c")
	payload := strings.Repeat("x", 100<<10)
	n := 0
	until(t, "the slow client is disconnected", func() bool {
		n++
		c.publish(2, uint16(n), "t/a/p", payload)
		c.expect(0x40, uint16(n))
		return metric(s, "fieldbridge_mqtt_slow_clients_total") == 1
	})
	r.wait(t, n)
}

// Nonsense on one connection is the end of that connection only.
func TestHostile(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	addr := address(t, s)
	good := dialRaw(t, addr, 5, "good")
	for name, attack := range map[string]func(c *rawClient){
		"no CONNECT":     func(c *rawClient) { c.publish(0, 0, "t/a/p", "666") },
		"garbage":        func(c *rawClient) { _, _ = c.conn.Write(bytes.Repeat([]byte{0xff}, 100)) },
		"second CONNECT": func(c *rawClient) { c.connect("x", 2); c.read(); c.connect("x", 2) },
		"huge packet": func(c *rawClient) {
			c.connect("x", 2)
			c.read()
			_, _ = c.conn.Write([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
		},
		"huge CONNECT":        func(c *rawClient) { _, _ = c.conn.Write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}) },
		"topic not UTF-8":     func(c *rawClient) { c.connect("x", 2); c.read(); c.publish(0, 0, "t/\xff/p", "666") },
		"wildcard in topic":   func(c *rawClient) { c.connect("x", 2); c.read(); c.publish(2, 1, "t/+/p", "666") },
		"no packet id":        func(c *rawClient) { c.connect("x", 2); c.read(); c.publish(2, 0, "t/a/p", "666") },
		"QoS 3":               func(c *rawClient) { c.connect("x", 2); c.read(); c.publish(6, 1, "t/a/p", "666") },
		"truncated PUBLISH":   func(c *rawClient) { c.connect("x", 2); c.read(); c.write(0x32, []byte{0, 9, 't'}) },
		"unknown topic alias": func(c *rawClient) { c.connect("x", 2); c.read(); c.write(0x30, []byte{0, 0, 3, 0x23, 0, 5, '1'}) },
		"topic alias 17":      func(c *rawClient) { c.connect("x", 2); c.read(); c.write(0x30, []byte{0, 1, 't', 3, 0x23, 0, 17, '1'}) },
		"empty topic":         func(c *rawClient) { c.connect("x", 2); c.read(); c.write(0x30, []byte{0, 0, 0, '1'}) },
	} {
		c := openRaw(t, addr, 5)
		attack(c)
		for {
			if kind, _, err := c.tryRead(); err != nil {
				break
			} else if kind != 0xe0 {
				t.Errorf("%s: got packet %#x, want DISCONNECT or the connection closed", name, kind)
			}
		}
	}
	good.publish(2, 1, "t/a/p", "1")
	good.expect(0x40, 1)
	same(t, "readings", values(r.wait(t, 1)), []string{"a.p=1"})
}

// Aliases save the topic in later messages.
func TestTopicAlias(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	c := openRaw(t, address(t, s), 5)
	c.connect("c", 2)
	if _, body := c.read(); !bytes.Contains(body, []byte{0x22, 0, 16}) || !bytes.Contains(body, []byte{0x21, 0x10, 0}) || !bytes.Contains(body, []byte{0x27, 0, 4, 0, 0}) {
		t.Errorf("CONNACK %x lacks Topic Alias Maximum 16, Receive Maximum 4096 or Maximum Packet Size 256 KiB", body)
	}
	c.write(0x30, append(mqttString("t/a/p"), 3, 0x23, 0, 1, '1'))
	c.write(0x30, append(mqttString(""), 3, 0x23, 0, 1, '2'))
	same(t, "readings", values(r.wait(t, 2)), []string{"a.p=1", "a.p=2"})
}

// A last will is a reading too, but for that of clients whose connection ends
// since the broker does.
func TestWill(t *testing.T) {
	r := newRecorder()
	s, err := New(embeddedConfig(sensor("lwt", Sensor{Topic: "{device}/LWT", Point: "online", Value: payload.Value{Type: "bool"}})), Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	for _, device := range []string{"pump", "valve"} {
		c := openRaw(t, address(t, s), 4)
		b := append(append(mqttString("MQTT"), 4, 0x06, 0, 60), mqttString(device)...)
		c.write(0x10, append(append(b, mqttString(device+"/LWT")...), mqttString("false")...))
		c.read()
		if device == "pump" {
			_ = c.conn.Close()
			r.wait(t, 1)
		}
	}
	stop()
	same(t, "readings", values(r.wait(t, 1)), []string{"pump.online=false"})
}

// A publisher that invents topics makes so many devices and no more.
func TestMaxDevices(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	c := dialRaw(t, address(t, s), 4, "c")
	for i := range defaultMaxDevices + 50 {
		c.publish(0, 0, "t/d"+string(rune('a'+i%26))+strings.Repeat("x", i/26)+"/p", "1")
	}
	c.publish(2, 1, "t/last/p", "1")
	c.expect(0x40, 1)
	if got := len(s.Devices()); got > defaultMaxDevices {
		t.Errorf("%d devices", got)
	}
	if metric(s, "fieldbridge_mqtt_bad_payloads_total") == 0 {
		t.Error("nothing is counted")
	}
}

// Connections that say nothing are closed, and leave room for others.
func TestSilentConnections(t *testing.T) {
	cfg := embeddedConfig(anyReading())
	cfg.Brokers["local"] = inlet.Broker{Listen: "127.0.0.1:0", MaxClients: 5}
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.brokers["local"].embedded.connectTimeout = 300 * time.Millisecond
	r := newRecorder()
	run(t, s, r.emit)
	addr := address(t, s)
	good := dialRaw(t, addr, 4, "good")
	for range 4 {
		openRaw(t, addr, 4)
	}
	until(t, "all places are taken", func() bool { return metric(s, "fieldbridge_mqtt_clients") == 5 })
	openRaw(t, addr, 4).closed()
	until(t, "silent ones are gone", func() bool { return metric(s, "fieldbridge_mqtt_clients") == 1 })
	dialRaw(t, addr, 4, "new").silent()
	good.publish(2, 1, "t/a/p", "1")
	good.expect(0x40, 1)
}

// Ten thousand connections that come and go stop nobody and leave nothing.
func TestManyConnects(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	addr := address(t, s)
	good := dialRaw(t, addr, 4, "good")
	for i := range 10_000 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			_, _ = c.Write([]byte("\x10\x0f\x00\x04MQTT\x04\x00\x00\x3c\x00\x03abc")) // its session stays
		}
		_ = c.Close()
		if i%1000 == 0 {
			good.publish(2, 1, "t/a/p", "1")
			good.expect(0x40, 1)
		}
	}
	until(t, "they are gone", func() bool { return metric(s, "fieldbridge_mqtt_clients") == 1 })
	r.wait(t, 10)
}

// What clients may leave behind is bounded.
func TestLeftBehind(t *testing.T) {
	cfg := embeddedConfig(anyReading())
	cfg.Brokers["local"] = inlet.Broker{Listen: "127.0.0.1:0", MaxClients: 10}
	r := newRecorder()
	s := start(t, cfg, Options{}, r.emit)
	addr := address(t, s)
	for i := range 50 {
		for _, version := range []byte{4, 5} {
			c := openRaw(t, addr, version)
			c.connect(strings.Repeat("x", i+1)+string('0'+version), 0)
			c.read()
			_ = c.conn.Close()
		}
	}
	server := s.brokers["local"].embedded.server
	until(t, "the clients are gone", func() bool { return metric(s, "fieldbridge_mqtt_clients") == 0 })
	if n := server.Clients.Len(); n > 20 {
		t.Errorf("%d sessions stay", n)
	}
	c := dialRaw(t, addr, 5, "c")
	for i := range maxRetained + 100 {
		c.publish(1, 0, fmt.Sprint("r/", i), "1")
	}
	c.publish(3, 1, "r/0", "2") // one that is there already
	c.expect(0x40, 1)
	c.publish(3, 2, "r/new", "2")
	c.expect(0x40, 2)
	if n := server.Topics.Retained.Len(); n > maxRetained {
		t.Errorf("%d topics have retained messages", n)
	}
	if pk, _ := server.Topics.Retained.Get("r/0"); string(pk.Payload) != "2" {
		t.Errorf("r/0 has %q", pk.Payload)
	}
}

// Topics and subscriptions are bounded in depth and number; MQTT 3.1.1 clients
// are disconnected without a packet that they don't know.
func TestDeepAndManySubscriptions(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	addr := address(t, s)
	c := dialRaw(t, addr, 5, "deep")
	c.publish(3, 1, strings.Repeat("/", maxLevels), "1")
	if kind, body := c.read(); kind != 0x40 || body[2] != 0x87 {
		t.Errorf("got %#x %x, want PUBACK 0x87", kind, body)
	}
	c.write(0x82, append(append([]byte{0, 2, 0}, mqttString(strings.Repeat("/", 10000))...), 1))
	if kind, body := c.read(); kind != 0x90 || body[3] != 0x87 {
		t.Errorf("got %#x %x, want SUBACK 0x87", kind, body)
	}
	many := dialRaw(t, addr, 4, "many")
	for i := range maxSubscriptions {
		many.write(0x82, append(append([]byte{0, 1}, mqttString(fmt.Sprint("x/", i))...), 1))
		many.read()
	}
	many.write(0x82, append(append([]byte{0, 1}, mqttString("one/more")...), 1))
	many.closed()
}
