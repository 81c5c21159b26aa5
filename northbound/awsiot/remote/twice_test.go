package remote

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// A command with a key twice is refused, wherever and however it is written.
func TestCommandWithAKeyTwice(t *testing.T) {
	for payload, twice := range map[string]string{
		`{"id":"1","at":1,"device":"d","point":"p","value":1,"value":2}`:       "value",
		`{"id":"1","at":1,"device":"d","point":"p","value":1,"Value":2}`:       "Value",
		`{"id":"1","at":1,"at":2,"device":"d","point":"p","value":1}`:          "at",
		`{"id":"1","at":1,"device":"d","point":"p","value":1,"valu\u0065":2}`:  "value",
		`{"id":"1","at":1,"device":"d","point":"p","value":{"a":1,"a":2}}`:     "a",
		`{"id":"1","at":1,"device":"d","point":"p","value":[{"a":1,"A":[]}]}`:  "A",
		`{"id":"1","at":1,"device":"d","point":"p","value":[{"a":1},{"a":1}]}`: "",
		`{"id":"1","at":1,"device":"d","point":"p","value":{"a":{"a":"a"}}}`:   "",
		`{"id":"id","at":1,"device":"device","point":"point","value":"value"}`: "",
	} {
		_, err := parseCommand([]byte(payload), viaTopic)
		if got := err != nil && strings.Contains(err.Error(), `"`+twice+`" is given twice`); got != (twice != "") {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

// FuzzEachOnce: what is fine alone is fine as a value, and refused beside itself.
func FuzzEachOnce(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1},{"b":[]}],"c":{"a":{}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !json.Valid(payload) {
			_ = eachOnce(payload)
			return
		}
		alone := eachOnce(payload)
		if inside := eachOnce(fmt.Appendf(nil, `{"k":[%s]}`, payload)); (inside == nil) != (alone == nil) {
			t.Errorf("%q: %v alone, %v as a value", payload, alone, inside)
		}
		if eachOnce(fmt.Appendf(nil, `[{"k":%s,"K":1}]`, payload)) == nil {
			t.Errorf("%q: k is given twice", payload)
		}
	})
}
