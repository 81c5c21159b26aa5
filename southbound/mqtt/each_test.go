package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// told lists batches as "device@ms point=value ...", without @ms at arrival.
func told(batches []bridge.Batch) []string {
	var all []string
	for _, b := range batches {
		text := b.Device
		if !b.At.Equal(arrival) {
			text += fmt.Sprintf("@%d", b.At.UnixMilli())
		}
		for _, r := range b.Readings {
			text += fmt.Sprintf(" %s=%s", r.Point, r.Value)
		}
		all = append(all, text)
	}
	return all
}

// A list of samples is a batch for each, with its own time.
func TestCaseP01(t *testing.T) {
	text := `[{"timestamp":1625097600000,"value":25.5},{"timestamp":1625097601000,"value":26.0},` +
		`{"timestamp":1625097602000,"value":26.5}]`
	want := []string{"l1@1625097600000 value=25.5", "l1@1625097601000 value=26", "l1@1625097602000 value=26.5"}
	times := &payload.Time{Path: "timestamp", Format: "unix_ms"}
	points := payload.Points{"value": {Path: "value"}}
	s := source(t, Sensor{Topic: "log/{device}", Each: "@this", Time: times, Points: points})
	rig.Same(t, "a list", told(take(s, "log/l1", text)), want)
	s = source(t, Sensor{Topic: "log/{device}", Each: "data.samples", Time: times, Point: "value", Path: "value"})
	rig.Same(t, "in an object", told(take(s, "log/l1", `{"data":{"samples":`+text+`}}`)), want)
	s = source(t, Sensor{Topic: "log/{device}", Each: "@this", Points: payload.AllPoints(),
		Time: &payload.Time{Path: "t"}})
	rig.Same(t, "ISO times", told(
		take(s, "log/l1", `[{"t":"2021-07-01T00:00:00Z","v":1},{"t":"2021-07-01T00:00:01.5Z"}]`)),
		[]string{"l1@1625097600000 t=2021-07-01T00:00:00Z v=1", "l1@1625097601500 t=2021-07-01T00:00:01.5Z"})
}

// What gateways and loggers send is taken to pieces, each with its device.
func TestEach(t *testing.T) {
	for _, c := range []struct {
		name    string
		rule    Sensor
		payload string
		want    []string
		fault   string
	}{
		{"BLE gateway", Sensor{Topic: "gw/{gateway}/ble", Device: "{.mac}", Each: "devices", Points: payload.Points{
			"temperature": {Path: "tempc"}, "rssi": {Path: "rssi"}}},
			`{"devices":[{"mac":"A4C138000001","tempc":21.5,"rssi":-60},{"mac":"A4C138000002","rssi":-71},{"rssi":1},7]}`,
			[]string{"A4C138000001 rssi=-60 temperature=21.5", "A4C138000002 rssi=-71"}, "name"},
		{"by key", Sensor{Topic: "gw/{gateway}/ble", Device: "{gateway}-{@key}", Each: "sensors",
			Points: payload.Points{"t": {Path: "t"}}},
			`{"sensors":{"north":{"t":1},"south":{"t":2},"broken":{"x":2}}}`, []string{"g1-north t=1", "g1-south t=2"}, ""},
		{"scalars", Sensor{Topic: "gw/{device}/ble", Each: "v", Point: "ch_{@key}"}, `{"v":[21.5,null,"23",[1]]}`,
			[]string{"g1 ch_0=21.5 ch_1=bad: missing ch_2=23 ch_3=bad: wrong_type"}, "wrong_type"},
		{"names and values", Sensor{Topic: "gw/{device}/ble", Each: "values", Point: "{.id}", Path: "v",
			Time: &payload.Time{Path: "t", Format: "unix_ms"}},
			`{"timestamp":1,"values":[{"id":"Press.Temp","v":42,"t":1625097600000},{"id":"Press.On","v":1,"t":1625097600000},` +
				`{"id":"Press.Temp","v":43,"t":1625097600500},{"id":"Press.Temp","v":44,"t":1625097600500}]}`,
			[]string{"g1@1625097600000 press_temp=42 press_on=1", "g1@1625097600500 press_temp=43",
				"g1@1625097600500 press_temp=44"}, ""},
		{"SenML", Sensor{Topic: "gw/{gateway}/ble", Device: "{.n}", Each: "@this", Point: "value", Path: "v"},
			`[{"n":"hall","v":21.5},{"n":"yard","v":-3}]`, []string{"hall value=21.5", "yard value=-3"}, ""},
		{"one device of the payload", Sensor{Topic: "gw/{gateway}/ble", Device: "{.ids.device_id}",
			Points: payload.Points{"t": {Path: "t"}}}, `{"ids":{"device_id":"soil-7"},"t":3}`, []string{"soil-7 t=3"}, ""},
		{"CSV with a device a line", Sensor{Topic: "gw/{gateway}/ble", Device: "{.1}", Format: payload.CSV,
			Points: payload.Points{"t": {Column: 2}}}, "a,1\nb,2\n,3\n", []string{"a t=1", "b t=2"}, "name"},
		{"not a list", Sensor{Topic: "gw/{device}/ble", Each: "v", Point: "p"}, `{"v":1}`, nil, "missing"},
		{"empty list", Sensor{Topic: "gw/{device}/ble", Each: "v", Point: "p"}, `{"v":[]}`, nil, "missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := source(t, c.rule)
			rig.Same(t, "batches", told(take(s, "gw/g1/ble", c.payload)), c.want)
			fault := ""
			s.Observe(func(m bridge.Metric) {
				if m.Name == "fieldbridge_mqtt_bad_payloads_total" {
					fault = m.Labels[3]
				}
			})
			rig.Same(t, "fault", fault, c.fault)
		})
	}
}

