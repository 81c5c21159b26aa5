package payload

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"fieldbridge/bridge"
)

const (
	notType   = "p=bad: wrong_type fault=wrong_type"
	notNumber = "p=bad: not_a_number fault=not_a_number"
)

// Numbers are read as people and C write them.
func TestCaseP06(t *testing.T) {
	points := Points{"bat": {Path: "Bat", Value: Value{Unit: "V"}}, "soil": {Path: "temp_SOIL", Value: Value{Unit: "°C"}},
		"conductivity": {Path: "conduct_SOIL", Value: Value{Unit: "µS/cm"}}}
	if got, want := decode(t, Settings{Points: points},
		`{"Bat":"3.384 V","temp_SOIL":"30.11 °C","conduct_SOIL":"0 uS/cm"}`),
		"bat=3.384 conductivity=0 soil=30.11"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, c := range []struct{ unit, decimal, text, want string }{
		{"°C", "", "20.6 ℃", "p=20.6"}, {"°C", "", "20.6C", "p=20.6"}, {"°C", "", "20.6 °F", notType},
		{"°C", "", "-3 deg C", "p=-3"}, {"°C", "", "20.6\u00a0°C\n", "p=20.6"}, {"°C", "", "20.6", "p=20.6"},
		{"", "", "20.6 °C", notType}, {"", "", "20.6 apples", notType}, {"", "", "20.6 20", notType},
		{"kW", "", "5 W", notType}, {"kW", "", "5 kw", "p=5"}, {"MW", "", "5 mW", notType}, {"s", "", "5 S", notType},
		{"%", "", "45%", "p=45"}, {"%", "", "45 %RH", "p=45"}, {"hPa", "", "1013.25 mbar", "p=1013.25"},
		{"Ω", "", "5 \u2126", "p=5"}, {"widgets", "", "5 widgets", "p=5"}, {"V", "", "1.5e-3 V", "p=0.0015"},
		{"", "", "21.5\x00", "p=21.5"}, {"", "", "21.5\x00\x00\x00", "p=21.5"}, {"", "", "\ufeff21.5", "p=21.5"},
		{"", "", "21,5", notType}, {"", ",", "21,5", "p=21.5"}, {"°C", ",", "-21,5 °C", "p=-21.5"},
		{"", ",", "1.234,5", "p=1234.5"}, {"", ",", "1.234", "p=1234"}, {"", ",", "1.23", notType},
		{"", ",", "1 234 567,8", "p=1234567.8"}, {"", ",", "12", "p=12"}, {"", ",", "NaN", notNumber},
		{"", ".", "1,234", "p=1234"}, {"", "", "1,234", notType}, {"", "", "1,234.5", "p=1234.5"},
		{"", "", "1,234,567", "p=1234567"}, {"", "", "1'234.5", "p=1234.5"}, {"kWh", "", "1\u202f234.5 kWh", "p=1234.5"},
		{"", "", "12,34,567", notType}, {"", "", "1,23,4", notType}, {"", "", "1234,567.8", notType},
		{"", "", "10.100.200.123", notType}, {"", "", "\u22125.5", "p=-5.5"}, {"", "", "2026-11-28", notType},
		{"", "", "12:30", notType}, {"", "", "V", notType}, {"", "", "- V", notType}, {"", "", ",", notType},
		{"", "", "e5", notType},
		{"", "", strings.Repeat("1", 200) + " V", notType}, {"", "", "nan V", notType}, {"", "", "-nan(ind)", notNumber},
		{"", "", "1.#QNAN", notNumber}, {"", "", "-1.#INF", notNumber},
	} {
		if got := decode(t, Settings{Value: Value{Unit: c.unit, Decimal: c.decimal}}, c.text); got != c.want {
			t.Errorf("%q in %q, decimal %q: got %s, want %s", c.text, c.unit, c.decimal, got, c.want)
		}
	}
}

// A number of JSON has a point before its fraction, whatever texts have.
func TestDecimalIsForText(t *testing.T) {
	s := Settings{Points: Points{"a": {Path: "a", Value: Value{Decimal: ","}},
		"b": {Path: "b", Value: Value{Decimal: ","}}}}
	if got := decode(t, s, `{"a":1.234,"b":"1,234"}`); got != "a=1.234 b=1.234" {
		t.Error(got)
	}
}

