package point

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"

	"fieldbridge/bridge"
)

// Encode returns the registers that hold v, as they go over the wire: the
// inverse of decode. Of a part of a register it returns the bits in their place,
// and zeros around them. A coil is one byte, 0 or 1.
func (f *Field) Encode(v bridge.Value) ([]byte, error) {
	switch f.Kind {
	case KindString:
		return f.encodeText(v)
	case KindTime:
		return f.Whole.encodeTime(v)
	case KindParts:
		return f.encodeParts(v)
	}
	raw, err := f.encodeRaw(v)
	if err != nil {
		return nil, err
	}
	if f.missing(raw) {
		return nil, fmt.Errorf("%v means to the device that there is no value", v)
	}
	if f.Load == LoadBit {
		return []byte{byte(raw)}, nil
	}
	if f.Sides != nil {
		raw = f.Sides.Raw(raw != 0)
	}
	if f.Mask != 0 {
		raw = raw & f.Mask << f.Shift
	}
	data := make([]byte, max(2*f.Words, int(f.Bits+7)/8))
	f.Load.Store(data, raw)
	return data, nil
}

// encodeRaw returns the bits of the number for v.
func (f *Field) encodeRaw(v bridge.Value) (uint64, error) {
	if f.Kind == KindBool {
		return f.encodeBool(v)
	}
	if v.Kind() == bridge.KindString && f.Enum != nil {
		for n, name := range f.Enum {
			if name == v.Str() {
				v = bridge.Int(n)
			}
		}
	}
	number, ok := v.Float()
	if !ok {
		return 0, fmt.Errorf("%v is not a number", v)
	}
	if f.Enum != nil && !f.inEnum(number) {
		return 0, fmt.Errorf("%v is not in the enum", v)
	}
	if !f.linear() && (Type{Kind: f.Kind}).Integer() {
		if raw, ok := exact(v); ok {
			return f.fit(raw, v)
		}
		if number != math.Trunc(number) {
			return 0, fmt.Errorf("%v is not a whole number, and %s has no others", v, f.TypeName)
		}
	}
	number, err := f.unscale(number)
	if err != nil {
		return 0, fmt.Errorf("%v %w", v, err)
	}
	return f.encodeFloat(number, v)
}

// linear reports whether the value differs from the raw number.
func (f *Field) linear() bool { return f.Straight != nil || f.Curve != nil || f.Scaling.Active() }

// unscale returns the raw number for a value.
func (f *Field) unscale(number float64) (float64, error) {
	switch {
	case f.Straight != nil:
		return (number*f.Straight.Den - f.Straight.Add) / f.Straight.Num, nil
	case f.Curve != nil:
		return f.Curve.undo(number)
	case f.Scaling.Active():
		return (number - f.Offset) / f.Scale, nil
	}
	return number, nil
}

func (f *Field) inEnum(number float64) bool {
	_, ok := f.Enum[int64(number)]
	return ok && number == math.Trunc(number)
}

func (f *Field) encodeBool(v bridge.Value) (uint64, error) {
	inverted := uint64(0)
	if f.Invert {
		inverted = 1
	}
	if v.Kind() == bridge.KindBool {
		return v.Bits() ^ inverted, nil
	}
	if n, ok := v.Float(); ok && (n == 0 || n == 1) {
		return uint64(n) ^ inverted, nil
	}
	return 0, fmt.Errorf("%v is neither true nor false", v)
}

// integer is a sign and a magnitude: all that 64 bits can hold, signed or not.
type integer struct {
	negative bool
	abs      uint64
}

// exact returns v as an integer if it is one.
func exact(v bridge.Value) (integer, bool) {
	switch v.Kind() {
	case bridge.KindInt:
		if n := int64(v.Bits()); n < 0 {
			return integer{true, -uint64(n)}, true
		}
		return integer{false, v.Bits()}, true
	case bridge.KindUint:
		return integer{false, v.Bits()}, true
	}
	return integer{}, false
}

// fit returns the bits of n, if the type can hold it.
func (f *Field) fit(n integer, v bridge.Value) (uint64, error) {
	switch f.Kind {
	case KindBCD:
		return f.encodeBCD(n, v)
	case kindMod10k:
		return f.encodeMod10k(n, v)
	}
	width := uint64(f.Bits)
	limit := ^uint64(0) >> (64 - width) // the greatest
	if f.Mask != 0 {
		limit = f.Mask
	}
	switch {
	case f.Kind == kindMagnitude:
		limit >>= 1
	case f.Kind == KindInt:
		limit >>= 1
		if n.negative {
			limit++
		}
	case n.negative && n.abs != 0:
		limit = 0
	}
	switch {
	case n.abs > limit:
		return 0, f.unfit(v)
	case !n.negative || n.abs == 0:
		return n.abs, nil
	case f.Kind == kindMagnitude:
		return n.abs | 1<<(width-1), nil
	}
	return -n.abs & (^uint64(0) >> (64 - width)), nil
}

