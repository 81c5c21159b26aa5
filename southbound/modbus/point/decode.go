package point

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"fieldbridge/bridge"
)

// LoadCode is a width and an order: how to gather a number from the wire.
type LoadCode uint8

const (
	load16 LoadCode = iota
	load16Swapped
	Load8 // of a register of one byte
	load32
	load32Words
	load32Bytes
	load32Both
	load48
	load48Words
	load48Bytes
	load48Both
	load64
	load64Words
	load64Bytes
	load64Both
	LoadBit      // of a coil or discrete input
	loadShuffled // and all from here on: registers in an order of their own
)

// Loader returns the code for a width of 8, 16, 24, 32, 48 or 64 bits.
func Loader(width int, o Order) LoadCode {
	code := load16
	switch {
	case width <= 16:
		if o.bytes {
			code++
		}
		return code // one register has no word order
	case width <= 32:
		code = load32
	case width <= 48:
		code = load48
	default:
		code = load64
	}
	if o.shuffle > 0 {
		return shuffled(width, o)
	}
	if o.words {
		code++
	}
	if o.bytes {
		code += 2
	}
	return code
}

// load gathers the number that begins at data.
func (c LoadCode) load(data []byte) uint64 {
	switch c {
	case load16:
		return uint64(binary.BigEndian.Uint16(data))
	case load16Swapped:
		return uint64(binary.LittleEndian.Uint16(data))
	case Load8:
		return uint64(data[0])
	case load32:
		return uint64(binary.BigEndian.Uint32(data))
	case load32Words:
		return uint64(bits.RotateLeft32(binary.BigEndian.Uint32(data), 16))
	case load32Bytes:
		return uint64(bits.RotateLeft32(binary.LittleEndian.Uint32(data), 16))
	case load32Both:
		return uint64(binary.LittleEndian.Uint32(data))
	case load48, load48Words, load48Bytes, load48Both:
		return c.load48(data)
	case load64:
		return binary.BigEndian.Uint64(data)
	case load64Words:
		return reverseWords(binary.BigEndian.Uint64(data))
	case load64Bytes:
		return reverseWords(binary.LittleEndian.Uint64(data))
	case load64Both:
		return binary.LittleEndian.Uint64(data)
	}
	return c.loadShuffled(data)
}

// load48 is load for three registers.
func (c LoadCode) load48(data []byte) uint64 {
	var first, last uint64
	for i := range 3 {
		word := binary.BigEndian.Uint16(data[2*i:])
		if c == load48Bytes || c == load48Both {
			word = bits.ReverseBytes16(word)
		}
		first |= uint64(word) << (32 - 16*i)
		last |= uint64(word) << (16 * i)
	}
	if c == load48Words || c == load48Both {
		return last
	}
	return first
}

func reverseWords(v uint64) uint64 {
	v = bits.RotateLeft64(v, 32)
	return v&0xffff0000ffff0000>>16 | v&0x0000ffff0000ffff<<16
}

// Decode returns the value of a field from its block's data, which is as long
// as the block.
func (s Placed) Decode(data []byte) bridge.Value {
	f := s.Field
	if f.Load == LoadBit {
		return bridge.Bool(data[s.At>>3]>>(s.At&7)&1 != 0 != (!f.Simple && f.Invert))
	}
	if f.Kind >= KindString {
		return s.decodeRare(data)
	}
	raw := f.raw(data[s.At:])
	if f.Simple {
		return f.value(raw)
	}
	if f.missing(raw) {
		return bridge.Bad(bridge.ReasonSentinel)
	}
	return s.finish(f.value(raw), data)
}

// decodeRare decodes what is not the bits of one number.
func (s Placed) decodeRare(data []byte) bridge.Value {
	switch s.Kind {
	case KindTime:
		return s.Whole.instant(data[s.At:])
	case KindParts:
		v := s.Whole.number(data[s.At:])
		if v.Good() && s.missing(v.Bits()) {
			return bridge.Bad(bridge.ReasonSentinel)
		}
		return s.finish(v, data)
	}
	return s.DecodeText(data, new(string))
}