// Beside the elements' own, what the whole payload says once holds for all.
func TestEachFromRoot(t *testing.T) {
	s := source(t, Sensor{Topic: "log", Device: "{.$.serial}", Each: "log",
		Time:   &payload.Time{Path: "ts", Format: "unix"},
		Points: payload.Points{"t": {Path: "t"}, "battery": {Path: "$.battery"}}})
	rig.Same(t, "batches", told(take(s, "log", `{"serial":"L7","battery":3.1,"log":[{"ts":1625097600,"t":1},{"t":2}]}`)),
		[]string{"L7@1625097600000 battery=3.1 t=1", "L7 battery=3.1 t=2"})
}

// A payload is acknowledged when all its batches are safe, once, and refused if one
// of them was.
func TestEachIsAcknowledgedWhenAllAreSafe(t *testing.T) {
	s := source(t, Sensor{Topic: "log/{device}", Each: "@this", Point: "v"})
	m := inlet.Message{Topic: "log/a", Payload: []byte(`[1,2,3]`), At: arrival}
	var held []func(error)
	var got []error
	s.ingest(s.brokers["local"].router.Load(), m, func(_ bridge.Batch, safe func(error)) { held = append(held, safe) },
		func(err error) { got = append(got, err) })
	refused := errors.New("refused")
	for i, safe := range held {
		if len(got) != 0 {
			t.Fatalf("acknowledged after %d of %d", i, len(held))
		}
		safe(map[bool]error{true: refused}[i == 1])
	}
	if len(held) != 3 || len(got) != 1 || !errors.Is(got[0], refused) {
		t.Errorf("%d batches, acknowledged %v", len(held), got)
	}
}

// 10,000 elements are read, and the rest is told; a rule makes as many devices as it
// may, wherever their names come from.
func TestEachLimits(t *testing.T) {
	s := source(t, Sensor{Topic: "log/{device}", Each: "@this", Point: "v"},
		Sensor{Topic: "many", Device: "d{@key}", Each: "@this", Point: "v", MaxDevices: 5})
	list := "[" + strings.Repeat("1,", 10_004) + "1]"
	if got := take(s, "log/a", list); len(got) != 10_000 {
		t.Errorf("%d batches", len(got))
	}
	if got := take(s, "many", list); len(got) != 5 {
		t.Errorf("%d batches of 5 devices", len(got))
	}
	for _, seen := range s.Seen() {
		want := map[string]string{"log/a": "10000 elements", "many": "max_devices"}[seen.Topic]
		if !strings.Contains(seen.Error, want) {
			t.Errorf("%s: %s", seen.Topic, seen.Error)
		}
	}
}

// What cannot be is refused before it runs.
func TestEachValidates(t *testing.T) {
	point := payload.Points{"t": {Path: "t"}}
	for _, c := range []struct {
		rule Sensor
		want string
	}{
		{Sensor{Topic: "{device}", Format: payload.CSV, Each: "x", Points: payload.Points{"a": {Column: 1}}}, "each"},
		{Sensor{Topic: "a", Device: "{.mac}", Format: payload.CSV, Points: payload.Points{"a": {Column: 1}}}, "device"},
		{Sensor{Topic: "a", Device: "{.mac}", Point: "p"}, "device"},
		{Sensor{Topic: "a", Device: "{@key}", Points: point}, "device"},
		{Sensor{Topic: "{device}", Path: "x", Points: point}, "path"},
		{Sensor{Topic: "{device}", Point: "{.x}"}, "point"},
	} {
		problems := embeddedConfig(setting.Named[Sensor]{Name: "s", Value: c.rule}).Validate()
		if len(problems) != 1 || problems[0].Path[len(problems[0].Path)-1] != c.want {
			t.Errorf("%+v: %+v, want one at %s", c.rule, problems, c.want)
		}
	}
}

