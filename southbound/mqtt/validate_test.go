package mqtt

import (
	"strings"
	"testing"

	"fieldbridge/bridge/setting"
)

func TestValidate(t *testing.T) {
	brokers := map[string]Broker{"local": {Listen: "127.0.0.1:1883"}, "site": {URL: "mqtt://10.0.0.9:1883"}}
	for _, c := range []struct {
		name   string
		broker Broker
		sensor Sensor
		want   string // path: text: fix, in parts
	}{
		{"neither", Broker{}, Sensor{}, "brokers.x: neither listen nor url"},
		{"both", Broker{Listen: ":1", URL: "mqtt://a:1"}, Sensor{}, "brokers.x.url: both"},
		{"listen", Broker{Listen: "1883"}, Sensor{}, `brokers.x.listen: "1883" is no address`},
		{"port", Broker{Listen: ":99999"}, Sensor{}, "brokers.x.listen: no port"},
		{"scheme", Broker{URL: "http://a:1"}, Sensor{}, "brokers.x.url: mqtt://"},
		{"no port", Broker{URL: "mqtt://a"}, Sensor{}, "brokers.x.url: no port"},
		{"user", Broker{URL: "mqtt://u:p@a:1"}, Sensor{}, "brokers.x.url: logs"},
		{"path", Broker{URL: "mqtt://a:1/x"}, Sensor{}, "brokers.x.url: host and a port"},
		{"client_id", Broker{Listen: "localhost:0", ClientID: "x"}, Sensor{}, "brokers.x.client_id: with url"},
		{"password", Broker{URL: "mqtt://a:1", PasswordFile: "f"}, Sensor{}, "brokers.x.password_file: no username"},

		{"unknown broker", Broker{}, Sensor{Broker: "locl", Topic: "{device}/{point}"}, `sensors.s.broker: no broker "locl": did you mean "local"?`},
		{"no broker", Broker{}, Sensor{Topic: "{device}/{point}"}, "sensors.s: no broker: local, site"},
		{"no topic", Broker{}, Sensor{Broker: "local", Device: "d", Point: "p"}, "sensors.s: no topic"},
		{"bad topic", Broker{}, Sensor{Broker: "local", Topic: "a/#/b"}, "sensors.s.topic: last level"},
		{"no device", Broker{}, Sensor{Broker: "local", Topic: "a/+", Point: "p"}, "sensors.s.topic: no {device}"},
		{"device capture", Broker{}, Sensor{Broker: "local", Topic: "a/{x}", Device: "{y}", Point: "p"}, "sensors.s.device: {y} is not captured: (it captures {x})"},
		{"device name", Broker{}, Sensor{Broker: "local", Topic: "a", Device: "a b", Point: "p"}, `sensors.s.device: "a b" can't name`},
		{"no point", Broker{}, Sensor{Broker: "local", Topic: "{device}"}, "sensors.s: neither point nor points"},
		{"point name", Broker{}, Sensor{Broker: "local", Topic: "{device}", Point: "Wind Speed"}, `sensors.s.point: can't name: "wind_speed"`},
		{"point and points", Broker{}, Sensor{Broker: "local", Topic: "{device}", Point: "a", Points: map[string]Point{"b": {Path: "b"}}}, "sensors.s.point: without points"},
		{"type with points", Broker{}, Sensor{Broker: "local", Topic: "{device}", Type: "bool", Points: map[string]Point{"b": {Path: "b"}}}, "sensors.s.type: without points"},
		{"points name", Broker{}, Sensor{Broker: "local", Topic: "{device}", Points: map[string]Point{"B": {Path: "b"}}}, `sensors.s.points.B: can't name: "b"`},
		{"no path", Broker{}, Sensor{Broker: "local", Topic: "{device}", Points: map[string]Point{"b": {}}}, "sensors.s.points.b: no path"},
		{"type", Broker{}, Sensor{Broker: "local", Topic: "{device}/{point}", Type: "flaot64"}, `sensors.s.type: no type: did you mean "float64"?`},
		{"scale", Broker{}, Sensor{Broker: "local", Topic: "{device}/{point}", Type: "bool", Scale: &setting.Decimal{Coef: 1}}, "sensors.s.scale: numbers"},
		{"qos", Broker{}, Sensor{Broker: "site", Topic: "{device}/{point}", QoS: new(3)}, "sensors.s.qos: 3 is no QoS"},
		{"local qos", Broker{}, Sensor{Broker: "local", Topic: "{device}/{point}", QoS: new(1)}, "sensors.s.qos: sensor decides"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Brokers: map[string]Broker{"x": c.broker}}
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
	cfg := Config{Brokers: map[string]Broker{"a": {}, "b": {Listen: "x", ClientID: "y"}},
		Sensors: setting.Ordered[Sensor]{sensor("s", Sensor{Broker: "c", Topic: "#/", Type: "x"}), sensor("u", Sensor{})}}
	if got := cfg.Validate(); len(got) != 8 {
		t.Errorf("got %d problems, want 8: %+v", len(got), got)
	}
	if got := (Config{}).Validate(); len(got) != 0 {
		t.Errorf("empty: %+v", got)
	}
}

func TestValidateGuarded(t *testing.T) {
	pair := TLS{Listen: "0.0.0.0:8883", Certificate: "c", PrivateKey: "k"}
	withCA := pair
	withCA.CA = "ca"
	for _, c := range []struct {
		broker Broker
		want   string // path of the only problem, "" for none
	}{
		{Broker{Listen: "0.0.0.0:1883"}, "listen"}, {Broker{Listen: ":1883"}, "listen"}, {Broker{Listen: "[::1]:1883"}, ""}, {Broker{Listen: "localhost:1883"}, ""},
		{Broker{Listen: "gateway:1883"}, "listen"}, {Broker{Listen: ":1883", Anonymous: true}, ""}, {Broker{Listen: ":1883", Users: map[string]User{"u": {PasswordFile: "f"}}}, ""},
		{Broker{TLS: &pair}, "tls.listen"}, {Broker{TLS: &withCA}, ""}, {Broker{Listen: "10.0.0.1:1883", TLS: &withCA}, "listen"},
		{Broker{Listen: "[::1]:1883", TLS: &TLS{}}, "tls"}, {Broker{Listen: "[::1]:1883", MaxMessage: 10}, "max_message"}, {Broker{Listen: "[::1]:1883", MaxClients: -1}, "max_clients"},
		{Broker{Listen: "[::1]:1883", Users: map[string]User{"u": {}}}, "users.u"},
		{Broker{Listen: "[::1]:1883", Users: map[string]User{"u": {PasswordFile: "f", Topics: []string{"a", "#/b"}}}}, "users.u.topics.1"},
		{Broker{URL: "mqtt://a:1", TLS: &TLS{CA: "ca"}}, "tls"}, {Broker{URL: "mqtts://a:1"}, ""}, {Broker{URL: "mqtts://a:1", TLS: &TLS{Certificate: "c"}}, "tls"},
		{Broker{URL: "mqtts://a:1", MaxClients: 1}, "max_clients"}, {Broker{URL: "mqtts://a:1", Anonymous: true}, "anonymous"},
	} {
		problems := c.broker.validate()
		var got []string
		for _, p := range problems {
			got = append(got, strings.Join(p.Path, "."))
		}
		if len(got) > 0 && (len(got) > 1 || got[0] != c.want) || len(got) == 0 && c.want != "" {
			t.Errorf("%+v: got problems at %v, want %q", c.broker, got, c.want)
		}
	}
}