// missing reports whether a raw number means that there is no value.
func (f *Field) missing(raw uint64) bool {
	return slices.Contains(f.Invalid, raw) ||
		slices.ContainsFunc(f.Invalids, func(r Raws) bool { return r.First <= raw && raw <= r.Last })
}

// finish makes the value of the raw number v.
func (s Placed) finish(v bridge.Value, data []byte) bridge.Value {
	f := s.Field
	if f.Enum != nil && f.EnumStrict && !f.Named(v) {
		return bridge.Bad(bridge.ReasonOutOfRange)
	}
	switch {
	case f.Invert:
		return bridge.Bool(!v.Truth())
	case f.Factor != nil:
		return f.scaled(v, data[s.FactorAt:])
	case f.Straight != nil:
		return f.Straight.apply(v)
	case f.Curve != nil:
		return f.Curve.apply(v)
	case f.Scaling.Active():
		return f.Scaling.Apply(v)
	}
	return v
}

// raw returns the bits of the number that begins at data.
func (f *Field) raw(data []byte) uint64 {
	raw := f.Load.load(data)
	if f.Mask != 0 {
		raw = raw >> f.Shift & f.Mask
	}
	return raw
}

// value makes a number of raw bits.
func (f *Field) value(raw uint64) bridge.Value {
	switch f.Kind {
	case KindBool:
		if !f.Simple && f.Sides != nil {
			return f.Sides.of(raw)
		}
		return bridge.Bool(raw != 0)
	case KindInt:
		unused := 64 - f.Bits
		return bridge.Int(int64(raw<<unused) >> unused)
	case kindFloat16:
		return bridge.Float32(float16(uint16(raw)))
	case kindFloat32:
		return bridge.Float32(math.Float32frombits(uint32(raw)))
	case kindFloat64:
		return bridge.Float64(math.Float64frombits(raw))
	case KindBCD:
		return decodeBCD(raw)
	case kindMagnitude:
		sign := uint64(1) << (f.Bits - 1)
		if raw&sign != 0 {
			return bridge.Int(-int64(raw &^ sign))
		}
		return bridge.Int(int64(raw))
	case kindMod10k:
		return decodeMod10k(raw)
	}
	return bridge.Uint(raw)
}

// Named reports whether the number v is in the enum.
func (f *Field) Named(v bridge.Value) bool {
	if !v.Good() {
		return true // bad for a better reason
	}
	_, ok := f.Enum[int64(v.Bits())]
	return ok
}

// of returns what a raw number is.
func (s *Sides) of(raw uint64) bridge.Value {
	if s.Strict && raw != s.True && raw != s.False {
		return bridge.Bad(bridge.ReasonOutOfRange)
	}
	return bridge.Bool(raw == s.True)
}

// scaled multiplies by ten to the power of the factor, which begins at data. A
// factor that is not a value leaves none.
func (f *Field) scaled(v bridge.Value, data []byte) bridge.Value {
	factor := f.Factor.Decode(data)
	if !factor.Good() {
		return factor
	}
	power, ok := powerOf(factor)
	if !ok {
		return bridge.Bad(bridge.ReasonOutOfRange)
	}
	return powerScaling[power+maxPower].Apply(v)
}

// powerOf returns the power of ten that v is, if it is one.
func powerOf(v bridge.Value) (int, bool) {
	n, ok := v.Float()
	return int(n), ok && n == math.Trunc(n) && math.Abs(n) <= maxPower
}

// ScaledBy returns the field as it is while its scale point has these registers:
// with a scaling of its own, and so to be encoded.
func (f *Field) ScaledBy(factor []byte) (*Field, error) {
	power := f.Factor.Decode(factor)
	n, ok := powerOf(power)
	if !ok {
		return nil, fmt.Errorf("its scale point %s is %v, which is no power of ten", f.Factor.Name, power)
	}
	scaled, special := *f, *f.Special
	special.Scale, special.Offset = math.Pow10(n), 0
	scaled.Scaling, scaled.Factor, scaled.Special = powerScaling[n+maxPower], nil, &special
	return &scaled, nil
}

