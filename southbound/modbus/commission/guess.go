package commission

import (
	"cmp"
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/order"
	"fieldbridge/southbound/modbus/point"
)

// Guess is one way to read registers, by which they are about what a person sees
// on the device.
type Guess struct {
	At    int             `json:"register"` // of its first, from 0 in those that were given
	Type  string          `json:"type"`
	Order string          `json:"order,omitempty"` // "" where it is ABCD or does not matter
	Scale *bridge.Decimal `json:"-"`               // nil is 1
	Value bridge.Value    `json:"-"`
	Also  []string        `json:"also,omitempty"` // types that read the same here
	rank  float64
}

// Keys are those of a point in YAML that say how it is read, but for its address.
func (g Guess) Keys() string {
	var keys []string
	if g.Type != "uint16" {
		keys = append(keys, "type: "+g.Type)
	}
	if g.Order != "" {
		keys = append(keys, "order: "+g.Order)
	}
	if g.Scale != nil {
		keys = append(keys, "scale: "+g.Scale.String())
	}
	return strings.Join(keys, ", ")
}

// Likelier returns in which other order of bytes a number of floating point is one
// that a device may well mean, where in its own it is beyond all measure. ok is false
// where nothing is odd, or nothing is likelier.
func (p Point) Likelier() (order string, v bridge.Value, ok bool) {
	if p.Field == nil || p.Err != nil || !p.Value.Good() || p.TypeName != "float32" && p.TypeName != "float64" {
		return "", v, false
	}
	words, _, _ := strings.Cut(p.Raw, " = ")
	data, err := hex.DecodeString(strings.ReplaceAll(words, " ", ""))
	if err != nil || len(data) != 2*p.Words {
		return "", v, false
	}
	asItIs := false // a scaled one is none of those that stand there
	likely := make(map[string]bridge.Value)
	for _, i := range point.Interpret(data) {
		n, number := i.Value.Float()
		if i.Type != p.TypeName || !i.Value.Good() || !number {
			continue
		}
		if i.Value.String() == p.Value.String() {
			if usual(n) {
				return "", v, false
			}
			asItIs = true
		} else if usual(n) && n != 0 {
			likely[i.Order] = i.Value
		}
	}
	for _, order := range []string{"ABCD", "CDAB", "DCBA", "BADC", "ABCDEFGH", "GHEFCDAB", "HGFEDCBA", "BADCFEHG",
		"EFGHABCD",
		"CDABGHEF"} {
		if v, there := likely[order]; there && asItIs {
			return cmp.Or(shortOrder[order], order), v, true
		}
	}
	return "", v, false
}

// usual reports whether devices measure such numbers.
func usual(n float64) bool { return n == 0 || math.Abs(n) >= 1e-5 && math.Abs(n) < 1e9 }

// shortOrder are the four orders by their letters at any width.
var shortOrder = map[string]string{"ABCD": "ABCD", "CDAB": "CDAB", "DCBA": "DCBA", "BADC": "BADC",
	"ABCDEFGH": "ABCD", "GHEFCDAB": "CDAB", "HGFEDCBA": "DCBA", "BADCFEHG": "BADC"}

// Guesses returns ways to read the registers in data, two bytes each, by which
// some of them are about the number that is expected, as a display shows it: the
// likeliest first. What is right at a glance comes before what has drifted since,
// simple types and scales before odd ones.
func Guesses(data []byte, expected bridge.Decimal) []Guess {
	var all []Guess
	for at := 0; 2*at < len(data); at++ {
		for _, i := range point.Interpret(data[2*at:]) {
			if i.Value.Kind() == bridge.KindString || i.Value.Kind() == bridge.KindBool || !i.Value.Good() {
				continue
			}
			for _, s := range scales {
				v := bridge.NewScaling(s.by, nil).Apply(i.Value)
				off, near := distance(v, expected)
				if !near {
					continue
				}
				g := Guess{At: at, Type: i.Type, Order: plainOrder(i.Order), Scale: s.by, Value: v}
				g.rank = off + s.rank + rankOf(i.Type, g)
				all = append(all, g)
			}
		}
	}
	order.Stably(all, func(a, b Guess) int { return cmp.Compare(a.rank, b.rank) })
	return merged(all)
}

// merged leaves out ways that differ from an earlier one by the type's name alone.
func merged(all []Guess) []Guess {
	var some []Guess
	for _, g := range all {
		i := slices.IndexFunc(some, func(s Guess) bool {
			return s.At == g.At && s.Order == g.Order && s.Scale == g.Scale && s.Value.String() == g.Value.String() &&
				registersOf(s.Type) == registersOf(g.Type)
		})
		if i < 0 {
			some = append(some, g)
		} else {
			some[i].Also = append(some[i].Also, g.Type)
		}
	}
	return some
}

func registersOf(typ string) int { return point.Types[typ].Words(0) }

// scales are those that devices have, and how unlikely they are.
var scales = []struct {
	by   *bridge.Decimal
	rank float64
}{{nil, 0}, {&bridge.Decimal{Coef: 1, Exp: -1}, 1}, {&bridge.Decimal{Coef: 1, Exp: -2}, 1.5},
	{&bridge.Decimal{Coef: 1, Exp: -3}, 2}, {&bridge.Decimal{Coef: 1, Exp: 1}, 4},
	{&bridge.Decimal{Coef: 5, Exp: -1}, 4.5},
	{&bridge.Decimal{Coef: 1, Exp: 2}, 5}, {&bridge.Decimal{Coef: 1, Exp: 3}, 5}, {&bridge.Decimal{Coef: 1, Exp: -4}, 5}}

// distance returns how far v is from what is expected, in ranks, and whether it is
// near enough: the display rounds, and the value may have moved by a fiftieth.
func distance(v bridge.Value, expected bridge.Decimal) (rank float64, near bool) {
	number, ok := v.Float()
	if !ok {
		return 0, false
	}
	want := expected.Float()
	off := math.Abs(number - want)
	digit := math.Pow10(expected.Exp)
	if off <= 0.5*digit*(1+1e-9) {
		return off / digit / 4, true // nearer is a little better
	}
	if moved := math.Abs(want) / 50; off <= moved {
		return 3 + off/moved, true
	}
	return 0, false
}

// rankOf returns how unlikely a type and an order are. Scaled floats, and numbers
// of many registers for a small value, hardly occur.
func rankOf(typ string, g Guess) float64 {
	rank, known := typeRanks[typ]
	if !known {
		rank = 4
	}
	if strings.HasPrefix(typ, "float") && g.Scale != nil {
		rank += 4
	}
	switch g.Order {
	case "":
	case "CDAB":
		rank++
	default:
		rank += 2.5
	}
	return rank
}

// typeRanks are the usual types; all others come behind them.
var typeRanks = map[string]float64{"uint16": 0, "int16": 0.1, "float32": 0.2, "int32": 1, "uint32": 0.9, "float64": 2,
	"int64": 3, "uint64": 2.9, "bcd16": 3}

// plainOrder returns an order as four letters where it has such a name, "" for the
// usual one.
func plainOrder(order string) string {
	switch order {
	case "", "AB", "ABCD", "ABCDEF", "ABCDEFGH":
		return ""
	case "CDAB", "EFCDAB", "GHEFCDAB":
		return "CDAB"
	case "BA", "BADC", "BADCFE", "BADCFEHG":
		return "BADC"
	case "EFGHABCD", "CDABGHEF":
		return order
	}
	return "DCBA"
}
