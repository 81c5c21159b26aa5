package tree

import (
	"encoding/json"
	"testing"
)

func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		"a: {holding: 0x10, scale: 0.1, ref: 00001, n: -3}": `{"a":{"holding":16,"scale":0.1,"ref":"00001","n":-3}}`,
		`a: [1e3, "5", true, yes, ~, "°C", 0xZZ, .5]`:       `{"a":[1e3,"5",true,"yes",null,"°C","0xZZ",".5"]}`,
		"b: 1\na: {}\nc: []":                                `{"b":1,"a":{},"c":[]}`,
		`"quo\"te": "line\nend"`:                            `{"quo\"te":"line\nend"}`,
		"invalid: [0xFFFFFFFFFFFFFFFF]":                     `{"invalid":[18446744073709551615]}`,
	} {
		n, problems := Parse("a.yaml", []byte(text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		got := n.JSON()
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
