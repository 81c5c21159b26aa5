package mqtt

import (
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

func TestValidate(t *testing.T) {
	brokers := map[string]inlet.Broker{"local": {Listen: inlet.Addresses{"127.0.0.1:1883"}},
		"site": {URL: inlet.Addresses{"mqtt://10.0.0.9:1883"}}}
	for _, c := range []struct {
		name   string
		broker inlet.Broker
		sensor Sensor
		want   string // path: text: fix, in parts
	}{
		{"neither", inlet.Broker{}, Sensor{}, "brokers.x: neither listen nor url"},
		{"both", inlet.Broker{Listen: inlet.Addresses{":1"}, URL: inlet.Addresses{"mqtt://a:1"}}, Sensor{},
			"brokers.x.url: both"},
		{"listen", inlet.Broker{Listen: inlet.Addresses{"1883"}}, Sensor{}, `brokers.x.listen: "1883" is not host:port`},
		{"port", inlet.Broker{Listen: inlet.Addresses{":99999"}}, Sensor{}, "brokers.x.listen: no port"},
		{"scheme", inlet.Broker{URL: inlet.Addresses{"http://a:1"}}, Sensor{}, "brokers.x.url: mqtt://"},
		{"no port", inlet.Broker{URL: inlet.Addresses{"mqtt://a"}}, Sensor{}, "brokers.x.url: no port"},
		{"user", inlet.Broker{URL: inlet.Addresses{"mqtt://u:p@a:1"}}, Sensor{}, "brokers.x.url: logs"},
		{"path", inlet.Broker{URL: inlet.Addresses{"mqtt://a:1/x"}}, Sensor{}, "brokers.x.url: host and a port"},
		{"client_id", inlet.Broker{Listen: inlet.Addresses{"localhost:0"}, ClientID: "x"}, Sensor{},
			"brokers.x.client_id: with url"},
		{"password", inlet.Broker{URL: inlet.Addresses{"mqtt://a:1"}, PasswordFile: "f"}, Sensor{},
			"brokers.x.password_file: no username"},

		{"unknown broker", inlet.Broker{}, Sensor{Broker: "locl", Topic: "{device}/{point}"},
			`sensors.s.broker: no broker "locl": did you mean "local"?`},
		{"no broker", inlet.Broker{}, Sensor{Topic: "{device}/{point}"}, "sensors.s: no broker: local, site"},
		{"no topic", inlet.Broker{}, Sensor{Broker: "local", Device: "d", Point: "p"}, "sensors.s: no topic"},
		{"bad topic", inlet.Broker{}, Sensor{Broker: "local", Topic: "a/#/b"}, "sensors.s.topic: last level"},
		{"no device", inlet.Broker{}, Sensor{Broker: "local", Topic: "a/+", Point: "p"}, "sensors.s.topic: no {device}"},
		{"device capture", inlet.Broker{}, Sensor{Broker: "local", Topic: "a/{x}", Device: "{y}", Point: "p"},
			"sensors.s.device: {y} is not captured: (it captures {x})"},
		{"device name", inlet.Broker{}, Sensor{Broker: "local", Topic: "a", Device: "a b", Point: "p"},
			`sensors.s.device: "a b" cannot name`},
		{"no point", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}"}, "sensors.s: neither point nor points"},
		{"point name", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}", Point: "Wind Speed"},
			`sensors.s.point: cannot name: "wind_speed"`},
		{"point and points", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}", Point: "a",
			Points: map[string]payload.Point{"b": {Path: "b"}}}, "sensors.s.point: without points"},
		{"type with points", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}", Value: payload.Value{Type: "bool"},
			Points: map[string]payload.Point{"b": {Path: "b"}}}, "sensors.s.type: without points"},
		{"points name", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}",
			Points: map[string]payload.Point{"B": {Path: "b"}}}, `sensors.s.points.B: cannot name: "b"`},
		{"no path", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}", Points: map[string]payload.Point{"b": {}}},
			"sensors.s.points.b: no path"},
		{"type", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}/{point}", Value: payload.Value{Type: "flaot64"}},
			`sensors.s.type: not a type: did you mean "float64"?`},
		{"scale", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}/{point}",
			Value: payload.Value{Type: "bool", Scale: &bridge.Decimal{Coef: 1}}}, "sensors.s.scale: numbers"},
		{"qos", inlet.Broker{}, Sensor{Broker: "site", Topic: "{device}/{point}", QoS: new(3)}, "sensors.s.qos: qos is 3"},
		{"local qos", inlet.Broker{}, Sensor{Broker: "local", Topic: "{device}/{point}", QoS: new(1)},
			"sensors.s.qos: sensor decides"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Brokers: map[string]inlet.Broker{"x": c.broker}}
			if c.sensor.Broker != "" || c.sensor.Topic != "" {
				cfg = Config{Brokers: brokers, Sensors: setting.Ordered[Sensor]{sensor("s", c.sensor)}}
			}
			problems := cfg.Validate()
			if len(problems) != 1 {
				t.Fatalf("got %d problems, want 1: %+v", len(problems), problems)
			}
			p := problems[0]
			got := strings.Join(p.Path, ".") + ": " + p.Text + ": " + p.Fix
			path, rest, _ := strings.Cut(c.want, ": ")
			if !strings.HasPrefix(got, path+": ") {
				t.Errorf("got %q, want path %s", got, path)
			}
			for _, part := range strings.Split(rest, ": ") {
				if !strings.Contains(got, part) {
					t.Errorf("got %q, want %q in it", got, part)
				}
			}
			if _, err := New(cfg, Options{}); err == nil {
				t.Error("New accepts it")
			}
		})
	}
}

