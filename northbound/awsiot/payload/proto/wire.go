package proto

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The wire types (Protocol Buffers, "Encoding").
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// tag returns the first byte of a field; all have numbers below 16.
func tag(field, wire byte) byte { return field<<3 | wire }

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// varintSize returns how many bytes appendVarint appends.
func varintSize(v uint64) int { return int(9*uint32(bits.Len64(v))+64) / 64 }

func zigzag(v int32) uint64   { return uint64(uint32(v<<1) ^ uint32(v>>31)) }
func unzigzag(v uint64) int32 { return int32(uint32(v)>>1) ^ -int32(v&1) }
func lengthSize(n int) int    { return varintSize(uint64(n)) + n }
func appendFloat(b []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
}
func appendDouble(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// appendUintField appends a number, 0 too.
func appendUintField(b []byte, field byte, v uint64) []byte {
	return appendVarint(append(b, tag(field, wireVarint)), v)
}

// appendBytesField appends a text or a packed list, unless it is empty.
func appendBytesField[T string | []byte](b []byte, field byte, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return appendText(b, field, v)
}

// appendText appends a text, an empty one too.
func appendText[T string | []byte](b []byte, field byte, v T) []byte {
	return append(appendVarint(append(b, tag(field, wireBytes)), uint64(len(v))), v...)
}

// packedSize returns what a packed list of n bytes takes with its tag, 0 if it is
// empty and so left out.
func packedSize(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + lengthSize(n)
}
