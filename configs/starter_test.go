package configs

import (
	"strings"
	"testing"
)

// What init writes is right, whatever is asked for.
func TestStarter(t *testing.T) {
	for _, s := range []Starter{
		{Gateway: "press-line-2", Endpoint: "a1-ats.iot.eu-central-1.amazonaws.com", Modbus: "10.0.0.5", Sensors: true},
		{Gateway: "007", Endpoint: "127.0.0.1:8883", Modbus: "[fe80::1]:502"},
		{Gateway: "true", Endpoint: "localhost", Sensors: true},
		{Gateway: "null", Endpoint: "x"},
	} {
		text := s.YAML()
		l, err := Parse("f.yaml", []byte(text))
		if err != nil {
			t.Errorf("%+v:\n%v\n%s", s, err, text)
			continue
		}
		if l.Config.Gateway != s.Gateway || l.Config.Northbound.AWSIoT.Endpoint != s.Endpoint {
			t.Errorf("%+v became %+v", s, l.Config)
		}
		if (len(l.Config.Southbound.Modbus.Devices) > 0) != (s.Modbus != "") ||
			(len(l.Config.Southbound.MQTT.Sensors) > 0) != s.Sensors {
			t.Errorf("%+v reads %+v", s, l.Config.Southbound)
		}
		if strings.Contains(text, "\n\n\n") {
			t.Errorf("holes in the text:\n%s", text)
		}
	}
}
