package mqtt

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
)

// python runs a script with the system's Python, which has the module paho.
func python(t *testing.T, script string, args ...string) string {
	t.Helper()
	program := "/usr/bin/python3"
	if err := exec.Command(program, "-c", "import paho.mqtt.client").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-paho-mqtt is not installed")
		}
		t.Skip("python3-paho-mqtt is not installed")
	}
	out, err := exec.CommandContext(t.Context(), program, append([]string{"-c", script}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// A Python client publishes in every QoS and both versions, through a
// persistent session and with retain, and hears itself.
const pythonClient = `
import sys, threading
import paho.mqtt.client as mqtt
host, port = sys.argv[1], int(sys.argv[2])
for version in (mqtt.MQTTv311, mqtt.MQTTv5):
    c = mqtt.Client(client_id="py%d" % version, protocol=version)
    heard, subscribed, all_heard = [], threading.Event(), threading.Event()
    def on_message(c, u, m):
        heard.append(m.payload)
        if len(heard) == 300: all_heard.set()
    c.on_message = on_message
    c.on_subscribe = lambda *a: subscribed.set()
    c.connect(host, port)
    c.loop_start()
    c.subscribe("t/py%d/p" % version, 2)
    assert subscribed.wait(5), "no SUBACK"
    for qos in (0, 1, 2):
        sent = [c.publish("t/py%d/p" % version, str(i), qos, retain=True) for i in range(100)]
        for m in sent: m.wait_for_publish(5)
        assert all(m.is_published() for m in sent), "not all acknowledged"
    assert all_heard.wait(5), "heard %d of 300" % len(heard)
    c.disconnect()
    c.loop_stop()
print("done")
`

func TestPythonClient(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	host, port, _ := net.SplitHostPort(address(t, s))
	if out := python(t, pythonClient, host, port); !strings.Contains(out, "done") {
		t.Fatal(out)
	}
	r.wait(t, 600)
}

// A change of the rules does not touch connections.
func TestApply(t *testing.T) {
	r := newRecorder()
	var catalogue bridge.Catalogue
	s := start(t, embeddedConfig(anyReading(), sensor("other", Sensor{Topic: "o/{device}", Point: "p"})), Options{Catalogue: &catalogue}, r.emit)
	addr := address(t, s)
	c := dialRaw(t, addr, 4, "c")
	c.publish(2, 1, "t/a/p", "1")
	c.expect(0x40, 1)
	c.publish(2, 2, "o/b", "2")
	c.expect(0x40, 2)
	if err := s.Apply(embeddedConfig(sensor("any", Sensor{Topic: "t/{x}/{point}", Device: "dev-{x}"}), sensor("other", Sensor{Topic: "o/{device}", Point: "p"}))); err != nil {
		t.Fatal(err)
	}
	c.publish(2, 3, "t/a/p", "3")
	c.expect(0x40, 3)
	same(t, "readings", values(r.wait(t, 3)), []string{"a.p=1", "b.p=2", "dev-a.p=3"})
	devices, _, _ := catalogue.Snapshot()
	if len(devices) != 2 || devices[0].Device != "b" || devices[1].Device != "dev-a" {
		t.Errorf("catalogue: %v", devices)
	}
	if err := s.Apply(Config{Brokers: map[string]inlet.Broker{"local": {}}}); err == nil {
		t.Error("a wrong configuration is accepted")
	}
	// Another address is another broker.
	moved := embeddedConfig(anyReading())
	moved.Brokers["local"] = inlet.Broker{Listen: "127.0.0.2:0"}
	if err := s.Apply(moved); err != nil {
		t.Fatal(err)
	}
	c.closed()
	until(t, "the broker has moved", func() bool { a := s.Addr("local"); return a != nil && strings.HasPrefix(a.String(), "127.0.0.2:") })
	if err := s.Apply(Config{}); err != nil {
		t.Fatal(err)
	}
	if devices, _, _ := catalogue.Snapshot(); len(devices) != 0 {
		t.Errorf("catalogue: %v", devices)
	}
}

// Rules change while messages come: each is acknowledged, and read by the old
// rules or the new.
func TestApplyWhilePublishing(t *testing.T) {
	r := newRecorder()
	var catalogue bridge.Catalogue
	old := embeddedConfig(sensor("a", Sensor{Topic: "t/{device}/{point}"}))
	changed := embeddedConfig(sensor("b", Sensor{Topic: "t/#", Device: "all", Point: "p"}), sensor("x", Sensor{Topic: "x", Device: "x", Point: "x", Expect: setting.Duration(time.Second)}))
	s := start(t, old, Options{Catalogue: &catalogue}, r.emit)
	c := dialRaw(t, address(t, s), 5, "c")
	const messages = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range messages {
			c.publish(2, uint16(i+1), "t/d/p", "1")
			if kind, body, err := c.tryRead(); err != nil || kind != 0x40 || len(body) != 2 {
				t.Errorf("message %d: %#x %x %v", i, kind, body, err)
				return
			}
		}
	}()
	for n := 0; ; n++ {
		select {
		case <-done:
			if n < 3 {
				t.Errorf("only %d changes", n)
			}
			if got := len(r.wait(t, messages)); got != messages {
				t.Errorf("%d batches", got)
			}
			return
		default:
		}
		if err := s.Apply([]Config{changed, old}[n%2]); err != nil {
			t.Fatal(err)
		}
		s.Devices()
		s.Seen()
		s.Health()
		metric(s, "fieldbridge_mqtt_messages_total")
	}
}
