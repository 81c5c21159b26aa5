package bridge

import (
	"math"
	"strconv"
)

// Kind is the type of a [Value]. The numbers are part of the queue's file
// format: never reuse one.
type Kind uint8

// The kinds of values.
const (
	KindBad     Kind = 0 // no value: the reading is bad, with a [Reason]
	KindBool    Kind = 1
	KindInt     Kind = 2 // int64
	KindUint    Kind = 3 // uint64
	KindFloat32 Kind = 4
	KindFloat64 Kind = 5
	KindString  Kind = 6
)

// Value is what a point was read as: a bool, a 64-bit integer, a float or a
// string, or the [Reason] why there is none. It is a small value, compared with
// ==; floats are never NaN or infinite (those become bad). The zero Value is
// bad for [ReasonUnknown].
type Value struct {
	kind Kind
	bits uint64
	str  string
}

// Bad returns the value of a bad reading.
func Bad(r Reason) Value { return Value{kind: KindBad, bits: uint64(r)} }

// Bool returns a bool value.
func Bool(v bool) Value {
	if v {
		return Value{kind: KindBool, bits: 1}
	}
	return Value{kind: KindBool}
}

// Int returns a signed integer value.
func Int(v int64) Value { return Value{kind: KindInt, bits: uint64(v)} }

// Uint returns an unsigned integer value.
func Uint(v uint64) Value { return Value{kind: KindUint, bits: v} }

// Float32 returns a single-precision value. NaN and infinities become bad.
func Float32(v float32) Value {
	if notANumber(float64(v)) {
		return Bad(ReasonNotANumber)
	}
	return Value{kind: KindFloat32, bits: uint64(math.Float32bits(v))}
}

// Float64 returns a double-precision value. NaN and infinities become bad.
func Float64(v float64) Value {
	if notANumber(v) {
		return Bad(ReasonNotANumber)
	}
	return Value{kind: KindFloat64, bits: math.Float64bits(v)}
}

// String returns a text value. The caller vouches that v is valid UTF-8.
func String(v string) Value { return Value{kind: KindString, str: v} }

// FromBits returns the value of kind k whose [Value.Bits] are bits; it is how a
// store restores any kind but [KindString].
func FromBits(k Kind, bits uint64) Value { return Value{kind: k, bits: bits} }

func notANumber(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// Kind returns the type of v.
func (v Value) Kind() Kind { return v.kind }

// Good reports whether v is a value.
func (v Value) Good() bool { return v.kind != KindBad }

// Reason returns why v is bad; it has no meaning for a good value.
func (v Value) Reason() Reason { return Reason(v.bits) }

// Bits returns the raw bits of any kind but [KindString]: 0 or 1, two's
// complement, or IEEE 754 (of 32 bits for [KindFloat32]), or the reason's code.
func (v Value) Bits() uint64 { return v.bits }

// Str returns the text of a [KindString] value.
func (v Value) Str() string { return v.str }

// Truth returns the value of a [KindBool].
func (v Value) Truth() bool { return v.bits != 0 }

// Float returns a number as float64, and whether v is one (bools are not).
func (v Value) Float() (f float64, ok bool) {
	switch v.kind {
	case KindInt:
		return float64(int64(v.bits)), true
	case KindUint:
		return float64(v.bits), true
	case KindFloat32:
		return float64(math.Float32frombits(uint32(v.bits))), true
	case KindFloat64:
		return math.Float64frombits(v.bits), true
	}
	return 0, false
}

// AppendNumber appends a number or bool in its shortest decimal form, as JSON
// wants it: 71.5, -3, 18446744073709551615, true. A float32 is written with as
// few digits as tell it from other float32 values. Other kinds append nothing.
func (v Value) AppendNumber(b []byte) []byte {
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(b, v.bits != 0)
	case KindInt:
		return strconv.AppendInt(b, int64(v.bits), 10)
	case KindUint:
		return strconv.AppendUint(b, v.bits, 10)
	case KindFloat32:
		return appendFloat(b, float64(math.Float32frombits(uint32(v.bits))), 32)
	case KindFloat64:
		return appendFloat(b, math.Float64frombits(v.bits), 64)
	}
	return b
}

// appendFloat writes exponents only where plain digits would be long, as
// encoding/json does, so that payloads read well.
func appendFloat(b []byte, f float64, size int) []byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, size)
	}
	return strconv.AppendFloat(b, f, 'f', -1, size)
}

// String returns v for people: the number, true, the text, or "bad: timeout".
func (v Value) String() string {
	switch v.kind {
	case KindString:
		return v.str
	case KindBad:
		return "bad: " + v.Reason().String()
	}
	return string(v.AppendNumber(make([]byte, 0, 24)))
}
