package payload

import (
	"testing"
	"time"
)

// What is wrong with a value or a time is told as exactly as it can be known.
func TestExplain(t *testing.T) {
	at := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	volts := Settings{Points: Points{"v": {Path: "v", Value: Value{Unit: "V"}}}}
	bare := Settings{Points: Points{"v": {Path: "a.v"}}}
	tasmota := Settings{Points: Points{"v": {Path: "v", UnitPath: "u", Value: Value{Unit: "°C"}}}}
	plain := Settings{Value: Value{Unit: "°C"}}
	at6 := Settings{Path: "v", Value: Value{Unit: "W"}}
	number := Settings{Format: JSON, Points: Points{"v": {Path: "v"}}, Time: &Time{Path: "t", Format: "unix"}}
	text := Settings{Format: JSON, Points: Points{"v": {Path: "v"}}, Time: &Time{Path: "t"}}
	for _, tt := range []struct {
		settings Settings
		payload  string
		want     Fault
	}{
		{volts, `{"v":"3384 mV"}`, FaultUnit},
		{volts, `{"v":"12 kV"}`, FaultUnit},
		{volts, `{"v":"3.3.8 V"}`, FaultComma},
		{volts, `{"v":"off"}`, FaultType},
		{volts, `{"v":"12:30"}`, FaultType},
		{volts, `{"v":"1 V, 2 V"}`, FaultType},
		{volts, `{"v":[1]}`, FaultType},
		{bare, `{"a":{"v":"21.5 °C"}}`, FaultNoUnit},
		{bare, `{"a":{"v":"1,234"}}`, FaultComma},
		{tasmota, `{"v":70.5,"u":"F"}`, FaultUnit},
		{plain, "20,6 °C", FaultComma},
		{plain, "68 °F", FaultUnit},
		{plain, "+", FaultType},
		{at6, `{"v":"1.2 kW"}`, FaultUnit},
		{number, `{"v":1,"t":1774785600000}`, FaultTimeFormat},
		{number, `{"v":1,"t":"2026-03-29T12:00:00Z"}`, FaultTimeFormat},
		{number, `{"v":1,"t":188}`, FaultTime},
		{number, `{"v":1,"t":-5}`, FaultTime},
		{number, `{"v":1,"t":4294967295}`, FaultTime},
		{text, `{"v":1,"t":1774785600}`, FaultTimeFormat},
		{text, `{"v":1,"t":"29.03.2026 12:00"}`, FaultTimeFormat},
		{text, `{"v":1,"t":"1970-01-01T00:03:00Z"}`, FaultTime},
	} {
		r, err := Compile(tt.settings)
		if err != nil {
			t.Fatal(err)
		}
		var f Fault
		if r.Several() {
			_, f, _ = r.ReadSeveral("v", []byte(tt.payload), at, nil)
		} else {
			_, f = r.Read("v", []byte(tt.payload), at)
		}
		if got := r.Explain(f, "v", []byte(tt.payload)); got != tt.want {
			t.Errorf("%s: %s, then %s, want %s", tt.payload, f, got, tt.want)
		}
	}
}

// A number or bool that is written as a text of JSON is that number or bool.
func TestQuotedWhole(t *testing.T) {
	for text, s := range map[string]Settings{`"21.5"`: {}, `"20.6 °C"`: {Value: Value{Unit: "°C"}},
		`"ON"`: {Value: Value{Type: "bool"}}, `"idle"`: {Value: Value{Enum: map[int64]string{3: "idle"}}}} {
		r, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		if out, f := r.Read("v", []byte(text), time.Time{}); f != FaultNone || !out.Readings[0].Value.Good() {
			t.Errorf("%s: %v, %s", text, out.Readings, f)
		}
	}
}

// A path may be written as JSONPath writes it from the root; an index in brackets is
// warned of.
func TestPathsOfJSONPath(t *testing.T) {
	r, err := Compile(Settings{Points: Points{"v": {Path: "$.a.0.v"}}, Time: &Time{Path: "$.t", Format: "unix"}})
	if err != nil {
		t.Fatal(err)
	}
	out, f := r.Read("", []byte(`{"t":1774785600,"a":[{"v":21.5}]}`), time.Time{})
	if f != FaultNone || out.At.Unix() != 1774785600 || out.Readings[0].Value.String() != "21.5" {
		t.Errorf("%v, %s", out, f)
	}
	for path, want := range map[string]string{"a[0].v": "a.0.v", "a[0][1]": "a.0.1", "a.[3].v[2].w": "a.3.v.2.w",
		`a\[0]`: "", "a.#(b==[1]).c": "", "[a,b]": "", "a[x]": "", "a.0.v": "", "a[0": "", "[0].v": "",
		"p./m/port[2]/pdin.data": ""} {
		var told string
		for _, p := range (Settings{Points: Points{"v": {Path: path}}}).Validate() {
			if told = p.Fix; !p.Warning {
				t.Errorf("%s: %+v", path, p)
			}
		}
		if want != "" {
			want = "write " + want + " for an element of a list"
		}
		if told != want {
			t.Errorf("%s: %q, want %q", path, told, want)
		}
	}
}
