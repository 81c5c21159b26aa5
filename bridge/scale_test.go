package bridge

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestScalingOfFloats(t *testing.T) {
	for _, tt := range []struct {
		v             Value
		scale, offset string
		want          string
	}{
		{Float32(1.001), "1000", "", "1001"}, // kW to W
		{Float32(-1.503), "1000", "", "-1503"},
		{Float32(21.3), "0.1", "", "2.13"},
		{Float32(21.3), "1.8", "32", "70.34"}, // °C to °F
		{Float64(12345678.9), "0.001", "", "12345.6789"},
		{Float64(0.07), "100", "", "7"},
		{Float64(0), "0.1", "5", "5"},
		{Float64(1e300), "1e10", "", "bad: not_a_number"},
		{Float64(1e-300), "1e-10", "", "1e-310"},
		{Float64(2.5), "0", "1", "1"},
		{Float64(0.30000000000000004), "1000", "", "300.00000000000006"},
		{Float32(math.MaxFloat32), "1", "0.5", "3.4028235e+38"},
		{Float64(math.Pi), "123456789.123456789", "", "387850941.7460361"},
	} {
		s := NewScaling(decimal(t, tt.scale), decimal(t, tt.offset))
		if got := s.Apply(tt.v); got.String() != tt.want {
			t.Errorf("%v × %s + %s = %v, want %s", tt.v, tt.scale, tt.offset, got, tt.want)
		}
	}
}

// A float of up to 15 digits and its scaling are exact decimals: the result is
// the nearest float64, as exact arithmetic has it.
func TestScalingOfFloatsIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		raw := strconv.FormatFloat(float64(rng.Int64N(2e9)-1e9)/1e4, 'f', 4, 64)
		scale := strconv.FormatInt(rng.Int64N(1999)-999, 10) + "e" + strconv.Itoa(rng.IntN(9)-4)
		f, _ := strconv.ParseFloat(raw, 64)
		got := NewScaling(decimal(t, scale), decimal(t, "0.25")).Apply(Float64(f))
		r, _ := new(big.Rat).SetString(raw)
		m, _ := new(big.Rat).SetString(scale)
		want, _ := r.Mul(r, m).Add(r, big.NewRat(1, 4)).Float64()
		if v, ok := got.Float(); !ok || v != want {
			t.Fatalf("%s × %s + 0.25 = %v, want %v", raw, scale, got, want)
		}
	}
}

func TestScalingOfFloatsDoesNotAllocate(t *testing.T) {
	s := NewScaling(decimal(t, "1000"), nil)
	if n := testing.AllocsPerRun(100, func() { s.Apply(Float32(1.001)); s.Apply(Float64(12345.678)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScalingOfFloats(b *testing.B) {
	s := NewScaling(decimal(b, "1000"), nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Apply(Float32(1.001))
	}
}

// What is scaled has no more digits after the point than Places says.
func TestPlaces(t *testing.T) {
	for _, tt := range []struct {
		scale, offset string
		want          int
	}{{"1", "0", 0}, {"0.1", "0", 1}, {"10", "0", 0}, {"0.1", "-273.15", 2}, {"2.50", "0", 1}, {"1e-3", "0", 3},
		{"1e-300", "0", 0}, {"1", "0.5", 1}} {
		var scale, offset Decimal
		if scale.UnmarshalText([]byte(tt.scale)) != nil || offset.UnmarshalText([]byte(tt.offset)) != nil {
			t.Fatal(tt)
		}
		if got := NewScaling(&scale, &offset).Places(); got != tt.want {
			t.Errorf("%s and %s: %d places, want %d", tt.scale, tt.offset, got, tt.want)
		}
	}
}
