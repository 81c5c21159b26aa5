package modbus

// MaxWords is the most registers in one request, Modbus Application Protocol
// V1.1b3, sections 6.3 and 6.4.
const MaxWords = 125

// kind is how the raw bits of a point become a value.
type kind uint8

const (
	kindBool kind = iota // any bit set
	kindUint
	kindInt
	kindFloat16
	kindFloat32
	kindFloat64
	kindBCD
	kindString
)

// pointType is a type as configurations name it.
type pointType struct {
	kind kind
	bits int // 8, 16, 32 or 64; 0 for a string
}

var pointTypes = map[string]pointType{
	"bool": {kindBool, 16},
	"int8": {kindInt, 8}, "int16": {kindInt, 16}, "int32": {kindInt, 32}, "int64": {kindInt, 64},
	"uint8": {kindUint, 8}, "uint16": {kindUint, 16}, "uint32": {kindUint, 32}, "uint64": {kindUint, 64},
	"float16": {kindFloat16, 16}, "float32": {kindFloat32, 32}, "float64": {kindFloat64, 64},
	"bcd16": {kindBCD, 16}, "bcd32": {kindBCD, 32},
	"string": {kindString, 0},
}

// words returns how many registers the type takes; a string is told its length
// in bytes.
func (t pointType) words(length int) int {
	if t.kind == kindString {
		return (length + 1) / 2
	}
	return max(1, t.bits/16)
}

// order is where the bytes of a number are. The zero order is ABCD, the one of
// the specification: the most significant byte first.
type order struct {
	words bool // the least significant register first
	bytes bool // the bytes of each register swapped
}

// orders by the letters of 2, 4 and 8 bytes, A being the most significant.
var orders = map[string]order{
	"AB": {}, "BA": {bytes: true},
	"ABCD": {}, "CDAB": {words: true}, "BADC": {bytes: true}, "DCBA": {words: true, bytes: true},
	"ABCDEFGH": {}, "GHEFCDAB": {words: true}, "BADCFEHG": {bytes: true}, "HGFEDCBA": {words: true, bytes: true},
}
