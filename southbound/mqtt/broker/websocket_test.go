package broker

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/trouble"
	"fieldbridge/southbound/mqtt/websocket"
)

// webAddress returns where s listens for WebSockets.
func webAddress(t *testing.T, s *Broker) string {
	t.Helper()
	var at net.Addr
	rig.Until(t, "the broker listens for WebSockets", func() bool {
		for _, p := range s.ports {
			if p.WebSocket {
				at = p.addr()
			}
		}
		return at != nil
	})
	return at.String()
}

// overWeb connects to s by WebSocket.
func overWeb(t *testing.T, s *Broker, version byte) *rig.Client {
	t.Helper()
	address := webAddress(t, s)
	nc, err := websocket.Dial(t.Context(), "ws://"+address+"/mqtt", func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return rig.Over(t, nc, version)
}

// Sensors come by WebSocket as by TCP, to one broker with both.
func TestCaseB13(t *testing.T) {
	r := newRecorder()
	s := start(t, inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0", "ws://127.0.0.1:0/mqtt"}}, r.ingest)
	hears := rig.Dial(t, address(t, s), 4, "hears")
	hears.Write(0x82, append(append([]byte{0, 1}, rig.String("#")...), 0))
	hears.Read()
	for _, version := range []byte{4, 5} {
		c := overWeb(t, s, version)
		c.Connect("web", 2)
		c.Read()
		c.Publish(2, 1, "t/web/p", "1")
		c.Expect(0x40, 1)
		c.Publish(4, 2, "t/web/p", strings.Repeat("x", 100<<10))
		c.Expect(0x50, 2)
		c.Write(0x62, []byte{0, 2})
		c.Expect(0x70, 2)
		for range 2 {
			if kind, _ := hears.Read(); kind != 0x30 {
				t.Errorf("the subscriber got %#x", kind)
			}
		}
	}
	r.wait(t, 4)
}

// A real client over WebSocket, in both versions.
const pythonWebClient = `
import sys
import paho.mqtt.client as mqtt
host, port = sys.argv[1], int(sys.argv[2])
for version in (mqtt.MQTTv311, mqtt.MQTTv5):
    c = mqtt.Client(client_id="web%d" % version, protocol=version, transport="websockets")
    c.ws_set_options(path="/mqtt")
    c.connect(host, port)
    c.loop_start()
    for qos in (0, 1, 2):
        m = c.publish("t/web%d/p" % version, str(qos), qos)
        m.wait_for_publish(5)
        assert m.is_published(), "not acknowledged"
    c.disconnect()
    c.loop_stop()
print("done")
`

func TestPythonWebClient(t *testing.T) {
	r := newRecorder()
	s := start(t, inlet.Broker{Listen: inlet.Addresses{"ws://127.0.0.1:0/mqtt"}}, r.ingest)
	host, port, _ := net.SplitHostPort(webAddress(t, s))
	if out := python(t, pythonWebClient, host, port); !strings.Contains(out, "done") {
		t.Fatal(out)
	}
	r.wait(t, 6)
}

// Who is refused at the door is told, and who asks and then says nothing goes.
func TestWebStrangers(t *testing.T) {
	t.Parallel()
	s, err := New("local", inlet.Broker{Listen: inlet.Addresses{"ws://127.0.0.1:0"}}, discard)
	if err != nil {
		t.Fatal(err)
	}
	s.connectTimeout = 5 * time.Second // who is refused has to ask within it
	run(t, s, newRecorder().ingest)
	nc, err := net.Dial("tcp", webAddress(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = nc.Write([]byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	e := troubleOf(t, s, trouble.Protocol, 1)
	has(t, "cause", e.Cause+": "+e.Advice, "https://evil.example", "origins")
	silent := overWeb(t, s, 4)
	if _, _, err := silent.TryRead(); err == nil {
		t.Error("a silent client got an answer")
	}
	rig.Until(t, "it is told", func() bool { return s.trouble.Counts()[trouble.Protocol] == 2 })
}

// TestMosquittoBridge: a Mosquitto with its defaults for a bridge hands on what it
// gets, and gets nothing of it back.
func TestMosquittoBridge(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	b := rig.StartMosquitto(t, "allow_anonymous true", "connection plant", "address "+address(t, s), "topic # both 1",
		"restart_timeout 1")
	rig.Until(t, "the bridge is there", func() bool { return s.Counts().Clients == 1 })
	rig.Until(t, "it hands on", func() bool {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "t/a/p", "-m", "1")
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.all) > 0
	})
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "t/last/p", "-m", "1")
	rig.Until(t, "the last of them", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Contains(r.all, "t/last/p=1")
	})
	before := s.Counts().Messages
	c := rig.Dial(t, address(t, s), 4, "c")
	c.Publish(2, 1, "t/b/p", "2")
	c.Expect(0x40, 1)
	rig.Until(t, "the message", func() bool { return s.Counts().Messages > before })
	c.Silent()
	if n := s.Counts().Messages; n > before+2 {
		t.Errorf("%d messages go round", n-before)
	}
	if all := s.Trouble(); len(all) > 0 {
		t.Errorf("trouble: %+v", all)
	}
}

// TestNoCutForEver: a client whose every connection begins with a message that is
// too long stays connected, and its other messages arrive.
func TestNoCutForEver(t *testing.T) {
	r := newRecorder()
	s := start(t, inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, MaxMessage: 4 << 10}, r.ingest)
	addr := address(t, s)
	rig.Mosquitto(t, "mosquitto_pub", addr, "-V", "mqttv311", "-q", "2", "-t", "zigbee2mqtt/bridge/devices", "-m",
		strings.Repeat("x", 100<<10))
	for i := range 3 {
		rig.Mosquitto(t, "mosquitto_pub", addr, "-q", "1", "-t", "t/a/p", "-m", strconv.Itoa(i))
	}
	rig.Same(t, "readings", r.wait(t, 3), []string{"t/a/p=0", "t/a/p=1", "t/a/p=2"})
}
