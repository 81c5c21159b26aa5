package mqtt

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// feedOne gives a source messages without any network.
type feedOne struct {
	*Source
	router *router
	r      *recorder
	now    time.Time
}

func offline(t *testing.T, o Options, sensors ...setting.Named[Sensor]) *feedOne {
	t.Helper()
	s, err := New(embeddedConfig(sensors...), o)
	if err != nil {
		t.Fatal(err)
	}
	return &feedOne{s, s.brokers["local"].router.Load(), newRecorder(), arrival}
}

func (f *feedOne) hear(topic, payload string) {
	f.ingest(f.router, inlet.Message{Topic: topic, Payload: []byte(payload), At: f.now}, f.r.emit, nil)
}

func TestSeen(t *testing.T) {
	f := offline(t, Options{}, sensor("hall", Sensor{Topic: "hall/{device}/t", Point: "t"}))
	f.hear("hall/a/t", "21")
	f.hear("hall/a/t", "22")
	f.hear("hall/b/t", "warm")
	f.hear("else", strings.Repeat("ä", 100))
	want := []Seen{
		{Broker: "local", Topic: "else", Messages: 1, Last: arrival, Payload: strings.Repeat("ä", 32) + "…"},
		{Broker: "local", Topic: "hall/a/t", Sensor: "hall", Device: "a", Messages: 2, Last: arrival, Payload: "22",
			Values: map[string]string{"t": "22"}},
		{Broker: "local", Topic: "hall/b/t", Sensor: "hall", Device: "b", Messages: 1, Last: arrival, Payload: "warm",
			Values: map[string]string{"t": "bad: wrong_type"},
			Error:  "t: the value is not of the point's type"},
	}
	if d := cmp.Diff(want, f.Seen(), cmpopts.EquateComparable()); d != "" {
		t.Error(d)
	}
	// A change of other rules keeps it.
	if err := f.Apply(embeddedConfig(sensor("hall", Sensor{Topic: "hall/{device}/t", Point: "t"}))); err != nil {
		t.Fatal(err)
	}
	if len(f.Seen()) != 3 {
		t.Error("what was seen is gone")
	}
}

// What a rule read is shown by point, also what it never found; what is not text
// is quoted.
func TestSeenValues(t *testing.T) {
	f := offline(t, Options{}, sensor("meters", Sensor{Topic: "m/{device}", Points: payload.Points{"power": {Path: "P"},
		"name": {Path: "N", Value: payload.Value{Type: "string"}}, "typo": {Path: "Typo"}}}))
	f.hear("m/a", `{"P":5,"N":"\u001b[31mred"}`)
	f.hear("m/b", "\x00\xff")
	want := []Seen{
		{Broker: "local", Topic: "m/a", Sensor: "meters", Device: "a", Messages: 1, Last: arrival,
			Payload: `{"P":5,"N":"\u001b[31mred"}`,
			Values:  map[string]string{"power": "5", "name": `"\x1b[31mred"`}, Absent: []string{"typo"}},
		{Broker: "local", Topic: "m/b", Sensor: "meters", Device: "b", Messages: 1, Last: arrival, Payload: `"\x00\xff"`,
			Error: payload.FaultBinary.Text("")},
	}
	if d := cmp.Diff(want, f.Seen(), cmpopts.EquateComparable()); d != "" {
		t.Error(d)
	}
}

// Bad payloads are one line a minute and rule, with the reason and the first
// bytes, and are all counted.
func TestBadPayloadLog(t *testing.T) {
	var log bytes.Buffer
	f := offline(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))},
		sensor("hall", Sensor{Topic: "hall/{device}", Points: payload.Points{"t": {Path: "t"}}}))
	f.hear("hall/a", `{"t":`)
	f.hear("hall/a", `{"t":"x"}`)
	f.hear("hall/b", "\xff\xfe"+strings.Repeat("y", 100))
	f.now = f.now.Add(61 * time.Second)
	f.hear("hall/a", `{}`)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `sensor=hall topic=hall/a reason=cut`) ||
		!strings.Contains(lines[0], `payload="{\"t\":"`) ||
		!strings.Contains(lines[1], "reason=missing") || !strings.Contains(lines[1], "others_since_last_line=2") {
		t.Errorf("log:\n%s", log.String())
	}
	counts := make(map[string]float64)
	f.Observe(func(m bridge.Metric) {
		if m.Name == "fieldbridge_mqtt_bad_payloads_total" {
			counts[m.Labels[3]] = m.Value
		}
	})
	rig.Same(t, "counters", counts, map[string]float64{"cut": 1, "text": 1, "wrong_type": 1, "missing": 1})
}

