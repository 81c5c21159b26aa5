package bridge

import (
	"math"
	"strconv"

	"fieldbridge/bridge/setting"
)

// Scaling turns a raw number into the value of a point: raw × Scale + Offset,
// computed in decimals. The zero Scaling changes nothing.
type Scaling struct {
	scale, offset setting.Decimal
	coef, add     int64 // value = (raw × coef + add) × 10^exp, if exact is true
	exp           int
	exact         bool
	active        bool
}

// NewScaling returns the scaling by scale and offset; nil is 1 and 0.
func NewScaling(scale, offset *setting.Decimal) Scaling {
	s := Scaling{scale: setting.Decimal{Coef: 1}}
	if scale != nil {
		s.scale = *scale
	}
	if offset != nil {
		s.offset = *offset
	}
	if s.scale == (setting.Decimal{Coef: 1}) && s.offset == (setting.Decimal{}) {
		return Scaling{}
	}
	s.active = true
	s.exp = s.scale.Exp
	if s.offset.Coef != 0 {
		s.exp = min(s.scale.Exp, s.offset.Exp)
	}
	var ok1, ok2 bool
	s.coef, ok1 = shift(s.scale.Coef, s.scale.Exp-s.exp)
	s.add, ok2 = shift(s.offset.Coef, s.offset.Exp-s.exp)
	s.exact = ok1 && ok2 && s.exp >= -22 && s.exp <= 22
	return s
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
func (s Scaling) Active() bool { return s.active }

// Apply scales a number. A scaled value is a float64: the one nearest to the
// exact decimal result when raw is an integer and the result has up to 15
// digits; a float is scaled by its shortest decimal form. Values that are no
// numbers stay as they are.
func (s Scaling) Apply(v Value) Value {
	if !s.active {
		return v
	}
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
		f, err := strconv.ParseFloat(string(v.AppendNumber(make([]byte, 0, 24))), 64)
		if err == nil {
			return s.float(f)
		}
	}
	if f, ok := v.Float(); ok {
		return s.float(f)
	}
	return v
}

const maxExact = 1 << 53 // integers below are exact in float64

func (s Scaling) integer(raw int64) (Value, bool) {
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

func (s Scaling) float(f float64) Value {
	if s.scale.Exp < 0 && s.scale.Exp >= -22 {
		f = f * float64(s.scale.Coef) / powers[-s.scale.Exp]
	} else {
		f *= s.scale.Float()
	}
	return Float64(f + s.offset.Float())
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
