package loose

import (
	"encoding/json"
	"errors"
	"testing"
)

// What was meant to be JSON, as users of other programs reported it.
func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{'connected': True, 'hum': 66.5, 'temp': None}`:   `{"connected":true,"hum":66.5,"temp":null}`,
		`{"a":1,"b":[1,2,],}`:                              `{"a":1,"b":[1,2]}`,
		`{"P":undefined,"Q":1466}`:                         `{"P":null,"Q":1466}`,
		`{"P":,"Q":1466,"R":}`:                             `{"P":null,"Q":1466,"R":null}`,
		`{"a":+5.2,"b":05,"c":.5,"d":5.,"e":-.5,"f":-007}`: `{"a":5.2,"b":5,"c":0.5,"d":5,"e":-0.5,"f":-7}`,
		`{"a":0x1F,"b":00.5e+03,"c":0}`:                    `{"a":31,"b":0.5e+03,"c":0}`,
		`{a:1,b_2:ON,c:21.5}`:                              `{"a":1,"b_2":"ON","c":21.5}`,
		`{"type":"\253740976_A","x":"a\'b"}`:               `{"type":"\\253740976_A","x":"a'b"}`,
		"{\"a\":\"two\nlines\",'b':'say \"x\" \\xb0'}":     `{"a":"two\u000alines","b":"say \"x\" \u00b0"}`,
		`{"a":NaN,"b":-inf,"c":1.2.3}`:                     `{"a":NaN,"b":-inf,"c":"1.2.3"}`,
		"{\"t\":1}\n{\"t\":2}\n":                           `[{"t":1},{"t":2}]`,
		"[1,,2]\x00":                                       `[1,null,2]`,
	} {
		out, _, err := JSON([]byte(in))
		if err != nil || string(out) != want {
			t.Errorf("%s: %s, %v, want %s", in, out, err, want)
		}
	}
	for in, want := range map[string]error{`{"a":1,"b":{"c"`: ErrCut, `{"a":"x`: ErrCut, `[1,2`: ErrCut,
		`{"a":tru`: ErrCut,
		``:         ErrForm, `21.5`: ErrForm, `{"a" 1}`: ErrForm, `{"raw":"52N.9, "pre":1}`: ErrForm, `{"a":1} x`: ErrForm,
		`{"a":[1}`: ErrForm, "{\x01:1}": ErrForm} {
		if out, _, err := JSON([]byte(in)); !errors.Is(err, want) {
			t.Errorf("%s: %s, %v, want %v", in, out, err, want)
		}
	}
}

// FuzzJSON: what is JSON stays what it is, and what is made is JSON, but for numbers that
// are none.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"c\u00e4"}],"d":-1.5e3}`, `{'a': True,}`, `[{a:b}]`, `{"a":"\x"}`, `[[[`,
		"{\"\xff\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, several, err := JSON(in)
		if len(out) > 8*len(in)+16 {
			t.Fatalf("%d bytes of %d", len(out), len(in))
		}
		var was, is any
		valid := json.Unmarshal(in, &was) == nil
		_, scalar := was.(map[string]any)
		if _, list := was.([]any); valid && (scalar || list) {
			if err != nil || several || json.Unmarshal(out, &is) != nil {
				if deep := len(in) > 60; !deep {
					t.Fatalf("%q: %q, %v", in, out, err)
				}
				return
			}
			a, _ := json.Marshal(was)
			b, _ := json.Marshal(is)
			if string(a) != string(b) {
				t.Fatalf("%q became %q", in, out)
			}
		}
	})
}