// What cannot be read in a part of a payload is told with the part and the reason, and
// the device that sent it is the one that is blamed.
func TestEachSaysWhichAndWhy(t *testing.T) {
	volts := payload.Points{"v": {Path: "v", Value: payload.Value{Unit: "V"}}}
	column := payload.Points{"v": {Column: 2, Value: payload.Value{Unit: "V"}}}
	unix := func(at payload.Time) *payload.Time { at.Format = "unix"; return &at }
	for _, c := range []struct {
		name    string
		rule    Sensor
		payload string
		error   string
		blamed  string // the device that has something to say
	}{
		{"another unit", Sensor{Topic: "gw", Device: "{.id}", Each: "@this", Points: volts},
			`[{"id":"a","v":"1 V"},{"id":"b","v":"2 mV"},{"id":"c","v":"3 V"}]`,
			"element 1, v: the number has another unit than the rule says", "b"},
		{"by key", Sensor{Topic: "gw", Device: "{@key}", Each: "@this", Points: volts},
			`{"a":{"v":1},"south":{"v":"off"},"c":{"v":3}}`, "element south, v: the value is not of the point's type", "south"},
		{"a clock", Sensor{Topic: "gw", Device: "{.id}", Each: "@this", Points: volts,
			Time: unix(payload.Time{Path: "t"})}, `[{"id":"a","v":1,"t":1774785599},{"id":"b","v":1,"t":1774785599000}]`,
			"element 1: the time is not written as format says: that of arrival is taken", "b"},
		{"no name", Sensor{Topic: "gw", Device: "{.id}", Each: "@this", Points: volts}, `[{"id":"a","v":1},{"v":2}]`,
			"element 1: topic or payload have no usable name", ""},
		{"one value", Sensor{Topic: "gw", Device: "g", Each: "@this", Point: "{.id}", Path: "v"},
			`[{"id":"Press.T","v":1},{"id":"Press.On","v":"x"}]`,
			"element 1, press_on: the value is not of the point's type", "g"},
		{"a line", Sensor{Topic: "gw", Device: "{.1}", Format: payload.CSV, Points: column}, "a,1\nb,2 mV\n\nc,3\n",
			"line 2, v: the number has another unit than the rule says", "b"},
		{"a line that is none", Sensor{Topic: "gw", Device: "{.1}", Format: payload.CSV, Points: column},
			"a,1\n\nb,\"2\"x\nc,3\n", "line 3: the payload is not valid CSV", ""},
		{"a line's clock", Sensor{Topic: "gw", Device: "g", Format: payload.CSV, Points: column,
			Time: unix(payload.Time{Column: 1})}, "1774785599,1\nnow,2\n",
			"line 2: the time is not written as format says: that of arrival is taken", "g"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := source(t, c.rule)
			take(s, "gw", c.payload)
			if got := s.Seen()[0].Error; got != c.error {
				t.Errorf("sensors says %q, want %q", got, c.error)
			}
			blamed := ""
			for _, d := range s.Devices() {
				if d.Detail != "" {
					blamed += d.Device
				}
			}
			rig.Same(t, "blamed", blamed, c.blamed)
		})
	}
}

// A name may have parts that not each element has, as the channel of rtl_433.
func TestNamesWithPartsThatMayBeMissing(t *testing.T) {
	s := source(t, Sensor{Topic: "rtl/events", Device: "{.model}-{.id}-{.channel?}",
		Points: payload.Points{"t": {Path: "temperature_C"}}})
	for text, want := range map[string]string{`{"model":"Acurite","id":5,"temperature_C":16.2}`: "Acurite-5 t=16.2",
		`{"model":"Acurite","id":5,"channel":"B","temperature_C":16}`: "Acurite-5-B t=16"} {
		rig.Same(t, text, told(take(s, "rtl/events", text)), []string{want})
	}
	if got := take(s, "rtl/events", `{"id":5,"channel":"B","temperature_C":16}`); len(got) > 0 {
		t.Errorf("without a model: %v", told(got))
	}
}

// Topics whose depth differs are one rule.
func TestRestOfTheTopic(t *testing.T) {
	s := source(t, Sensor{Topic: "N/c0/{service}/{n}/{point#}", Device: "{service}-{n}", Path: "value"})
	for topic, want := range map[string]string{"N/c0/battery/512/Soc": "battery-512 soc=85.5",
		"N/c0/battery/512/Dc/0/Voltage": "battery-512 dc_0_voltage=85.5"} {
		rig.Same(t, topic, told(take(s, topic, `{"value":85.5}`)), []string{want})
	}
	if got := take(s, "N/c0/battery/512", `{"value":1}`); len(got) > 0 {
		t.Errorf("without a rest: %v", told(got))
	}
}
