package bridge

import (
	"math"
	"strconv"
)

// Scaling turns a raw number into the value of a point: raw × Scale + Offset,
// computed in decimals. The zero Scaling changes nothing.
type Scaling struct {
	f *factors // nil changes nothing, and costs a point of a large device one word
}

type factors struct {
	scale, offset Decimal
	coef, add     int64 // value = (raw × coef + add) × 10^exp, if exact is true
	exp           int
	exact         bool
}

// NewScaling returns the scaling by scale and offset; nil is 1 and 0.
func NewScaling(scale, offset *Decimal) Scaling {
	s := &factors{scale: Decimal{Coef: 1}}
	if scale != nil {
		s.scale = *scale
	}
	if offset != nil {
		s.offset = *offset
	}
	if s.scale == (Decimal{Coef: 1}) && s.offset == (Decimal{}) {
		return Scaling{}
	}
	s.exp = s.scale.Exp
	if s.offset.Coef != 0 {
		s.exp = min(s.scale.Exp, s.offset.Exp)
	}
	var ok1, ok2 bool
	s.coef, ok1 = shift(s.scale.Coef, s.scale.Exp-s.exp)
	s.add, ok2 = shift(s.offset.Coef, s.offset.Exp-s.exp)
	s.exact = ok1 && ok2 && s.exp >= -22 && s.exp <= 22
	return Scaling{s}
}

// shift returns v × 10^n, and whether it fits.
func shift(v int64, n int) (int64, bool) {
	if v == 0 {
		return 0, true
	}
	for ; n > 0; n-- {
		if v > math.MaxInt64/10 || v < math.MinInt64/10 {
			return 0, false
		}
		v *= 10
	}
	return v, true
}

// Active reports whether s changes anything.
func (s Scaling) Active() bool { return s.f != nil }

// Places returns how many digits after the point a scaled integer has at most, 0 if that
// cannot be told.
func (s Scaling) Places() int {
	if s.f == nil || !s.f.exact {
		return 0
	}
	return max(0, -s.f.exp)
}

// Apply scales a number. A scaled value is a float64: the one nearest to the
// exact decimal result when raw is an integer and the result has up to 15
// digits; a float is scaled by its shortest decimal form. Values that are not
// numbers stay as they are.
func (s Scaling) Apply(v Value) Value {
	if s.f == nil {
		return v
	}
	return s.f.apply(v)
}

func (s *factors) apply(v Value) Value {
	switch v.kind {
	case KindInt:
		if r, ok := s.integer(int64(v.bits)); ok {
			return r
		}
	case KindUint:
		if v.bits <= math.MaxInt64 {
			if r, ok := s.integer(int64(v.bits)); ok {
				return r
			}
		}
	case KindFloat32:
		// 21.3 as float32 is 21.299999: take what its reader sees.
		return s.float(float64(math.Float32frombits(uint32(v.bits))), 32)
	}
	if f, ok := v.Float(); ok {
		return s.float(f, 64)
	}
	return v
}

const maxExact = 1 << 53 // integers below are exact in float64

func (s *factors) integer(raw int64) (Value, bool) {
	if !s.exact {
		return Value{}, false
	}
	// Bound the product before it is made, so that it cannot wrap.
	if raw != 0 && (raw >= maxExact || raw <= -maxExact || abs(s.coef) > maxExact/abs(raw)) {
		return Value{}, false
	}
	n := raw*s.coef + s.add
	if n >= maxExact || n <= -maxExact {
		return Value{}, false
	}
	// Both operands are exact and so the single operation rounds correctly.
	if s.exp < 0 {
		return Float64(float64(n) / powers[-s.exp]), true
	}
	return Float64(float64(n) * powers[s.exp]), true
}

// float scales the shortest decimal form of a float of so many bits: 1.001 by
// 1000 is 1001, though no binary float is 1.001.
func (s *factors) float(f float64, size int) Value {
	digits, exp := shortest(f, size)
	coef, scaleExp := s.scale.Coef, s.scale.Exp
	for coef != 0 && coef%10 == 0 {
		coef, scaleExp = coef/10, scaleExp+1
	}
	if n, e, ok := sum(digits, coef, exp+scaleExp, s.offset.Coef, s.offset.Exp); ok {
		return Float64(compose(n, e))
	}
	// More digits than fit in 64 bits: binary arithmetic is as good.
	return Float64(compose(digits, exp)*s.scale.Float() + s.offset.Float())
}

// shortest returns f as the fewest digits × 10^exp that read back as f.
func shortest(f float64, size int) (digits int64, exp int) {
	var buf [32]byte
	fraction, inFraction := 0, false
	text := strconv.AppendFloat(buf[:0], f, 'e', -1, size)
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits = digits*10 + int64(c-'0') // at most 17 digits
			if inFraction {
				fraction++
			}
		case c == '.':
			inFraction = true
		case c == 'e':
			exp, _ = strconv.Atoi(string(text[i+1:])) // AppendFloat wrote it
			if f < 0 {
				digits = -digits
			}
			return digits, exp - fraction
		}
	}
	return 0, 0 // NaN and infinities, which are not values
}

// sum returns a×b×10^exp + add×10^addExp as n × 10^e, unless that needs more
// than 64 bits.
func sum(a, b int64, exp int, add int64, addExp int) (n int64, e int, ok bool) {
	if a != 0 && abs(b) > math.MaxInt64/abs(a) {
		return 0, 0, false
	}
	n, e = a*b, exp
	if add == 0 {
		return n, e, true
	}
	if n == 0 {
		return add, addExp, true
	}
	e = min(exp, addExp)
	n, ok1 := shift(n, exp-e)
	add, ok2 := shift(add, addExp-e)
	if !ok1 || !ok2 || abs(n) > math.MaxInt64/2 || abs(add) > math.MaxInt64/2 {
		return 0, 0, false
	}
	return n + add, e, true
}

// compose returns the float64 nearest to n × 10^e.
func compose(n int64, e int) float64 {
	if n < maxExact && n > -maxExact && e >= -22 && e <= 22 {
		// Both operands are exact and so the single operation rounds correctly.
		if e < 0 {
			return float64(n) / powers[-e]
		}
		return float64(n) * powers[e]
	}
	var buf [32]byte
	text := strconv.AppendInt(append(strconv.AppendInt(buf[:0], n, 10), 'e'), int64(e), 10)
	f, _ := strconv.ParseFloat(string(text), 64) // beyond the range it is infinite, and bad
	return f
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

// powers are the powers of ten that float64 holds exactly.
var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
	1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
