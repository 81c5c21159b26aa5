package keys

import (
	"reflect"
	"strings"
	"testing"
)

type inner struct {
	URL    string `yaml:"url"`
	UnitID int    `yaml:"unit_id"`
}

type outer struct {
	Points map[string]int `yaml:"points,omitempty"`
	inner
	Hidden string
	Not    string `yaml:"-"`
	secret string
}

func TestOf(t *testing.T) {
	o := outer{inner: inner{URL: "tcp://h"}, secret: "s"}
	fields := Of(reflect.TypeOf(o))
	if got := List(fields); got != "points, url, unit_id" {
		t.Fatalf("keys %s", got)
	}
	if got := reflect.ValueOf(o).FieldByIndex(fields[1].Index).String(); got != o.URL {
		t.Errorf("the second key leads to %q", got)
	}
	if !Has(fields, "unit_id") || Has(fields, "Hidden") || Has(fields, o.secret) {
		t.Error("Has")
	}
	many := make([]Field, 30)
	if got := List(many); strings.Count(got, ",") != 24 || !strings.HasSuffix(got, ", ...") {
		t.Errorf("a long list: %q", got)
	}
}

func TestSuggest(t *testing.T) {
	fields := Of(reflect.TypeFor[outer]())
	for given, want := range map[string]string{
		"slave_id": "unit_id", "Slave-ID": "unit_id", "host": "url", "registers": "points", // other words
		"unitid": "unit_id", "pionts": "points", // slips
		"factor": "", "x": "", // scale is not a key here
	} {
		if got := Suggest(given, fields); got != want {
			t.Errorf("%q: suggested %q, want %q", given, got, want)
		}
	}
}
