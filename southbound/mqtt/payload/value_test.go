package payload

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ typ, in, want string }{
		{"float64", "21.5", "21.5"}, {"float64", " 21.50\r\n", "21.5"}, {"float64", "-0.1", "-0.1"},
		{"float64", "1e3", "1000"}, {"", "+7", "7"},
		{"float64", "1e400", "bad: out_of_range"}, {"float64", "NaN", "bad: not_a_number"},
		{"float64", "-inf", "bad: not_a_number"},
		{"float64", "", "bad: missing"}, {"float64", "21,5", "bad: wrong_type"},
		{"float64", "0x10", "16"}, {"float64", "1_0", "bad: wrong_type"},
		{"float64", "21.5 C", "bad: wrong_type"}, {"float64", "unavailable", "bad: missing"},
		{"float64", "--1", "bad: wrong_type"},
		{"float64", "true", "bad: wrong_type"},
		{"float32", "0.1", "0.1"}, {"float32", "1e39", "bad: out_of_range"},
		{"int8", "-128", "-128"}, {"int8", "128", "bad: out_of_range"}, {"int8", "1.0", "1"},
		{"int8", "1.5", "bad: wrong_type"}, {"int16", "1e3", "1000"},
		{"int64", "9223372036854775807", "9223372036854775807"}, {"int64", "-9223372036854775808", "-9223372036854775808"},
		{"int64", "9223372036854775808", "bad: out_of_range"}, {"int64", "9007199254740993", "9007199254740993"},
		{"uint64", "18446744073709551615", "18446744073709551615"}, {"uint64", "18446744073709551616", "bad: out_of_range"},
		{"uint8", "-1", "bad: out_of_range"}, {"uint8", "255", "255"}, {"uint8", "256", "bad: out_of_range"},
		{"uint8", "255.0", "255"},
		{"bool", "1", "true"}, {"bool", "OFF", "false"}, {"bool", " true\n", "true"}, {"bool", "2", "bad: wrong_type"},
		{"bool", "", "bad: missing"}, {"bool", "1.0", "true"}, {"bool", "0.0", "false"}, {"bool", "2.0", "bad: wrong_type"},
		{"string", " as it is ", " as it is "}, {"string", "\xff", "bad: wrong_type"},
		{"string", strings.Repeat("x", 1025), "bad: out_of_range"},
	} {
		typ, ok := LookupType(c.typ)
		if !ok {
			t.Fatalf("no type %q", c.typ)
		}
		if got := (&extract{typ: typ}).value(c.in).String(); got != c.want {
			t.Errorf("%s %.20q: got %s, want %s", c.typ, c.in, got, c.want)
		}
	}
}

func TestJSONValue(t *testing.T) {
	const doc = `{"n":21.5,"i":9007199254740993,"s":"21.5","w":"word","t":true,"z":null,` +
		`"a":[1,{"b":2}],"dotted.key":3,"n":99}`
	for _, c := range []struct{ typ, path, want string }{
		{"float64", "n", "21.5"}, {"int64", "i", "9007199254740993"}, {"float64", "s", "21.5"},
		{"float64", "w", "bad: wrong_type"}, {"string", "w", "word"},
		{"bool", "t", "true"}, {"float64", "t", "bad: wrong_type"}, {"string", "t", "true"},
		{"float64", "z", "bad: missing"}, {"float64", "a.0", "1"},
		{"float64", "a.1.b", "2"}, {"float64", `dotted\.key`, "3"}, {"float64", "nothing", "absent"},
		{"float64", "a", "bad: wrong_type"},
		{"string", "a", `[1,{"b":2}]`}, {"string", "n", "21.5"}, {"float64", "a.#", "2"},
	} {
		typ, _ := LookupType(c.typ)
		got := "absent"
		if v, present := (&extract{typ: typ}).jsonValue(gjson.Get(doc, c.path)); present {
			got = v.String()
		}
		if got != c.want {
			t.Errorf("%s at %s: got %s, want %s", c.typ, c.path, got, c.want)
		}
	}
}

func TestTidyFaults(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for in, want := range map[string]Fault{
		`{"a":1}`: FaultNone, `"[[["`: FaultNone, `{"a":"\"[["}`: FaultNone, ``: FaultJSON, `{"a":1`: FaultCut,
		`{"a":NaN}`: FaultNone, `{"a":1}x`: FaultJSON,
		`nul`: FaultText,
		`"\`:  FaultText, "{\x00:1}": FaultBinary, "{'a':1}\n{}": FaultSeveral, "{a:1,}": FaultNone, deep(64): FaultNone,
		deep(65): FaultDeep, deep(200): FaultDeep,
		strings.Repeat("[", 1<<20): FaultDeep,
	} {
		if _, got := tidy([]byte(in), false); got != want {
			t.Errorf("%.20q: got %v, want %v", in, got, want)
		}
	}
}

// FuzzRead checks that whatever a sensor sends gives at most the rule's points,
// and values that can be sent on.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":{"c":"x"}}`, `21.5`, `[1]`, `{"a":1e400}`, "\xff\xfe", `{"b":{"c":true}}`,
		`{"a":18446744073709551616}`, `{"a":-1,"b":{"c":null}}`, `{"a":"7","b":{}}`, `[[1,2],[true]]`, `true`, `"on"`,
		`-0.5e-3`, `0x1F`, ` 12 `, `1,5`, `NaN`, `{"a":{"a":1}}`, `{"a":1,"a":2}`, `{"a":[1]`, `null`, ``} {
		f.Add([]byte(s))
	}
	rules := []*Rule{compile(f, Settings{Points: Points{
		"a": {Path: "a", Value: Value{Type: "uint64"}}, "b": {Path: "b.c", Value: Value{Type: "string"}},
		"c": {Path: "a"}, "d": {Path: "#.0", Value: Value{Type: "bool"}}}})}
	for _, t := range valueTypes {
		rules = append(rules, compile(f, Settings{Value: Value{Type: t.Name}}))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, r := range rules {
			out, fault := r.Read("p", payload, arrival)
			readings := out.Readings
			if len(readings) == 0 && fault == FaultNone {
				t.Errorf("no reading and no fault")
			}
			for _, reading := range readings {
				if v := reading.Value; v.Kind() == bridge.KindString && !utf8.ValidString(v.Str()) {
					t.Errorf("text that is not UTF-8: %q", v.Str())
				} else if !v.Good() && v.Reason() == bridge.ReasonUnknown {
					t.Errorf("bad without a reason")
				}
			}
		}
	})
}
