package point

import (
	"maps"
	"slices"

	"fieldbridge/bridge"
)

// Interpretation is what registers mean when they are read in one way.
type Interpretation struct {
	Type  string
	Order string // the shortest name of it; "" where it does not matter
	Value bridge.Value
}

// Interpret returns what the registers in data, two bytes each, mean from the
// first on: in all types that they are long enough for, in all orders, those of
// the same width beside each other. It is for finding out how a device means
// them.
func Interpret(data []byte) []Interpretation {
	var all []Interpretation
	for _, width := range []int{16, 24, 32, 48, 64} {
		if len(data) < 2*(Type{Bits: width}).Words(0) {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(Types)) {
			t := Types[name]
			if t.Bits != width || t.Kind == KindBool {
				continue
			}
			for _, letters := range ordersOf(width) {
				o, _ := OrderOf(letters)
				f := Field{Kind: t.Kind, Bits: uint8(t.Bits), Load: Loader(width, o), Special: Plain}
				if width == 24 {
					f.Mask = 1<<24 - 1
				}
				all = append(all, Interpretation{name, letters, f.Decode(data)})
			}
		}
	}
	for _, letters := range ordersOf(16) {
		f := Field{Kind: KindString, Words: len(data) / 2, Load: Loader(16, Orders[letters]),
			Special: &Special{Length: len(data)}}
		all = append(all, Interpretation{"string", letters, f.Decode(data[:2*f.Words])})
	}
	return all
}

// ordersOf returns the letters of the orders of a width in bits.
func ordersOf(width int) []string {
	switch width {
	case 16:
		return []string{"AB", "BA"}
	case 24, 32:
		return []string{"ABCD", "CDAB", "BADC", "DCBA"}
	case 48:
		return []string{"ABCDEF", "EFCDAB", "BADCFE", "FEDCBA"}
	}
	return []string{"ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "EFGHABCD", "CDABGHEF"}
}