// apply returns the value on the line for the raw number v.
func (l *Straight) apply(v bridge.Value) bridge.Value {
	if raw, ok := v.Float(); ok {
		return bridge.Float64((raw*l.Num + l.Add) / l.Den)
	}
	return v
}

// float16 decodes an IEEE 754 half.
func float16(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero and subnormals: frac × 2^-24
		f := float32(frac) / (1 << 24)
		if sign != 0 {
			f = -f
		}
		return f
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// decodeBCD reads one decimal digit in each four bits.
func decodeBCD(raw uint64) bridge.Value {
	var n, place uint64 = 0, 1
	for ; raw != 0; raw >>= 4 {
		digit := raw & 15
		if digit > 9 {
			return bridge.Bad(bridge.ReasonOutOfRange)
		}
		n += digit * place
		place *= 10
	}
	return bridge.Uint(n)
}

// decodeMod10k reads four decimal digits in each register, each with its own sign:
// ION and other meters of Schneider Electric call it INT32-M10K.
func decodeMod10k(raw uint64) bridge.Value {
	var n, place int64 = 0, 1
	for ; raw != 0; raw >>= 16 {
		digits := int64(int16(raw))
		if digits <= -mod10k || digits >= mod10k {
			return bridge.Bad(bridge.ReasonOutOfRange)
		}
		n += digits * place
		place *= mod10k
	}
	return bridge.Int(n)
}

const mod10k = 10000 // what a register of such a number counts to

// DecodeText returns the string of a field of [KindString] from its block's data,
// without its padding. last is the string that was there before, and is set to
// this one: a string that stays costs no memory.
func (s Placed) DecodeText(data []byte, last *string) bridge.Value {
	f := s.Field
	data = data[s.At:][:f.Bytes()]
	var buf [2 * MaxWords]byte
	text := append(buf[:0], data...)
	if f.Load == load16Swapped {
		for i := 0; i+1 < len(text); i += 2 {
			text[i], text[i+1] = text[i+1], text[i]
		}
	}
	switch f.Half {
	case High, Low:
		for i := range f.Words {
			text[i] = text[2*i+int(f.Half-High)]
		}
	case All:
		var wide [3 * MaxWords]byte
		return keep(last, characters(wide[:0], text[:f.Length]))
	}
	text = text[:f.Length]
	if i := slices.Index(text, 0); i >= 0 {
		text = text[:i] // what follows the terminator was never meant
	}
	for len(text) > 0 && (text[len(text)-1] == 0xff || text[len(text)-1] == ' ') {
		text = text[:len(text)-1]
	}
	return keep(last, text)
}

// keep makes text, without the spaces at its end, the last.
func keep(last *string, text []byte) bridge.Value {
	switch {
	case string(text) == *last: // no allocation
	case utf8.Valid(text):
		*last = string(text)
	default:
		*last = latin1(text)
	}
	return bridge.String(*last)
}

// characters appends the text of registers of UTF-16 to b, up to its terminator.
func characters(b, registers []byte) []byte {
	for i := 0; i+1 < len(registers); i += 2 {
		r := rune(binary.BigEndian.Uint16(registers[i:]))
		if r == 0 || r == 0xffff {
			break
		}
		if utf16.IsSurrogate(r) && i+3 < len(registers) {
			r = utf16.DecodeRune(r, rune(binary.BigEndian.Uint16(registers[i+2:])))
			i += 2
		}
		if r != byteOrderMark || len(b) > 0 {
			b = utf8.AppendRune(b, r)
		}
	}
	return bytes.TrimRight(b, " ")
}

// byteOrderMark is what some write before a text of UTF-16.
const byteOrderMark = 0xfeff

func latin1(text []byte) string {
	var b strings.Builder
	for _, c := range text {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// maxPower bounds the exponent of a scale point. SunSpec's sunssf is -10 to 10;
// more than this is a sentinel (-32768) or nonsense.
const maxPower = 10

// powerScaling are the scalings by 10^-maxPower to 10^maxPower.
var powerScaling = func() (s [2*maxPower + 1]bridge.Scaling) {
	for i := range s {
		s[i] = bridge.NewScaling(&bridge.Decimal{Coef: 1, Exp: i - maxPower}, nil)
	}
	return s
}()
