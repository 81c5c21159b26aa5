package mqtt

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// A change of the rules does not touch connections.
func TestApply(t *testing.T) {
	r := newRecorder()
	var catalogue bridge.Catalogue
	s := start(t, embeddedConfig(anyReading(), sensor("other", Sensor{Topic: "o/{device}", Point: "p"})),
		Options{Catalogue: &catalogue}, r.emit)
	addr := address(t, s)
	c := rig.Dial(t, addr, 4, "c")
	c.Publish(2, 1, "t/a/p", "1")
	c.Expect(0x40, 1)
	c.Publish(2, 2, "o/b", "2")
	c.Expect(0x40, 2)
	if err := s.Apply(embeddedConfig(sensor("any", Sensor{Topic: "t/{x}/{point}", Device: "dev-{x}"}),
		sensor("other", Sensor{Topic: "o/{device}", Point: "p"}))); err != nil {
		t.Fatal(err)
	}
	c.Publish(2, 3, "t/a/p", "3")
	c.Expect(0x40, 3)
	rig.Same(t, "readings", values(r.wait(t, 3)), []string{"a.p=1", "b.p=2", "dev-a.p=3"})
	devices, _, _ := catalogue.Snapshot()
	if len(devices) != 2 || devices[0].Device != "b" || devices[1].Device != "dev-a" {
		t.Errorf("catalogue: %v", devices)
	}
	if err := s.Apply(Config{Brokers: map[string]inlet.Broker{"local": {}}}); err == nil {
		t.Error("a wrong configuration is accepted")
	}
	// Another address is another broker.
	moved := embeddedConfig(anyReading())
	moved.Brokers["local"] = inlet.Broker{Listen: inlet.Addresses{"127.0.0.2:0"}}
	if err := s.Apply(moved); err != nil {
		t.Fatal(err)
	}
	c.Closed()
	rig.Until(t, "the broker has moved", func() bool {
		a := s.Addr("local")
		return a != nil &&
			strings.HasPrefix(a.String(), "127.0.0.2:")
	})
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
	changed := embeddedConfig(sensor("b", Sensor{Topic: "t/#", Device: "all", Point: "p"}),
		sensor("x", Sensor{Topic: "x", Device: "x", Point: "x", Expect: attendance.Expect(time.Second)}))
	s := start(t, old, Options{Catalogue: &catalogue}, r.emit)
	c := rig.Dial(t, address(t, s), 5, "c")
	const messages = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range messages {
			c.Publish(2, uint16(i+1), "t/d/p", "1")
			if kind, body, err := c.TryRead(); err != nil || kind != 0x40 || len(body) != 2 {
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

// A broker that cannot stop, since the disk with its certificate blocks, holds up
// Apply alone: what is asked of the source meanwhile is answered, and the other
// broker goes on.
func TestApplyOnBlockedDisk(t *testing.T) {
	certificate := setting.Path(filepath.Join(t.TempDir(), "cert.pem"))
	if err := syscall.Mkfifo(string(certificate), 0o600); err != nil { // blocks who opens it to read
		t.Fatal(err)
	}
	cfg := embeddedConfig(anyReading())
	cfg.Brokers["blocked"] = inlet.Broker{TLS: &inlet.TLS{Listen: inlet.Addresses{"127.0.0.1:0"}, Certificate: certificate,
		PrivateKey: "k"}}
	r := newRecorder()
	s := start(t, cfg, Options{}, r.emit)
	c := rig.Dial(t, address(t, s), 4, "c")
	// It can be opened to write only while somebody reads, and is not read to its end
	// before it is closed.
	w, err := os.OpenFile(string(certificate), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	applied := make(chan error, 1)
	go func() { applied <- s.Apply(embeddedConfig(anyReading())) }()
	rig.Until(t, "the broker is to stop", func() bool {
		names, _, _ := s.snapshot()
		return len(names) == 1
	})
	for i := range uint16(5) {
		c.Publish(2, i+1, "t/a/p", "1")
		c.Expect(0x40, i+1)
		s.Health()
		s.Devices()
		s.Seen()
		metric(s, "fieldbridge_mqtt_messages_total")
	}
	select {
	case err := <-applied:
		t.Errorf("Apply has returned before the broker has stopped: %v", err)
	default:
	}
	_ = w.Close()
	if err := <-applied; err != nil {
		t.Error(err)
	}
}
