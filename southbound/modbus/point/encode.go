package point

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"fieldbridge/bridge"
)

// Encode returns the registers that hold v, as they go over the wire: the
// inverse of decode. Of a part of a register it returns the bits in their place,
// and zeros around them. A coil is one byte, 0 or 1.
func (f *Field) Encode(v bridge.Value) ([]byte, error) {
	if f.Kind == KindString {
		return f.encodeText(v)
	}
	raw, err := f.encodeRaw(v)
	if err != nil {
		return nil, err
	}
	for _, sentinel := range f.Invalid {
		if raw == sentinel {
			return nil, fmt.Errorf("%v means to the device that there is no value", v)
		}
	}
	if f.Load == LoadBit {
		return []byte{byte(raw)}, nil
	}
	if f.Mask != 0 {
		raw = raw & f.Mask << f.Shift
	}
	data := make([]byte, 2*f.Words)
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
	switch {
	case f.Straight != nil:
		number = (number*f.Straight.Den - f.Straight.Add) / f.Straight.Num
	case f.Scaling.Active():
		number = (number - f.Offset) / f.Scale
	case f.Kind == KindInt || f.Kind == KindUint:
		if raw, ok := exact(v); ok {
			return f.fit(raw, v)
		}
		fallthrough
	case f.Kind == KindBCD:
		if number != math.Trunc(number) {
			return 0, fmt.Errorf("%v is not a whole number, and %s has no others", v, f.TypeName)
		}
	}
	return f.encodeFloat(number, v)
}

func (f *Field) inEnum(number float64) bool {
	_, ok := f.Enum[int64(number)]
	return ok && number == math.Trunc(number)
}

func (f *Field) encodeBool(v bridge.Value) (uint64, error) {
	if v.Kind() == bridge.KindBool {
		return v.Bits(), nil
	}
	if n, ok := v.Float(); ok && (n == 0 || n == 1) {
		return uint64(n), nil
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
	bits := uint64(f.Bits)
	limit := ^uint64(0) >> (64 - bits) // the greatest
	if f.Mask != 0 {
		limit = f.Mask
	}
	if f.Kind == KindInt {
		limit >>= 1
		if n.negative {
			limit++
		}
	} else if n.negative && n.abs != 0 {
		limit = 0
	}
	if n.abs > limit {
		return 0, fmt.Errorf("%v does not fit in %s", v, f.TypeName)
	}
	if n.negative {
		return -n.abs & (^uint64(0) >> (64 - bits)), nil
	}
	return n.abs, nil
}

// encodeFloat returns the bits of the raw number for v.
func (f *Field) encodeFloat(number float64, v bridge.Value) (uint64, error) {
	if math.IsInf(number, 0) || math.IsNaN(number) {
		return 0, fmt.Errorf("%v does not fit in %s", v, f.TypeName)
	}
	switch f.Kind {
	case kindFloat64:
		return math.Float64bits(number), nil
	case kindFloat32:
		if math.Abs(number) > math.MaxFloat32 {
			return 0, fmt.Errorf("%v does not fit in %s", v, f.TypeName)
		}
		return uint64(math.Float32bits(float32(number))), nil
	case kindFloat16:
		h, ok := toFloat16(number)
		if !ok {
			return 0, fmt.Errorf("%v does not fit in %s", v, f.TypeName)
		}
		return uint64(h), nil
	}
	number = math.RoundToEven(number)
	if math.Abs(number) >= 1<<64 {
		return 0, fmt.Errorf("%v does not fit in %s", v, f.TypeName)
	}
	n := integer{number < 0, uint64(math.Abs(number))}
	if f.Kind == KindBCD {
		return f.encodeBCD(n, v)
	}
	return f.fit(n, v)
}

func (f *Field) encodeBCD(n integer, v bridge.Value) (raw uint64, err error) {
	rest := n.abs
	for shift := 0; shift < int(f.Bits); shift += 4 {
		raw |= rest % 10 << shift
		rest /= 10
	}
	if n.negative || rest != 0 {
		return 0, fmt.Errorf("%v does not fit in %s", v, f.TypeName)
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
	if len(v.Str()) > f.Length {
		return nil, fmt.Errorf("%q is longer than %d bytes", v.Str(), f.Length)
	}
	data := make([]byte, 2*f.Words)
	copy(data, v.Str())
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
	case load64:
		binary.BigEndian.PutUint64(data, v)
	case load64Words:
		binary.BigEndian.PutUint64(data, reverseWords(v))
	case load64Bytes:
		binary.LittleEndian.PutUint64(data, reverseWords(v))
	default:
		binary.LittleEndian.PutUint64(data, v)
	}
}

// Within reports why a value is not within the limits of a point, but for the
// step.
func (f *Field) Within(v bridge.Value) error {
	if _, err := f.Encode(v); err != nil {
		return err
	}
	number, ok := v.Float()
	if !ok {
		return nil
	}
	if w := f.Writable; w.Min != nil && number < w.Min.Float() {
		return fmt.Errorf("%v is below min %v", v, w.Min)
	} else if w.Max != nil && number > w.Max.Float() {
		return fmt.Errorf("%v is above max %v", v, w.Max)
	}
	return nil
}

// Same reports whether the registers got hold what was written.
func (f *Field) Same(got, data []byte) bool {
	if f.Mask == 0 || f.Load == LoadBit {
		if f.Kind == KindString || f.Load == LoadBit {
			return bytes.Equal(got[:len(data)], data)
		}
		return f.Load.load(got) == f.Load.load(data)
	}
	return f.Load.load(got)>>f.Shift&f.Mask == f.Load.load(data)>>f.Shift&f.Mask
}
