package payload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
)

// arrival is when the messages of tests come.
var arrival = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

// compile makes a rule of settings that must be right.
func compile(t testing.TB, s Settings) *Rule {
	t.Helper()
	for _, p := range s.Validate() {
		t.Fatalf("settings: %+v", p)
	}
	r, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readAny returns what a rule reads from a payload, a line at a time or whole.
func readAny(r *Rule, payload []byte) ([]Result, Fault) {
	if r.lines {
		all, f, _ := r.ReadSeveral("", payload, arrival, nil)
		return all, f
	}
	out, f := r.Read("p", payload, arrival)
	if len(out.Readings) == 0 {
		return nil, f
	}
	return []Result{out}, f
}

// decode returns what a rule reads from a payload: readings, the time if it is
// not that of arrival, and the fault. One value is of the point p.
func decode(t *testing.T, s Settings, payload string) string {
	t.Helper()
	all, f := readAny(compile(t, s), []byte(payload))
	var parts []string
	for _, out := range all {
		for _, reading := range out.Readings {
			parts = append(parts, bridge.PointName(reading.Point)+"="+reading.Value.String())
		}
		if len(out.Readings) > 0 && !out.At.Equal(arrival) {
			parts = append(parts, out.At.Format(time.RFC3339Nano))
		}
	}
	if f != FaultNone {
		parts = append(parts, "fault="+f.String())
	}
	return strings.Join(parts, " ")
}

func decimal1(coef int64, exp int) *bridge.Decimal { return &bridge.Decimal{Coef: coef, Exp: exp} }

func TestWholePayload(t *testing.T) {
	for _, c := range []struct {
		value         Value
		payload, want string
	}{
		{Value{}, "21.5", "p=21.5"},
		{Value{}, "", "fault=empty"},
		{Value{}, "x", "p=bad: wrong_type fault=wrong_type"},
		{Value{}, "NaN", "p=bad: not_a_number fault=not_a_number"},
		{Value{}, "unavailable", "p=bad: missing"},
		{Value{Type: "int16", Scale: decimal1(1, -1), Offset: decimal1(-40, 0)}, "613", "p=21.3"},
		{Value{TrueWhen: []string{"OPEN"}, FalseWhen: []string{"CLOSED"}}, "OPEN\n", "p=true"},
		{Value{TrueWhen: []string{"OPEN"}, FalseWhen: []string{"CLOSED"}}, "CLOSED", "p=false"},
		{Value{TrueWhen: []string{"OPEN"}, FalseWhen: []string{"CLOSED"}}, "AJAR", "p=bad: wrong_type fault=wrong_type"},
		{Value{TrueWhen: []string{"0"}, FalseWhen: []string{"1"}}, "0", "p=true"},
		{Value{TrueWhen: []string{"alarm"}}, "off", "p=false"},
		{Value{TrueWhen: []string{"alarm"}}, "on", "p=bad: wrong_type fault=wrong_type"},
		{Value{Enum: map[int64]string{0: "off", 2: "cool"}}, "2", "p=2"},
		{Value{Enum: map[int64]string{0: "off", 2: "cool"}}, "cool", "p=2"},
		{Value{Enum: map[int64]string{0: "off", 2: "cool"}}, "1", "p=bad: out_of_range fault=out_of_range"},
		{Value{Enum: map[int64]string{0: "off", 2: "cool"}}, "warm", "p=bad: wrong_type fault=wrong_type"},
		{Value{Type: "uint8", Enum: map[int64]string{0: "off"}}, "0", "p=0"},
	} {
		if got := decode(t, Settings{Value: c.value}, c.payload); got != c.want {
			t.Errorf("%+v %q: got %q, want %q", c.value, c.payload, got, c.want)
		}
	}
}

func TestJSONPoints(t *testing.T) {
	points := Points{
		"a": {Path: "x.a", Value: Value{Type: "int32"}},
		"b": {Path: `x.b\.c.0`, Value: Value{Scale: decimal1(1, -3)}},
		"c": {Path: "POWER", Value: Value{TrueWhen: []string{"ON", "1"}, FalseWhen: []string{"OFF", "0"}}},
		"d": {Path: "mode", Value: Value{Enum: map[int64]string{1: "heat"}}},
	}
	for payload, want := range map[string]string{
		`{"x":{"a":5,"b.c":[1234]},"POWER":"ON","mode":"heat"}`: "a=5 b=1.234 c=true d=1",
		`{"x":{"a":5.5}}`:          "a=bad: wrong_type fault=wrong_type",
		`{"x":{"a":null}}`:         "a=bad: missing",
		`{"x":{"a":1,"a":2}}`:      "a=2",
		`{"POWER":1}`:              "c=true",
		`{"POWER":true}`:           "c=bad: wrong_type fault=wrong_type",
		`{"other":1}`:              "fault=missing",
		`{"x":`:                    "fault=cut",
		`online`:                   "fault=text",
		"{\"x\":{\"a\":\"\xff\"}}": "a=bad: wrong_type fault=wrong_type",
		strings.Repeat("[", 200) + strings.Repeat("]", 200):        "fault=too_deep",
		`{"x":{"a":2147483648}}`:                                   "a=bad: out_of_range fault=out_of_range",
		`{"pad":"` + strings.Repeat("x", 1<<20) + `","x":{"a":1}}`: "a=1",
	} {
		if got := decode(t, Settings{Points: points}, payload); got != want {
			t.Errorf("%.60s: got %q, want %q", payload, got, want)
		}
	}
}

func TestAllPoints(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":%d`, i, i)
	}
	for payload, want := range map[string]string{
		`{"model":"Acurite-Tower","id":1201,"battery_ok":1,"temperature_C":-3.5,"on":true,"x":null}`: "" +
			"model=Acurite-Tower id=1201 battery_ok=1 temperature_c=-3.5 on=true",
		`{"ENERGY":{"Power":5,"Phases":[1.5,{"V":230}]}}`: "" +
			"energy_power=5 energy_phases_0=1.5 energy_phases_1_v=230",
		`{"9lives":1,"a.b":2,"a_b":3,"ü":4}`: "p_9lives=1 a_b=2 a_b=3 __=4",
		`{"n":9007199254740993,"u":18446744073709551615,"f":1e400}`: "" +
			"n=9007199254740993 u=18446744073709551615 f=bad: out_of_range fault=out_of_range",
		// Whichever comes first, the b of a is called so.
		`{"a.b":1,"a":{"b":2}}`:                     "a_b_=1 a_b=2",
		`{"a":{"b":2},"a.b":1}`:                     "a_b=2 a_b_=1",
		`{"x":{"a.b":1,"a":{"b":2}},"x.a":{"b":3}}`: "x_a_b_=1 x_a_b=2",
		`{"a":{"b":1},"a":{"b":2}}`:                 "a_b=2",
		`[1,2]`:                                     "p_0=1 p_1=2",
		`{"a":{"b":[]}}`:                            "fault=missing",
		`7`:                                         "fault=missing",
		`{"a"`:                                      "fault=cut",
	} {
		got := decode(t, Settings{Points: AllPoints()}, payload)
		if strings.ReplaceAll(got, "p___=", "__=") != want {
			t.Errorf("%s: got %q, want %q", payload, got, want)
		}
	}
	got := decode(t, Settings{Points: AllPoints()}, "{"+strings.Join(many, ",")+"}")
	if n := strings.Count(got, "k"); n != maxLeaves || !strings.HasSuffix(got, "fault=too_many_points") {
		t.Errorf("got %d points of 300: %.100s", n, got)
	}
}

