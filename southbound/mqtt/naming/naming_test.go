package naming

import (
	"regexp"
	"strings"
	"testing"

	"fieldbridge/bridge"
)

// A plain name is what it always was.
func TestDevice(t *testing.T) {
	for in, want := range map[string]string{"oven-1": "oven-1", "Living Room": "Living_Room", "küche": "k__che",
		"5c:cf:7f": "5c_cf_7f", "boiler.1_a-B": "boiler.1_a-B", "ä": "__", strings.Repeat("ä", 40): strings.Repeat("_", 64),
		"a/b": "a_b"} {
		if got := Device(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A name told apart says what it can of the original, and hangs on that alone.
func TestApart(t *testing.T) {
	for in, want := range map[string]string{"küche": "kueche", "Kühlraum Süd": "Kuehlraum_Sued", "котёл": "kotel",
		"Øst": "Oest", "温度": "__", "Living Room": "Living_Room", "Θερμό": "Thermo", "": ""} {
		got := DeviceApart(in, 4)
		if !regexp.MustCompile("^"+want+"_[0-9a-f]{4}$").MatchString(got) || got != DeviceApart(in, 4) {
			t.Errorf("%q: %q, want %s_xxxx", in, got, want)
		}
	}
	if got := PointApart("Wärme.Zähler", 4); !regexp.MustCompile("^waerme_zaehler_[0-9a-f]{4}$").MatchString(got) {
		t.Error(got)
	}
}

// A book gives every original a name of its own, whatever hashes to the same.
func TestBook(t *testing.T) {
	var b Book
	same := func(_ string, digits int) string { return "x_0000000000000000"[:2+digits] }
	b.Put("a b", "a_b")
	first, second := b.TellApart("a:b", "a_b", "a b", same), b.TellApart("a;b", "a_b", "a b", same)
	if first != "x_0000" || second != "x_00000000" {
		t.Errorf("%q, %q", first, second)
	}
	again := NewBook(b.All())
	for original, want := range map[string]string{"a b": "a_b", "a:b": first, "a;b": second} {
		if got, ok := again.Name(original); !ok || got != want {
			t.Errorf("%q is %q", original, got)
		}
		if owner, ok := again.Owner(want); !ok || owner != original {
			t.Errorf("%q is of %q", want, owner)
		}
	}
}

// FuzzApart checks that names that are told apart are names.
func FuzzApart(f *testing.F) {
	f.Add("küche")
	f.Add("温度計温度計温度計温度計温度計温度計温度計温度計温度計温度計温度計温度計")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, s string) {
		for _, digits := range []int{4, 16} {
			if d, p := DeviceApart(s, digits), PointApart(s, digits); !bridge.ValidDevice(d) || !bridge.ValidPoint(p) {
				t.Fatalf("%q: %q, %q", s, d, p)
			}
		}
	})
}