// All problems are reported at once.
func TestValidateAll(t *testing.T) {
	cfg := Config{Brokers: map[string]inlet.Broker{"a": {}, "b": {Listen: inlet.Addresses{"x"}, ClientID: "y"}},
		Sensors: setting.Ordered[Sensor]{sensor("s", Sensor{Broker: "c", Topic: "#/", Value: payload.Value{Type: "x"}}),
			sensor("u", Sensor{})}}
	if got := cfg.Validate(); len(got) != 8 {
		t.Errorf("got %d problems, want 8: %+v", len(got), got)
	}
	if got := (Config{}).Validate(); len(got) != 0 {
		t.Errorf("empty: %+v", got)
	}
}

// Limits of a rule are checked.
func TestValidateLimits(t *testing.T) {
	for _, c := range []struct {
		sensor Sensor
		want   string
	}{
		{Sensor{Point: "p", MaxDevices: -1}, "max_devices"},
		{Sensor{Point: "p", Expect: attendance.Expect(time.Millisecond)}, "expect"},
	} {
		s := c.sensor
		s.Broker, s.Topic = "local", "{device}"
		problems := embeddedConfig(sensor("s", s)).Validate()
		if len(problems) != 1 || strings.Join(problems[0].Path, ".") != "sensors.s."+c.want {
			t.Errorf("%+v: got %+v, want a problem at %s", c.sensor, problems, c.want)
		}
	}
}

func TestValidateShadowed(t *testing.T) {
	s := func(name, topic string) setting.Named[Sensor] {
		return sensor(name, Sensor{Broker: "local", Topic: topic, Device: "d", Point: "p"})
	}
	cfg := embeddedConfig(s("a", "x/{n}"), s("b", "x/y"), s("c", "x/y/z"), s("d", "#/bad"), s("e", "#"), s("f", "q"),
		s("g", "$SYS/q"))
	var got []string
	for _, p := range cfg.Validate() {
		if p.Warning {
			got = append(got, strings.Join(p.Path, ".")+": "+p.Text)
		}
	}
	rig.Same(t, "warnings", got, []string{
		"sensors.b.topic: the rule never matches: a comes before it and takes all its messages",
		"sensors.f.topic: the rule never matches: e comes before it and takes all its messages"})
}