// A message of a few values makes room for them once.
func TestAllPointsAllocateOnce(t *testing.T) {
	r := compile(t, Settings{Points: AllPoints()})
	payload := []byte(`{"seq":12,"ts":34,"v":1.5}`)
	if out, f := r.readAll(payload, arrival); f != FaultNone || len(out.Readings) != 3 || cap(out.Readings) != 3 {
		t.Errorf("%d values of %d (%v)", len(out.Readings), cap(out.Readings), f)
	}
	long := []byte(`{"text":"` + strings.Repeat(",", 1000) + `"}`)
	if out, f := r.readAll(long, arrival); f != FaultNone || len(out.Readings) != 1 || cap(out.Readings) > likelyLeaves {
		t.Errorf("%d values of %d (%v)", len(out.Readings), cap(out.Readings), f)
	}
}

func TestCSV(t *testing.T) {
	s := Settings{Format: "csv", Time: &Time{Column: 4, Format: "unix"}, Points: Points{
		"a": {Column: 1}, "b": {Column: 3, Value: Value{Type: "string"}}}}
	for payload, want := range map[string]string{
		`1.5,x,"yes, it is",1763887500`:            "a=1.5 b=yes, it is 2025-11-23T08:45:00Z",
		"1.5;x;yes;1763887500\n2;y;no":             "a=1.5 b=yes 2025-11-23T08:45:00Z a=2 b=no",
		"1,,x,1763887500\r\n\n2,,y,1763887560\r\n": "a=1 b=x 2025-11-23T08:45:00Z a=2 b=y 2025-11-23T08:46:00Z",
		"1,,x\na\"b,c\n3,,z":                       "a=1 b=x a=3 b=z fault=not_csv",
		"1,,x\nno,,y\n,\n":                         "a=1 b=x a=bad: wrong_type b=y fault=wrong_type",
		"1.5, x, yes, soon":                        "a=1.5 b=yes fault=time_format",
		",,z,1763887500":                           "b=z 2025-11-23T08:45:00Z",
		"x":                                        "a=bad: wrong_type fault=wrong_type",
		",,":                                       "fault=missing",
		`"`:                                        "fault=not_csv",
		"\n":                                       "fault=not_csv",
	} {
		if got := decode(t, s, payload); got != want {
			t.Errorf("%q: got %q, want %q", payload, got, want)
		}
	}
}