// What is no number in JSON spoils its own point only, and of a key given twice
// the last counts.
func TestLenientJSON(t *testing.T) {
	points := Settings{Points: Points{"t": {Path: "t"}, "h": {Path: "h"}}}
	for payload, want := range map[string]string{
		`{"t":NaN,"h":5}`:                    "h=5 t=bad: not_a_number fault=not_a_number",
		`{"t":nan,"h":5}`:                    "h=5 t=bad: not_a_number fault=not_a_number",
		`{"t":-nan,"h":5}`:                   "h=5 t=bad: not_a_number fault=not_a_number",
		`{"h":5,"t":Infinity}`:               "h=5 t=bad: not_a_number fault=not_a_number",
		`{"h":5,"t": -inf }`:                 "h=5 t=bad: not_a_number fault=not_a_number",
		`{"t":1.#QNAN,"h":5}`:                "h=5 t=bad: not_a_number fault=not_a_number",
		`{"t":-nan(ind),"h":5}`:              "h=5 t=bad: not_a_number fault=not_a_number",
		`{"t":None,"h":5}`:                   "h=5 t=bad: missing",
		`{"t":nap,"h":5}`:                    "h=5 t=bad: wrong_type fault=wrong_type",
		`{'t':1,h:+05,}`:                     "h=5 t=1",
		`{"t":"\2x","h":.5,}`:                "h=0.5 t=bad: wrong_type fault=wrong_type",
		`{"t":1 "h":5}`:                      "fault=not_json",
		`{"t":1,"h":5,"t":2}`:                "h=5 t=2",
		`{"t":1,"x":{"t":9},"h":5}`:          "h=5 t=1",
		`{"t":[1,{"t":3}],"t":2,"\u0074":4}`: "t=4",
		`{"t":{"a":",}\""},"t":7}`:           "t=7",
		"{\"t\":1}\x00\x00":                  "t=1",
		"\ufeff{\"t\":1}":                    "t=1",
	} {
		if got := decode(t, points, payload); got != want {
			t.Errorf("%s: got %q, want %q", payload, got, want)
		}
	}
	if got, want := decode(t, Settings{Points: AllPoints()}, `{"a":nan,"b":None,"c":[inf,1],"c":[2]}`),
		"a=bad: not_a_number c_0=2 fault=not_a_number"; got != want {
		t.Errorf("all: got %q, want %q", got, want)
	}
}

// FuzzTidy checks what is taken for JSON against the standard library's reader:
// all that it takes, and what comes of it is that, but for words for numbers that are none.
func FuzzTidy(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":[2,{"b":"x\u00e9\n"}]}`, `[NaN,-1.5e+3,0,""]`, `{"a":1,"\u0061":2}`, `{"":{}}`,
		`01`,
		`{"a":1,}`, `nan`, "\"\\u12\"", "\x00", `{"a":-1,"a":{"a":1,"a":2},"b":[{"a":1,"a":3}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := string(payload)
		got, fault := tidy(payload, false)
		if string(payload) != before {
			t.Fatal("the payload is written to")
		}
		trimmed := trim(payload)
		if fault == FaultDeep {
			return
		}
		if want := json.Valid(trimmed); want && fault != FaultNone {
			t.Fatalf("%q is refused: %v", trimmed, fault)
		} else if fault == FaultNone && !json.Valid(got) && !strings.ContainsAny(before, "niNI#") {
			t.Fatalf("%q is taken", trimmed)
		}
		var a, b any
		if json.Unmarshal(trimmed, &a) == nil && json.Unmarshal(got, &b) == nil && fmt.Sprint(a) != fmt.Sprint(b) {
			if !mayMerge(trimmed) {
				t.Fatalf("%q says %v, and tidied %v", trimmed, a, b)
			}
		}
	})
}

// mayMerge reports whether the standard library may make one object of two under
// one key: it does so with texts that are not UTF-8.
func mayMerge(text []byte) bool {
	return !json.Valid(text) || strings.Contains(strconv.Quote(string(text)), `\x`)
}

// FuzzWritten checks that a number in text that is one to strconv is the same
// here, and that nothing else is a number without a digit.
func FuzzWritten(f *testing.F) {
	for _, s := range []string{"1,234.5", "21.5 °C", "-1'000", "1e5", "5e", ".5", "1.", "\u22121", "1 234,5 kWh",
		"0x1p-2"} {
		f.Add(s, byte(0))
		f.Add(s, byte(','))
	}
	f.Fuzz(func(t *testing.T, text string, decimal byte) {
		if decimal != 0 && decimal != ',' && decimal != '.' {
			return
		}
		typ, _ := LookupType("")
		e := extract{typ: typ, decimal: decimal, info: bridge.PointInfo{Unit: "V"}}
		v := e.value(text)
		if v.Good() && !strings.ContainsAny(text, "0123456789") {
			t.Fatalf("%q is %v", text, v)
		}
		if n, err := strconv.ParseFloat(text, 64); err == nil && decimal != ',' && !strings.ContainsAny(text, "xX_nNiI\x00") {
			if got, _ := v.Float(); got != n {
				t.Fatalf("%q is %v, want %v", text, v, n)
			}
		}
	})
}

// A unit that the payload names is believed where it is the rule's, else the point is
// bad.
func TestUnitOfThePayload(t *testing.T) {
	s := Settings{Points: Points{
		"t": {Path: "DS18B20.Temperature", UnitPath: "TempUnit", Value: Value{Unit: "°C"}},
		"p": {Path: "power.0.value", UnitPath: "power.0.unit", Value: Value{Unit: "kW"}}}}
	for payload, want := range map[string]string{
		`{"DS18B20":{"Temperature":21.5},"TempUnit":"C"}`: "t=21.5",
		`{"DS18B20":{"Temperature":70.7},"TempUnit":"F"}`: "t=bad: wrong_type fault=wrong_type",
		`{"DS18B20":{"Temperature":21.5}}`:                "t=21.5",
		`{"power":[{"value":1.674,"unit":"kW"}]}`:         "p=1.674",
		`{"power":[{"value":1674,"unit":"W"}]}`:           "p=bad: wrong_type fault=wrong_type",
		`{"power":[{"value":1674,"unit":7}]}`:             "p=bad: wrong_type fault=wrong_type",
	} {
		if got := decode(t, s, payload); got != want {
			t.Errorf("%s: got %q, want %q", payload, got, want)
		}
	}
	if p := (Settings{Points: Points{"t": {Path: "t", UnitPath: "u"}}}).Validate(); len(p) != 1 {
		t.Errorf("without a unit: %+v", p)
	}
}
