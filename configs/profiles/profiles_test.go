package profiles

import (
	"slices"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	p := Find("eastron-sdm630")
	if p == nil || p.Maker != "Eastron" || !slices.Contains(p.Models, "SDM630-Modbus V2") || p.Verified != "source" {
		t.Fatalf("found %+v", p)
	}
	for _, key := range Described {
		if p.Tree.Get(key) != nil {
			t.Errorf("the device has a key %s", key)
		}
	}
	if p.Tree.At("points", "frequency") == nil {
		t.Error("the device has no points")
	}
	if Find("eastron-sdm630") != p {
		t.Error("it is read a second time")
	}
	for _, name := range []string{"", "no-such", "../profile", `..\profile`, "sunspec/common-1", "profiles.go"} {
		if p := Find(name); p != nil {
			t.Errorf("%q finds %+v", name, p)
		}
	}
}

func TestFor(t *testing.T) {
	for _, c := range []struct {
		said   []string
		models []int
		want   []string
	}{
		{[]string{"Schneider Electric", "iEM3155"}, nil, []string{"schneider-iem3155"}},
		{[]string{"SCHNEIDER ELECTRIC", "", "IEM3255"}, nil, []string{"schneider-iem3155"}},
		{[]string{"Schneider Electric"}, nil, nil},
		{[]string{"iEM3155"}, nil, nil},
		{nil, nil, nil},
		{nil, []int{1, 103, 160}, []string{"sunspec-inverter", "sunspec-mppt"}},
	} {
		if got := For(c.said, c.models); !slices.Equal(got, c.want) {
			t.Errorf("%q %v: %q, want %q", c.said, c.models, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"points: {a: {holding: 1}":   "x.yaml:1",
		"about: a thing\nabout: two": "about",
	} {
		if _, err := Parse("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