// A line of names is skipped if that is asked for, and a payload has no more
// lines than are read.
func TestCSVLines(t *testing.T) {
	s := Settings{Format: "csv", SkipLines: 2, Points: Points{"a": {Column: 1}}}
	for payload, want := range map[string]string{
		"temperature\n\"°C\"\n1\n2\n": "a=1 a=2",
		"temperature\n":               "fault=not_csv",
		"temperature\nb\"ad\n7":       "a=7",
		strings.Repeat("\n", 5000):    "fault=not_csv",
	} {
		if got := decode(t, s, payload); got != want {
			t.Errorf("%.40q: got %q, want %q", payload, got, want)
		}
	}
	got := decode(t, s, strings.Repeat("1\n", maxLines+3))
	if strings.Count(got, "a=1") != maxLines || !strings.HasSuffix(got, "fault=too_many_lines") {
		t.Errorf("%d lines: ...%s", strings.Count(got, "a=1"), got[len(got)-40:])
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct{ format, zone, text, want string }{
		{"", "", `"2025-11-23T08:45:00Z"`, "2025-11-23T08:45:00Z"},
		{"", "", `"2025-11-23T09:45:00.125+01:00"`, "2025-11-23T08:45:00.125Z"},
		{"", "", `"2025-11-23T09:45:00+0100"`, "2025-11-23T08:45:00Z"},
		{"", "", `"2025-11-23T08:45:00"`, "2025-11-23T08:45:00Z"},
		{"iso8601", "Europe/Prague", `"2025-11-23T09:45:00"`, "2025-11-23T08:45:00Z"},
		{"iso8601", "Europe/Prague", `"2025-07-01 10:45:00"`, "2025-07-01T08:45:00Z"},
		{"iso8601", "", `"20251123T084500Z"`, "2025-11-23T08:45:00Z"},
		{"iso8601", "", `"yesterday"`, ""},
		{"iso8601", "", `"1970-01-01T00:00:05Z"`, ""}, // a sensor without a clock
		{"iso8601", "", `{}`, ""},
		{"iso8601", "", `null`, "-"}, // none given is not a fault
		{"unix", "", `1763887500`, "2025-11-23T08:45:00Z"},
		{"unix", "", `"1763887500"`, "2025-11-23T08:45:00Z"},
		{"unix", "", `1763887500.123456789`, "2025-11-23T08:45:00.123456789Z"},
		{"unix", "", `1.7638875e9`, "2025-11-23T08:45:00Z"},
		{"unix", "", `-1`, ""},
		{"unix", "", `1e30`, ""},
		{"unix", "", `1763887500123`, ""}, // milliseconds, in truth
		{"unix_ms", "", `1763887500123`, "2025-11-23T08:45:00.123Z"},
		{"unix_us", "", `1763887500123456`, "2025-11-23T08:45:00.123456Z"},
		{"unix_ns", "", `1763887500123456789`, "2025-11-23T08:45:00.123456789Z"},
		{"unix_ns", "", `1763887500123456789.5`, "2025-11-23T08:45:00.123456789Z"},
		{"unix", "", `"1.2.3"`, ""},
		{"02.01.2006 15:04:05", "Europe/Prague", `"23.11.2025 09:45:00"`, "2025-11-23T08:45:00Z"},
		{"02.01.2006 15:04:05", "", `"11/23/2025"`, ""},
	} {
		s := Settings{Time: &Time{Path: "t", Format: c.format, Zone: c.zone}, Points: Points{"v": {Path: "v"}}}
		want := "v=1 " + c.want
		switch c.want {
		case "":
			want = "v=1 fault=time"
		case "-":
			want = "v=1"
		}
		if got := decode(t, s, `{"v":1,"t":`+c.text+`}`); got != want {
			t.Errorf("%s %s %s: got %q, want %q", c.format, c.zone, c.text, got, want)
		}
	}
}

// FuzzTime checks that any text is a time between 2000 and 2100, or none.
func FuzzTime(f *testing.F) {
	f.Add("2025-11-23T08:45:00Z", int64(0))
	f.Add("1763887500.5", int64(1e9))
	f.Add("99999999999999999e99", int64(1e6))
	f.Fuzz(func(t *testing.T, text string, unit int64) {
		switch unit {
		case 0, 1, 1e3, 1e6, 1e9:
		default:
			return
		}
		at, err := (&clock{zone: time.UTC, unit: unit, belief: belief{ahead: 1 << 62}}).read(text, arrival)
		if err == nil && (at.Year() < 2000 || at.Year() > 2100) {
			t.Errorf("%q: %v", text, at)
		}
	})
}

// FuzzFormats checks that no payload makes the readers of CSV and of all points
// fall over, and that no point comes twice.
func FuzzFormats(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,true,"x",null]},"A_B_0":2}`))
	f.Add([]byte("1,2;3\n"))
	rules := []*Rule{
		compile(f, Settings{Format: "csv", Time: &Time{Column: 2}, Points: Points{
			"a": {Column: 1}, "b": {Column: 3, Value: Value{Type: "string"}}}}),
		compile(f, Settings{Points: AllPoints(), Time: &Time{Path: "a"}}),
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, r := range rules {
			all, fault := readAny(r, payload)
			if len(all) == 0 && fault == FaultNone || len(all) > maxLines {
				t.Fatalf("%d results, fault %v", len(all), fault)
			}
			for _, out := range all {
				names := make(map[string]bool)
				for _, reading := range out.Readings {
					if names[reading.Point] || !bridge.ValidPoint(bridge.PointName(reading.Point)) {
						t.Fatalf("point %q is invalid or comes twice", reading.Point)
					}
					names[reading.Point] = true
				}
				if len(names) == 0 || len(names) > maxLeaves {
					t.Fatalf("%d readings", len(names))
				}
			}
		}
	})
}
