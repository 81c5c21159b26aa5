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
	kindMagnitude // a sign bit and a magnitude
	kindMod10k    // registers of four decimal digits each, signed

	// The kinds from here on are not made of the bits of one number.
	KindString
	KindTime
	KindParts
)

// Type is a type as configurations name it.
type Type struct {
	Kind Kind
	Bits int // 8, 16, 24, 32, 48 or 64; 0 for a string and for a time
}

// Types are the types of numbers and texts by their names; [Clocks] are those of
// times.
var Types = map[string]Type{
	"bool": {KindBool, 16},
	"int8": {KindInt, 8}, "int16": {KindInt, 16}, "int24": {KindInt, 24}, "int32": {KindInt, 32},
	"int48": {KindInt, 48}, "int64": {KindInt, 64},
	"uint8": {KindUint, 8}, "uint16": {KindUint, 16}, "uint24": {KindUint, 24}, "uint32": {KindUint, 32},
	"uint48": {KindUint, 48}, "uint64": {KindUint, 64},
	"float16": {kindFloat16, 16}, "float32": {kindFloat32, 32}, "float64": {kindFloat64, 64},
	"bcd8": {KindBCD, 8}, "bcd16": {KindBCD, 16}, "bcd32": {KindBCD, 32},
	"bcd48": {KindBCD, 48}, "bcd64": {KindBCD, 64},
	"signmag16": {kindMagnitude, 16}, "signmag32": {kindMagnitude, 32},
	"mod10k32": {kindMod10k, 32}, "mod10k48": {kindMod10k, 48}, "mod10k64": {kindMod10k, 64},
	"string": {KindString, 0}, "utf16": {KindString, 0},
}

// Integer reports whether all values of the type are whole numbers.
func (t Type) Integer() bool {
	switch t.Kind {
	case KindUint, KindInt, KindBCD, kindMagnitude, kindMod10k:
		return true
	}
	return false
}

// Words returns how many registers the type takes; a string is told its length
// in bytes.
func (t Type) Words(length int) int {
	if t.Kind == KindString {
		return (length + 1) / 2
	}
	return max(1, (t.Bits+15)/16)
}

// Order is where the bytes of a number are. The zero order is ABCD, the one of
// the specification: the most significant byte first.
type Order struct {
	words   bool  // the least significant register first
	bytes   bool  // the bytes of each register swapped
	shuffle uint8 // registers in another order yet: the rank of that among all, from 1
}

// Orders by the letters of 2, 4, 6 and 8 bytes, A being the most significant.
var Orders = map[string]Order{
	"AB": {}, "BA": {bytes: true},
	"ABCD": {}, "CDAB": {words: true}, "BADC": {bytes: true}, "DCBA": {words: true, bytes: true},
	"ABCDEF": {}, "EFCDAB": {words: true}, "BADCFE": {bytes: true}, "FEDCBA": {words: true, bytes: true},
	"ABCDEFGH": {}, "GHEFCDAB": {words: true}, "BADCFEHG": {bytes: true}, "HGFEDCBA": {words: true, bytes: true},
}
