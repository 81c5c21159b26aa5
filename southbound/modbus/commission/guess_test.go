package commission

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

// TestGuesses: whatever way a device has for a number, it is among the first
// guesses, beside registers that have something else.
func TestGuesses(t *testing.T) {
	tenth, hundredth, thousandth := &bridge.Decimal{Coef: 1, Exp: -1}, &bridge.Decimal{Coef: 1, Exp: -2},
		&bridge.Decimal{Coef: 1, Exp: -3}
	for _, tt := range []struct {
		typ, order string
		scale      *bridge.Decimal
		value      float64
		expect     string
		within     int // the first guesses
	}{
		{"uint16", "ABCD", nil, 72, "72", 1},
		{"uint16", "ABCD", tenth, 71.8, "72", 1},
		{"int16", "ABCD", tenth, -12.4, "-12.4", 1},
		{"uint16", "ABCD", hundredth, 229.87, "229.9", 1},
		{"uint16", "ABCD", hundredth, 50.02, "50", 1},
		{"float32", "ABCD", nil, 71.96, "72", 1},
		{"float32", "CDAB", nil, 71.96, "72", 2},
		{"float32", "DCBA", nil, 229.8, "230", 2},
		{"float32", "BADC", nil, 229.8, "229.8", 1},
		{"float64", "ABCD", nil, 1234.5678, "1234.57", 1},
		{"uint32", "CDAB", hundredth, 12345.67, "12345.67", 1},
		{"int32", "ABCD", thousandth, -4321.5, "-4321", 2},
		{"uint64", "ABCD", thousandth, 98765432.1, "98765432", 2},
		{"uint16", "BADC", nil, 230, "230", 1},
		{"uint16", "ABCD", nil, 231, "229", 1}, // it has moved since
	} {
		t.Run(fmt.Sprint(tt.typ, tt.order, tt.value), func(t *testing.T) {
			f := register(0, tt.typ, tt.order)
			if point.Types[tt.typ].Bits == 16 {
				f.Load = point.Loader(16, point.Orders[tt.order])
			}
			if tt.scale != nil {
				f.Scaling = bridge.NewScaling(tt.scale, nil)
				f.Special.Scale, f.Special.Offset = tt.scale.Float(), 0
			}
			own, err := f.Encode(bridge.Float64(tt.value))
			if err != nil {
				t.Fatal(err)
			}
			data := slices.Concat([]byte{0x12, 0x34}, own, []byte{0xab, 0xcd})
			var expected bridge.Decimal
			if err := expected.UnmarshalText([]byte(tt.expect)); err != nil {
				t.Fatal(err)
			}
			guesses := Guesses(data, expected)
			want := plainOrder(tt.order)
			i := slices.IndexFunc(guesses, func(g Guess) bool {
				return g.At == 1 && g.Order == want && (g.Type == tt.typ || slices.Contains(g.Also, tt.typ)) &&
					(g.Scale == nil) == (tt.scale == nil) && (g.Scale == nil || *g.Scale == *tt.scale)
			})
			if i < 0 || i >= tt.within {
				t.Errorf("guess %d of %v, want it among the first %d", i+1, guesses, tt.within)
			}
		})
	}
}

// Registers that have nothing like it are not stretched until they do.
func TestGuessesNothing(t *testing.T) {
	if got := Guesses([]byte{0x12, 0x34}, bridge.Decimal{Coef: 72}); got != nil {
		t.Errorf("%v", got)
	}
}

// TestLikelier: a number of floating point that nothing measures is told with the order
// in which it is one; others are left alone.
func TestLikelier(t *testing.T) {
	for _, tt := range []struct {
		kind, order, raw string
		want             string // the order and the value; "" is nothing
	}{
		{"float32", "", "6148 4290", "CDAB 72.19"},
		{"float32", "CDAB", "4290 6148", "ABCD 72.19"},
		{"float32", "", "4861 9042", ""}, // 230977: who knows
		{"float32", "", "7fc0 0000", ""},
		{"float32", "", "4290 6148", ""},
		{"float32", "", "0000 0000", ""},
		{"float32", "", "0000 41ac", "CDAB 21.5"}, // 2.4e-41
		{"float64", "", "0000 0000 8000 4035", "CDAB 21.5"},
		{"uint32", "", "6148 4290", ""},
	} {
		kind := point.Types[tt.kind]
		f := &point.Field{Kind: kind.Kind, Bits: uint8(kind.Bits), Words: kind.Words(0), TypeName: tt.kind,
			Load: point.Loader(kind.Bits, point.Orders[cmp.Or(tt.order, "ABCD")]), Special: point.Plain}
		data, err := hex.DecodeString(strings.ReplaceAll(tt.raw, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if order, v, ok := (Point{Field: f, Value: f.Decode(data), Raw: tt.raw + " = 0"}).Likelier(); ok {
			got = order + " " + v.String()
		}
		if got != tt.want {
			t.Errorf("%s %s of %s: %q, want %q", tt.kind, tt.order, tt.raw, got, tt.want)
		}
	}
}
