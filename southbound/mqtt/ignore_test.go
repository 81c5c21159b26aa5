package mqtt

import (
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/site"
)

// take hands a source one message, and returns what it emitted.
func take(s *Source, topic, text string) (got []bridge.Batch) {
	m := inlet.Message{Topic: topic, Payload: []byte(text), At: arrival}
	acknowledged := 0
	s.ingest(s.brokers["local"].router.Load(), m, func(b bridge.Batch, safe func(error)) {
		got = append(got, b)
		safe(nil)
	}, func(error) { acknowledged++ })
	if acknowledged != 1 {
		panic("not acknowledged once")
	}
	return got
}

// source returns a source that does not run, with rules of the broker local.
func source(t testing.TB, rules ...Sensor) *Source {
	t.Helper()
	cfg := embeddedConfig()
	for i, r := range rules {
		r.Broker = "local"
		cfg.Sensors = append(cfg.Sensors, sensor(string(rune('a'+i)), r))
	}
	for _, p := range cfg.Validate() {
		t.Fatalf("configuration: %+v", p)
	}
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Friendly names with a / take a topic of two levels, which commands and
// availability have too: rules before it leave those alone.
func TestCaseP28(t *testing.T) {
	s := source(t, Sensor{Topic: "zigbee2mqtt/+/set", Ignore: true},
		Sensor{Topic: "zigbee2mqtt/{room}/availability", Ignore: true}, Sensor{Topic: "zigbee2mqtt/bridge/#", Ignore: true},
		Sensor{Topic: "zigbee2mqtt/{room}/{device}", Device: "{room}-{device}", Points: payload.AllPoints()})
	var got []string
	for _, m := range [][2]string{{"lamp/set", `{"state":"ON"}`}, {"floor/availability", "online"},
		{"bridge/state", `{"state":"online"}`}, {"bridge/devices", "["}, {"floor/kitchen", `{"t":21.5}`}} {
		got = append(got, values(take(s, "zigbee2mqtt/"+m[0], m[1]))...)
	}
	rig.Same(t, "readings", got, []string{"floor-kitchen.t=21.5"})
	rig.Same(t, "bad payloads", metric(s, "fieldbridge_mqtt_bad_payloads_total"), 0.0)
	rig.Same(t, "untaken", metric(s, "fieldbridge_mqtt_unmatched_total"), 0.0)
	for _, seen := range s.Seen() {
		if seen.Sensor == "" || seen.Ignored != (seen.Device == "") || seen.Ignored && seen.Error != "" {
			t.Errorf("seen: %+v", seen)
		}
	}
}

// Nothing is subscribed to for what is ignored, and nothing else can be said of it.
func TestIgnoreIsAlone(t *testing.T) {
	s := source(t, Sensor{Topic: "a/{device}", Point: "p"}, Sensor{Topic: "a/#", Ignore: true})
	rig.Same(t, "subscriptions", subscriptions(s.rules), []site.Subscription{{Filter: "a/+", QoS: 1}})
	for _, c := range []Sensor{{Device: "d"}, {Points: payload.AllPoints()}, {Expect: 1e9},
		{Value: payload.Value{Unit: "V"}}} {
		c.Topic, c.Ignore = "x", true
		problems := embeddedConfig(sensor("s", c)).Validate()
		if len(problems) != 1 || !strings.Contains(problems[0].Text, "ignore: true") {
			t.Errorf("%+v: %+v", c, problems)
		}
	}
}