// encodeParts returns the registers of a number of parts.
func (f *Field) encodeParts(v bridge.Value) ([]byte, error) {
	number, ok := v.Float()
	if !ok {
		return nil, fmt.Errorf("%v is not a number", v)
	}
	n, whole := exact(v)
	if f.linear() {
		raw, err := f.unscale(number)
		if err != nil {
			return nil, fmt.Errorf("%v %w", v, err)
		}
		number, whole = math.RoundToEven(raw), false
	}
	if !whole {
		if number != math.Trunc(number) || math.Abs(number) >= 1<<63 {
			return nil, fmt.Errorf("%v is not a whole number, and its parts have no others", v)
		}
		n = integer{number < 0, uint64(math.Abs(number))}
	}
	data, ok := f.Whole.registers(n)
	if !ok {
		return nil, fmt.Errorf("%v does not fit in its parts", v)
	}
	if got, _ := exact(f.Whole.number(data)); got != n { // a weight is missing: 10 and 1,000 do not make 5
		return nil, fmt.Errorf("%v does not fit in its parts", v)
	}
	return data, nil
}

// Raw returns what stands for true or false.
func (s *Sides) Raw(is bool) uint64 {
	if is {
		return s.True
	}
	return s.False
}

func (f *Field) unfit(v bridge.Value) error {
	return fmt.Errorf("%v does not fit in %s", v, f.TypeName)
}

// encodeFloat returns the bits of the raw number for v.
func (f *Field) encodeFloat(number float64, v bridge.Value) (uint64, error) {
	if math.IsInf(number, 0) || math.IsNaN(number) {
		return 0, f.unfit(v)
	}
	switch f.Kind {
	case kindFloat64:
		return math.Float64bits(number), nil
	case kindFloat32:
		if math.Abs(number) > math.MaxFloat32 {
			return 0, f.unfit(v)
		}
		return uint64(math.Float32bits(float32(number))), nil
	case kindFloat16:
		h, ok := toFloat16(number)
		if !ok {
			return 0, f.unfit(v)
		}
		return uint64(h), nil
	}
	number = math.RoundToEven(number)
	if math.Abs(number) >= 1<<64 {
		return 0, f.unfit(v)
	}
	return f.fit(integer{number < 0, uint64(math.Abs(number))}, v)
}

// FloatBits returns the bits that a float has for a decimal number; false if the field
// is no float, or it cannot have that number.
func (f *Field) FloatBits(decimal string) (uint64, bool) {
	switch f.Kind {
	case kindFloat16, kindFloat32, kindFloat64:
		v, err := strconv.ParseFloat(decimal, 64)
		if err != nil {
			return 0, false
		}
		bits, err := f.encodeFloat(v, bridge.Float64(v))
		return bits, err == nil
	}
	return 0, false
}

func (f *Field) encodeBCD(n integer, v bridge.Value) (raw uint64, err error) {
	rest := n.abs
	for shift := 0; shift < int(f.Bits); shift += 4 {
		raw |= rest % 10 << shift
		rest /= 10
	}
	if n.negative && n.abs != 0 || rest != 0 || f.Mask != 0 && raw > f.Mask {
		return 0, f.unfit(v)
	}
	return raw, nil
}

// encodeMod10k gives each register the sign of the number.
func (f *Field) encodeMod10k(n integer, v bridge.Value) (raw uint64, err error) {
	rest := n.abs
	for shift := 0; shift < int(f.Bits); shift += 16 {
		word := int16(rest % mod10k)
		if n.negative {
			word = -word
		}
		raw |= uint64(uint16(word)) << shift
		rest /= mod10k
	}
	if rest != 0 {
		return 0, f.unfit(v)
	}
	return raw, nil
}

// toFloat16 returns the nearest half, and false if it would be infinite.
func toFloat16(v float64) (uint16, bool) {
	sign := uint16(math.Float64bits(v) >> 63 << 15)
	v = math.Abs(v)
	if v < 1.0/(1<<14) { // zero and subnormals; rounding up may make the least normal
		return sign | uint16(math.RoundToEven(v*(1<<24))), true
	}
	frac, exp := math.Frexp(v) // v = frac × 2^exp, 0.5 <= frac < 1
	h := int64(exp+13)<<10 + int64(math.RoundToEven(frac*(1<<11)))
	if h >= 0x7c00 {
		return 0, false
	}
	return sign | uint16(h), true
}

