package bridge

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"
)

func TestValueForm(t *testing.T) {
	for _, tt := range []struct {
		v    Value
		want string
	}{
		{Bool(true), "true"},
		{Bool(false), "false"},
		{Int(math.MinInt64), "-9223372036854775808"},
		{Uint(math.MaxUint64), "18446744073709551615"},
		{Float32(21.3), "21.3"},
		{Float32(16777216), "16777216"},
		{Float32(1e-7), "1e-07"},
		{Float64(71.5), "71.5"},
		{Float64(math.Copysign(0, -1)), "-0"},
		{Float64(1e21), "1e+21"},
		{Float64(123456789012), "123456789012"},
		{String("on"), "on"},
		{Bad(ReasonTimeout), "bad: timeout"},
		{Value{}, "bad: unknown"},
	} {
		if got := tt.v.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestNotANumberIsBad(t *testing.T) {
	for _, v := range []Value{Float64(math.NaN()), Float64(math.Inf(1)), Float64(math.Inf(-1)),
		Float32(float32(math.NaN())), Float32(float32(math.Inf(-1)))} {
		if v.Good() || v.Reason() != ReasonNotANumber {
			t.Errorf("got %v", v)
		}
	}
}

func TestFromBits(t *testing.T) {
	for _, v := range []Value{Bool(true), Int(-5), Uint(math.MaxUint64), Float32(-1.5), Float64(math.Pi),
		Bad(Exception(2)), Bad(ReasonSilent)} {
		if got := FromBits(v.Kind(), v.Bits()); got != v {
			t.Errorf("got %v, want %v", got, v)
		}
	}
}

func TestReasonNames(t *testing.T) {
	seen := map[string]Reason{}
	for r := range Reasons {
		name := r.String()
		if other, ok := seen[name]; ok {
			t.Errorf("%d and %d are both %q", r, other, name)
		}
		seen[name] = r
	}
	for code := range 256 {
		r := Exception(byte(code))
		if got, want := r.String(), fmt.Sprintf("exception_%d", code); got != want || r >= Reasons {
			t.Errorf("%s is reason %d, which is called %s", want, r, got)
		}
	}
	if got := Exception(2).String(); got != "exception_2" {
		t.Errorf("got %q", got)
	}
	if ReasonCertificate.String() != "certificate" {
		t.Error("a reason has no name") // the table and the constants must go together
	}
}

// FuzzNumberForm checks that what is written is JSON and reads back the same.
func FuzzNumberForm(f *testing.F) {
	f.Add(uint64(math.Float64bits(21.3)))
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, bits uint64) {
		if v := Float64(math.Float64frombits(bits)); v.Good() {
			var got float64
			if err := json.Unmarshal(v.AppendNumber(nil), &got); err != nil || math.Float64bits(got) != bits {
				t.Errorf("%x: %s: %v", bits, v, err)
			}
		}
		if v := Float32(math.Float32frombits(uint32(bits))); v.Good() {
			got, err := strconv.ParseFloat(v.String(), 32)
			if err != nil || math.Float32bits(float32(got)) != uint32(bits) {
				t.Errorf("%x: %s: %v", bits, v, err)
			}
		}
	})
}

func decimal(t testing.TB, s string) *Decimal {
	t.Helper()
	if s == "" {
		return nil
	}
	d := new(Decimal)
	if err := d.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestScaling(t *testing.T) {
	for _, tt := range []struct {
		scale, offset string
		raw           Value
		want          Value
	}{
		{"", "", Uint(7), Uint(7)},
		{"1", "0", Int(-7), Int(-7)},
		{"0.1", "", Int(213), Float64(21.3)},
		{"0.1", "", Int(-213), Float64(-21.3)},
		{"0.01", "5", Uint(1), Float64(5.01)},
		{"0.1", "-40", Uint(613), Float64(21.3)},
		{"10", "", Uint(3), Float64(30)},
		{"1e3", "0.5", Int(2), Float64(2000.5)},
		{"0.001", "", Uint(math.MaxUint64), Float64(18446744073709551.615)},
		{"0.1", "", Float32(21.3), Float64(2.13)},
		{"0.001", "", Float64(1500), Float64(1.5)},
		{"2", "", Float64(math.MaxFloat64), Bad(ReasonNotANumber)},
		{"0.1", "", Bool(true), Bool(true)},
		{"0.1", "", String("x"), String("x")},
		{"0.1", "", Bad(ReasonTimeout), Bad(ReasonTimeout)},
		{"0", "3", Int(9), Float64(3)},
	} {
		s := NewScaling(decimal(t, tt.scale), decimal(t, tt.offset))
		if got := s.Apply(tt.raw); got != tt.want {
			t.Errorf("%s × %q + %q: got %s, want %s", tt.raw, tt.scale, tt.offset, got, tt.want)
		}
	}
}

// TestScalingIsDecimal compares with the decimal arithmetic of strconv: raw
// with its point moved.
func TestScalingIsDecimal(t *testing.T) {
	s := NewScaling(decimal(t, "0.01"), nil)
	for raw := range int64(100_000) {
		want, err := strconv.ParseFloat(strconv.FormatInt(raw, 10)+"e-2", 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Apply(Int(raw)).Float(); got != want {
			t.Fatalf("%d: got %v, want %v", raw, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{"temperature": "temperature", "Power.Factor": "power_factor",
		"9lives": "p_9lives", "": "p_", "Größe": "gr____e"} {
		got := PointName(in)
		if got != want || !ValidPoint(got) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for s, want := range map[string]bool{"boiler-1.a_B": true, "": false, "a/b": false, "ä": false,
		string(make([]byte, 65)): false} {
		if got := ValidDevice(s); got != want {
			t.Errorf("%q: got %v", s, got)
		}
	}
}
