package payload

import (
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"fieldbridge/bridge"
)

func appendUint(b []byte, v uint64) []byte { return strconv.AppendUint(b, v, 10) }
func appendInt(b []byte, v int64) []byte   { return strconv.AppendInt(b, v, 10) }

// AppendValue appends a good value as JSON.
func AppendValue(b []byte, v bridge.Value) []byte {
	switch v.Kind() {
	case bridge.KindString:
		return AppendString(b, v.Str())
	case bridge.KindUint:
		return strconv.AppendUint(b, v.Bits(), 10)
	}
	return v.AppendNumber(b)
}

const hex = "0123456789abcdef"

// AppendString appends s as a JSON string (RFC 8259, section 7). Only what must
// be escaped is; bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// stringSize returns the size of what AppendString appends.
func stringSize(s string) int {
	n := len(s) + 2
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
				n++
			case c < ' ':
				n += len(`\u0000`) - 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			n += len("\ufffd") - 1
		}
		i += size
	}
	return n
}

// valueSize returns an upper bound of the bytes that a value takes, as tight as
// can be had without formatting it. It is called several times per reading.
func valueSize(v bridge.Value) int {
	switch v.Kind() {
	case bridge.KindBool:
		if v.Truth() {
			return len("true")
		}
		return len("false")
	case bridge.KindUint:
		return digits(v.Bits())
	case bridge.KindInt:
		if i := int64(v.Bits()); i < 0 {
			return 1 + digits(-uint64(i))
		}
		return digits(v.Bits())
	case bridge.KindFloat32:
		return float32Size(math.Float32frombits(uint32(v.Bits())))
	case bridge.KindFloat64:
		return float64Size(math.Float64frombits(v.Bits()))
	case bridge.KindString:
		return stringSize(v.Str())
	}
	return rowsReason
}

var powersOf10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// digits returns the number of decimal digits of v.
func digits(v uint64) int {
	n := bits.Len64(v) * 1233 >> 12 // log10(2) is about 1233/4096
	if v >= powersOf10[n] {
		n++
	}
	return max(n, 1)
}

// decimals are the scales tried for a short decimal form, and their digits.
var decimals = [...]struct {
	scale  float64
	places int
}{{1, 0}, {10, 1}, {100, 2}, {1e3, 3}, {1e6, 6}}

// float64Size bounds the shortest form. Most measured values are short decimals,
// 21.3 for instance: if f×10^k is an integer n and n/10^k gives f back, then f
// has no more digits than n, since such a division rounds as parsing does.
func float64Size(f float64) int {
	abs := math.Abs(f)
	sign := 0
	if math.Signbit(f) {
		sign = 1
	}
	if abs < 1<<53/1e6 {
		for _, d := range decimals {
			if n := abs * d.scale; n == math.Trunc(n) && n/d.scale == abs {
				return sign + decimalSize(uint64(n), d.places)
			}
		}
	}
	switch {
	case abs >= 1e21 || abs < 1e-6:
		return sign + len("1.2345678901234567e+308")
	case abs >= 1e17:
		return sign + 21
	case abs >= 1:
		return sign + len("1.2345678901234567")
	}
	return sign + len("0.0000012345678901234567")
}

// float32Size is float64Size for float32, whose shortest form has at most nine
// digits. Rounding twice is harmless here: n is below 2^24 and so its quotient
// is never close enough to the middle between two float32 values.
func float32Size(f float32) int {
	abs := math.Abs(float64(f))
	sign := 0
	if math.Signbit(float64(f)) {
		sign = 1
	}
	for _, d := range decimals {
		n := math.Round(abs * d.scale)
		if n >= 1<<24 {
			break
		}
		if float32(n/d.scale) == float32(abs) {
			return sign + decimalSize(uint64(n), d.places)
		}
	}
	switch {
	case abs >= 1e21 || abs < 1e-6:
		return sign + len("1.23456789e+38")
	case abs >= 1e9:
		return sign + 21
	case abs >= 1:
		return sign + len("1.23456789")
	}
	return sign + len("0.00000123456789")
}

// decimalSize returns the size of n/10^places with that many places.
func decimalSize(n uint64, places int) int {
	if places == 0 {
		return digits(n)
	}
	return max(digits(n), places+1) + len(".")
}
