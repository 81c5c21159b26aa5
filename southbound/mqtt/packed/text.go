package packed

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep values may be nested.
const maxDepth = 64

var (
	errShort = errors.New("it ends too soon")
	errDeep  = errors.New("it is nested too deep")
	errForm  = errors.New("it breaks the format")
	errMore  = errors.New("there is more behind the value")
)

// text is JSON that grows. Floats that are no numbers are written as NaN and
// Infinity, bytes in base64.
type text struct{ out []byte }

func (t *text) raw(s string)  { t.out = append(t.out, s...) }
func (t *text) int(n int64)   { t.out = strconv.AppendInt(t.out, n, 10) }
func (t *text) uint(n uint64) { t.out = strconv.AppendUint(t.out, n, 10) }
func (t *text) bool(b bool)   { t.out = strconv.AppendBool(t.out, b) }
func (t *text) binary(b []byte) {
	t.out = append(base64.StdEncoding.AppendEncode(append(t.out, '"'), b), '"')
}

// float writes f in its shortest form of so many bits.
func (t *text) float(f float64, bits int) {
	switch {
	case math.IsNaN(f):
		t.raw("NaN")
	case math.IsInf(f, 1):
		t.raw("Infinity")
	case math.IsInf(f, -1):
		t.raw("-Infinity")
	default:
		form := byte('f')
		if abs := math.Abs(f); abs >= 1e21 || abs > 0 && abs < 1e-6 {
			form = 'e'
		}
		t.out = strconv.AppendFloat(t.out, f, form, -1, bits)
	}
}

// string writes a string of JSON; what is not UTF-8 in it becomes U+FFFD.
func (t *text) string(b []byte) {
	t.out = append(t.out, '"')
	for len(b) > 0 {
		switch c := b[0]; {
		case c == '"' || c == '\\':
			t.out = append(t.out, '\\', c)
		case c < ' ':
			t.out = append(t.out, '\\', 'u', '0', '0', '0'+c>>4, "0123456789abcdef"[c&15])
		case c < utf8.RuneSelf:
			t.out = append(t.out, c)
		default:
			r, size := utf8.DecodeRune(b)
			t.out = utf8.AppendRune(t.out, r)
			b = b[size:]
			continue
		}
		b = b[1:]
	}
	t.out = append(t.out, '"')
}

// input is what is read.
type input struct{ rest []byte }

// take returns the next n bytes, nil if there are fewer.
func (in *input) take(n uint64) ([]byte, error) {
	if n > uint64(len(in.rest)) {
		return nil, errShort
	}
	b := in.rest[:n]
	in.rest = in.rest[n:]
	return b, nil
}

// number returns the next n bytes, at most 8, as a number.
func (in *input) number(n uint64) (v uint64, err error) {
	b, err := in.take(n)
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, err
}