// Rules are tried in order, the first that matches takes the message.
func TestRuleOrder(t *testing.T) {
	f := offline(t, Options{}, sensor("special", Sensor{Topic: "m/{area}/{no}/kwh", Device: "{area}-{no}",
		Point: "energy"}),
		sensor("rest", Sensor{Topic: "m/#", Device: "rest", Point: "x"}))
	f.hear("m/north/7/kwh", "1")
	f.hear("m/north/7/v", "2")
	f.hear("n", "3")
	f.hear("m//7/kwh", "4")                            // nothing can be named so
	f.hear("m/"+strings.Repeat("n", 65)+"/7/kwh", "5") // nor so
	f.hear("m/Hall 1/ü/kwh", "6")
	rig.Same(t, "readings", values(f.r.batches), []string{"north-7.energy=1", "rest.x=2", "Hall_1-__.energy=6"})
	rig.Same(t, "unmatched", metric(f.Source, "fieldbridge_mqtt_unmatched_total"), 1.0)
}

// A rule makes max_devices devices, a device has so many points, and a broker
// remembers so many topics.
func TestLimits(t *testing.T) {
	f := offline(t, Options{}, sensor("few", Sensor{Topic: "few/{device}", Point: "p", MaxDevices: 2}),
		sensor("all", Sensor{Topic: "all", Device: "all", Points: payload.AllPoints()}))
	for i := range 5 {
		f.hear(fmt.Sprint("few/", i), "1")
		f.hear("few/0", "2")
	}
	if got := len(f.Devices()); got != 2 {
		t.Errorf("%d devices", got)
	}
	for i := range maxPoints + 10 {
		f.hear("all", fmt.Sprintf(`{"k%d":1}`, i))
	}
	if got := f.Devices()[2].Good; got != maxPoints {
		t.Errorf("%d points", got)
	}
	for i := range maxRoutes + 10 {
		f.hear(fmt.Sprint("x/", i), "1")
	}
	if got := len(f.Seen()); got > maxRoutes {
		t.Errorf("%d topics", got)
	}
	f.hear("few/0", "3")
	last := f.r.batches[len(f.r.batches)-1]
	rig.Same(t, "the last reading", values([]bridge.Batch{last}), []string{"0.p=3"})
}

// What is delivered is in the catalogue before the reading is emitted.
func TestDelivery(t *testing.T) {
	var catalogue bridge.Catalogue
	yes, beat := true, setting.Duration(5*time.Minute)
	f := offline(t, Options{Catalogue: &catalogue}, sensor("s", Sensor{Topic: "{device}",
		Value: payload.Value{OnChange: &yes, Heartbeat: &beat}, Points: payload.Points{
			"a": {Path: "a", Value: payload.Value{Deadband: &setting.Deadband{Value: 5}, Unit: "W"}},
			"b": {Path: "b", Value: payload.Value{Enum: map[int64]string{1: "on"}}}}}))
	f.hear("d", `{"a":1,"b":1}`)
	devices, _, _ := catalogue.Snapshot()
	if len(devices) != 1 || len(devices[0].Points) != 2 {
		t.Fatalf("catalogue: %v", devices)
	}
	a, b := devices[0].Points[0], devices[0].Points[1]
	rig.Same(t, "delivery of a", a.Delivery, &bridge.Delivery{OnChange: true, Deadband: 5, Heartbeat: 5 * time.Minute})
	rig.Same(t, "delivery of b", b.Delivery, &bridge.Delivery{OnChange: true, Heartbeat: 5 * time.Minute})
	if a.Type != "float64" || a.Unit != "W" || b.Type != "int64" || b.Enum[1] != "on" {
		t.Errorf("points: %+v", devices[0].Points)
	}
}
