package first

import (
	"strings"
	"testing"

	"fieldbridge/southbound/modbus/setup"
)

func bus(url string) (b setup.Bus) {
	b.SetDefaults()
	b.URL = url
	return b
}

// What init writes is right, whatever is asked for.
func TestStarter(t *testing.T) {
	for _, s := range []Starter{
		{Gateway: "press-line-2", Endpoint: "a1-ats.iot.eu-central-1.amazonaws.com", Bus: bus("tcp://10.0.0.5"),
			Sensors: true},
		{Gateway: "007", Endpoint: "127.0.0.1:8883", Bus: bus("tcp://[fe80::1]:502")},
		{Gateway: "true", Endpoint: "localhost", Sensors: true},
		{Gateway: "null", Endpoint: "x"},
		{Gateway: "g", Endpoint: "x", Bus: bus("rtu:///dev/ttyUSB0"), Devices: []Device{{"meter", 3, "eastron-sdm630"},
			{"yes", 4, ""}}},
	} {
		text := s.YAML()
		l, err := s.Parse("f.yaml")
		if err != nil {
			t.Errorf("%+v:\n%v\n%s", s, err, text)
			continue
		}
		if l.Config.Gateway != s.Gateway || l.Config.Northbound.AWSIoT.Endpoint != s.Endpoint {
			t.Errorf("%+v became %+v", s, l.Config)
		}
		if (len(l.Config.Southbound.Modbus.Devices) > 0) != (s.Bus.URL != "") ||
			(len(l.Config.Southbound.MQTT.Sensors) > 0) != s.Sensors {
			t.Errorf("%+v reads %+v", s, l.Config.Southbound)
		}
		if strings.Contains(text, "\n\n\n") {
			t.Errorf("holes in the text:\n%s", text)
		}
	}
}

// TestQueueOf: the unit may write to /var/lib/fieldbridge and not beside its file in /etc.
func TestQueueOf(t *testing.T) {
	for file, want := range map[string]string{
		"/etc/fieldbridge/fieldbridge.yaml": "/var/lib/fieldbridge/queue", "/etc/line-2/a.yaml": "/var/lib/line-2/queue",
		"/etc/fieldbridge.yaml": "queue", "/home/me/fieldbridge.yaml": "queue", "fieldbridge.yaml": "queue",
		"/home/etc/x/f.yaml": "queue",
	} {
		s := Starter{Gateway: "g", Sensors: true, Queue: QueueOf(file)}
		l, err := s.Parse("f.yaml")
		if err != nil {
			t.Errorf("%s: %v", file, err)
		} else if got := string(l.Config.Store.Dir); got != want {
			t.Errorf("%s: the queue is in %s, want %s", file, got, want)
		}
	}
}
