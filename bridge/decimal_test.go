package bridge

import (
	"math"
	"testing"
)

func TestDecimal(t *testing.T) {
	for in, want := range map[string]Decimal{
		"0.1": {1, -1}, "-40": {-4, 1}, "2.50": {25, -1}, "1e3": {1, 3},
		"2.5e-3": {25, -4}, "0.0": {}, ".5": {5, -1}, "+3": {3, 0},
	} {
		var d Decimal
		if err := d.UnmarshalText([]byte(in)); err != nil || d != want {
			t.Errorf("%q: got %v, %v", in, d, err)
		}
	}
	for _, in := range []string{"", ".", "-", "1,5", "0x10", "1e", "1e999", "nan", "1234567890123456789012"} {
		var d Decimal
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is taken as %v", in, d)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0.1", "-40", "2.5e-3", "-0", "1e-300", "999999999999999999e300"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var d Decimal
		if d.UnmarshalText([]byte(in)) == nil && math.IsNaN(d.Float()) {
			t.Errorf("%q is not a number", in)
		}
	})
}
