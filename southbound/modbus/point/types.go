package point

// MaxWords is the most registers in one request, Modbus Application Protocol
// V1.1b3, sections 6.3 and 6.4.
const MaxWords = 125

// MaxBits is the most bits in one request, Modbus Application Protocol V1.1b3,
// sections 6.1 and 6.2.
const MaxBits = 2000

// Kind is how the raw bits of a point become a value.
type Kind uint8

const (
	KindBool Kind = iota // any bit set
	KindUint
	KindInt
	kindFloat16
	kindFloat32
	kindFloat64
	KindBCD
	KindString
)

// Type is a type as configurations name it.
type Type struct {
	Kind Kind
	Bits int // 8, 16, 32 or 64; 0 for a string
}

var Types = map[string]Type{
	"bool": {KindBool, 16},
	"int8": {KindInt, 8}, "int16": {KindInt, 16}, "int32": {KindInt, 32}, "int64": {KindInt, 64},
	"uint8": {KindUint, 8}, "uint16": {KindUint, 16}, "uint32": {KindUint, 32}, "uint64": {KindUint, 64},
	"float16": {kindFloat16, 16}, "float32": {kindFloat32, 32}, "float64": {kindFloat64, 64},
	"bcd16": {KindBCD, 16}, "bcd32": {KindBCD, 32},
	"string": {KindString, 0},
}

// Words returns how many registers the type takes; a string is told its length
// in bytes.
func (t Type) Words(length int) int {
	if t.Kind == KindString {
		return (length + 1) / 2
	}
	return max(1, t.Bits/16)
}

// Order is where the bytes of a number are. The zero order is ABCD, the one of
// the specification: the most significant byte first.
type Order struct {
	words bool // the least significant register first
	bytes bool // the bytes of each register swapped
}

// Orders by the letters of 2, 4 and 8 bytes, A being the most significant.
var Orders = map[string]Order{
	"AB": {}, "BA": {bytes: true},
	"ABCD": {}, "CDAB": {words: true}, "BADC": {bytes: true}, "DCBA": {words: true, bytes: true},
	"ABCDEFGH": {}, "GHEFCDAB": {words: true}, "BADCFEHG": {bytes: true}, "HGFEDCBA": {words: true, bytes: true},
}
