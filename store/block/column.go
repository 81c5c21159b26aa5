package block

import (
	"math"

	"fieldbridge/bridge"
)

// columnKinds are the kinds in the order in which a column writes their values.
// The order is part of the format: another one needs another version.
var columnKinds = [...]bridge.Kind{bridge.KindBad, bridge.KindBool, bridge.KindInt, bridge.KindUint,
	bridge.KindFloat32, bridge.KindFloat64, bridge.KindString}

// How the floats of a column are written.
const (
	floatBits    = 0 // differences of the bits, byte plane by byte plane
	floatDecimal = 1 // plus the number of decimals: differences of whole numbers
	maxDecimals  = 4 // measured values rarely have more
)

// pow10 has the powers of ten that decimals are scaled by.
var pow10 = [maxDecimals + 1]float64{1, 10, 100, 1000, 10000}

// putColumn writes the values of one point: runs of kinds, then the values of
// each kind.
func (e *Encoder) putColumn(values []bridge.Value) {
	var present [len(columnKinds)]int // values of each kind
	runs := 0
	for i := range values {
		present[values[i].Kind()]++
		if i == 0 || values[i].Kind() != values[i-1].Kind() {
			runs++
		}
	}
	// A column mostly is one run: a point keeps its type, and is good for long.
	e.uint(uint64(runs))
	for i := 0; i < len(values); {
		j := i + 1
		for j < len(values) && values[j].Kind() == values[i].Kind() {
			j++
		}
		e.raw = append(e.raw, byte(values[i].Kind()))
		e.uint(uint64(j - i))
		i = j
	}
	for _, k := range columnKinds {
		if present[k] > 0 {
			e.putKind(k, values, present[k])
		}
	}
}

// putKind writes the n values of kind k among values.
func (e *Encoder) putKind(k bridge.Kind, values []bridge.Value, n int) {
	switch k {
	case bridge.KindBad:
		for i := range values {
			if values[i].Kind() == k {
				e.uint(uint64(values[i].Reason()))
			}
		}
	case bridge.KindBool:
		e.putBools(values, n)
	case bridge.KindInt, bridge.KindUint:
		var previous uint64
		for i := range values {
			if values[i].Kind() == k {
				e.int(int64(values[i].Bits() - previous)) // wraps, and so does the decoder
				previous = values[i].Bits()
			}
		}
	case bridge.KindFloat32, bridge.KindFloat64:
		if digits := decimals(k, values); digits >= 0 {
			e.putDecimals(k, values, digits)
		} else {
			e.putFloatBits(k, values)
		}
	case bridge.KindString:
		// A text mostly is the one before: then it costs a byte.
		previous := ""
		for i := range values {
			if values[i].Kind() != k {
				continue
			}
			if s := values[i].Str(); s == previous {
				e.uint(0)
			} else {
				e.uint(uint64(len(s)) + 1)
				e.raw = append(e.raw, s...)
				previous = s
			}
		}
	}
}

// putBools writes the n bools among values, a bit each.
// The unused bits of the last byte are zero, and not looked at.
func (e *Encoder) putBools(values []bridge.Value, n int) {
	start := len(e.raw)
	e.raw = append(e.raw, make([]byte, (n+7)/8)...)
	bit := 0
	for i := range values {
		if values[i].Kind() != bridge.KindBool {
			continue
		}
		if values[i].Truth() {
			e.raw[start+bit/8] |= 1 << (bit % 8)
		}
		bit++
	}
}

// decimals returns how many decimals write all floats of kind k exactly, -1 if
// maxDecimals are too few. Measured values are mostly such: 21.3 is 213 tenths.
func decimals(k bridge.Kind, values []bridge.Value) int {
	digits := 0
	for i := range values {
		if values[i].Kind() != k {
			continue
		}
		for {
			n, ok := toDecimal(values[i], digits)
			if ok && fromDecimal(k, n, digits) == values[i] {
				break
			}
			if digits++; digits > maxDecimals {
				return -1
			}
		}
	}
	// With more decimals the first values are still exact, but for rounding far
	// out: so all are looked at again.
	for i := range values {
		if values[i].Kind() == k {
			if n, ok := toDecimal(values[i], digits); !ok || fromDecimal(k, n, digits) != values[i] {
				return -1
			}
		}
	}
	return digits
}

// toDecimal returns v in units of the last of so many decimals, and whether float64
// holds such numbers exactly.
// Below 2^53 each whole number has a float64 of its own, so the way there and back
// loses nothing; the comparison with the value finds everything else.
func toDecimal(v bridge.Value, digits int) (int64, bool) {
	f, _ := v.Float()
	f = math.RoundToEven(f * pow10[digits])
	return int64(f), f < 1<<53 && f > -1<<53
}

// fromDecimal is the way back; both round alike, on every machine.
func fromDecimal(k bridge.Kind, n int64, digits int) bridge.Value {
	f := float64(n) / pow10[digits]
	if k == bridge.KindFloat32 {
		return bridge.Float32(float32(f))
	}
	return bridge.Float64(f)
}

// putDecimals writes floats as whole numbers, differences of neighbours.
func (e *Encoder) putDecimals(k bridge.Kind, values []bridge.Value, digits int) {
	e.raw = append(e.raw, byte(floatDecimal+digits))
	var previous int64
	for i := range values {
		if values[i].Kind() == k {
			n, _ := toDecimal(values[i], digits)
			e.int(n - previous)
			previous = n
		}
	}
}

// putFloatBits writes the differences of the bits, all lowest bytes first: of a
// noisy value the high ones are nearly constant.
// zstd shortens those, and leaves the noise of the low ones as it is.
func (e *Encoder) putFloatBits(k bridge.Kind, values []bridge.Value) {
	e.raw = append(e.raw, floatBits)
	for plane := range floatWidth(k) {
		var previous uint64
		for i := range values {
			if values[i].Kind() == k {
				e.raw = append(e.raw, byte(zigzag(k, values[i].Bits(), previous)>>(8*plane)))
				previous = values[i].Bits()
			}
		}
	}
}

// floatWidth returns how many bytes a float of kind k has.
func floatWidth(k bridge.Kind) int {
	if k == bridge.KindFloat32 {
		return 4
	}
	return 8
}

// zigzag returns the difference of the bits, small for small differences of
// either sign.
// It wraps in the width of the kind: the difference of any two has a code, and the
// way back needs no case of its own.
func zigzag(k bridge.Kind, bits, previous uint64) uint64 {
	if k == bridge.KindFloat32 {
		d := int32(uint32(bits) - uint32(previous))
		return uint64(uint32(d)<<1 ^ uint32(d>>31))
	}
	d := int64(bits - previous)
	return uint64(d)<<1 ^ uint64(d>>63)
}

// unzigzag returns the bits whose difference to previous is z.
func unzigzag(k bridge.Kind, z, previous uint64) uint64 {
	if k == bridge.KindFloat32 {
		u := uint32(z)
		return uint64(uint32(previous) + (u>>1 ^ -(u & 1)))
	}
	return previous + (z>>1 ^ -(z & 1))
}