func (f *Field) encodeText(v bridge.Value) ([]byte, error) {
	if v.Kind() != bridge.KindString {
		return nil, fmt.Errorf("%v is not text", v)
	}
	text := []byte(v.Str())
	if f.Half == All {
		text = text[:0]
		for _, c := range utf16.Encode([]rune(v.Str())) {
			text = binary.BigEndian.AppendUint16(text, c)
		}
	}
	if len(text) > f.Length {
		return nil, fmt.Errorf("%q is longer than %d bytes", v.Str(), f.Length)
	}
	data := make([]byte, 2*f.Words)
	if f.Half == Both || f.Half == All {
		copy(data, text)
	} else {
		for i := range text {
			data[2*i+int(f.Half-High)] = text[i]
		}
	}
	if f.Load == load16Swapped {
		for i := 0; i+1 < len(data); i += 2 {
			data[i], data[i+1] = data[i+1], data[i]
		}
	}
	return data, nil
}

// Store is the inverse of load.
func (c LoadCode) Store(data []byte, v uint64) {
	switch c {
	case load16:
		binary.BigEndian.PutUint16(data, uint16(v))
	case load16Swapped:
		binary.LittleEndian.PutUint16(data, uint16(v))
	case load32:
		binary.BigEndian.PutUint32(data, uint32(v))
	case load32Words:
		binary.BigEndian.PutUint32(data, uint32(v>>16|v<<16))
	case load32Bytes:
		binary.LittleEndian.PutUint32(data, uint32(v>>16&0xffff|v<<16))
	case load32Both:
		binary.LittleEndian.PutUint32(data, uint32(v))
	case load48, load48Words, load48Bytes, load48Both:
		for i := range 3 {
			word := uint16(v >> (32 - 16*i))
			if c == load48Words || c == load48Both {
				word = uint16(v >> (16 * i))
			}
			if c == load48Bytes || c == load48Both {
				word = bits.ReverseBytes16(word)
			}
			binary.BigEndian.PutUint16(data[2*i:], word)
		}
	case load64:
		binary.BigEndian.PutUint64(data, v)
	case load64Words:
		binary.BigEndian.PutUint64(data, reverseWords(v))
	case load64Bytes:
		binary.LittleEndian.PutUint64(data, reverseWords(v))
	case load64Both:
		binary.LittleEndian.PutUint64(data, v)
	default:
		c.storeShuffled(data, v)
	}
}

// Within reports why a value is not within the limits of a point, but for the
// step.
func (f *Field) Within(v bridge.Value) error {
	if err := f.Takes(v); err != nil {
		return err
	}
	number, ok := v.Float()
	if !ok {
		return nil
	}
	w := f.Writable
	if w.Exempt(number) {
		return nil
	}
	if m := w.MultipleOf; m != nil {
		if n := number / m.Float(); math.Abs(n-math.Round(n)) > 1e-6 {
			return fmt.Errorf("%v is not a multiple of %v", v, m)
		}
	}
	if w.Min != nil && number < w.Min.Float() {
		return fmt.Errorf("%v is below min %v", v, w.Min)
	} else if w.Max != nil && number > w.Max.Float() {
		return fmt.Errorf("%v is above max %v", v, w.Max)
	}
	return nil
}

// Takes reports why a value cannot be written to the point, as far as that is known
// without its scale point.
func (f *Field) Takes(v bridge.Value) error {
	if f.Factor == nil {
		_, err := f.Encode(v)
		return err
	}
	if _, ok := v.Float(); !ok {
		return fmt.Errorf("%v is not a number", v)
	}
	return nil
}

// Holds reports whether a block has at s what the registers data say: the same
// bits of an integer, the same truth of a bool, the same text, the same number of
// a float but for rounding.
func (s Placed) Holds(block, data []byte) bool {
	f, alone := s.Field, Placed{Field: s.Field}
	switch f.Kind {
	case KindBool:
		if f.Load == LoadBit {
			return block[s.At>>3]>>(s.At&7)&1 == data[0]
		}
		return f.value(f.raw(block[s.At:])) == f.value(f.raw(data))
	case KindString:
		return s.DecodeText(block, new(string)) == alone.DecodeText(data, new(string))
	case KindTime, KindParts:
		return bytes.Equal(block[s.At:][:len(data)], data)
	case kindFloat32, kindFloat64:
		got, _ := f.value(f.raw(block[s.At:])).Float()
		want, _ := f.value(f.raw(data)).Float()
		return math.Abs(got-want) <= floatRounding*math.Abs(want)
	}
	return f.raw(block[s.At:]) == f.raw(data)
}

// floatRounding is by how much of itself a float may differ that is the same: a
// few bits at the end of 32, as after a device's own conversions.
const floatRounding = 1e-6

// Merge returns the registers is with the bits of f as data has them.
func (f *Field) Merge(is, data []byte) []byte {
	if f.Mask == 0 {
		return data
	}
	merged := make([]byte, len(data))
	f.Load.Store(merged, f.Load.load(is)&^(f.Mask<<f.Shift)|f.Load.load(data))
	return merged
}
