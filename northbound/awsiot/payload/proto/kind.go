package proto

import (
	"math"
	"strings"
	"unicode/utf8"

	"fieldbridge/bridge"
)

// Kind is the list of a row that the values of a point stand in. The letters are
// part of the format: never reuse one.
type Kind byte

// The kinds.
const (
	Uint   Kind = 'u' // uints: whole numbers from 0 to [NoUint]-1, or decimals of them
	Int    Kind = 'i' // ints: whole numbers above [NoInt], or decimals of them
	Float  Kind = 'f' // floats: of 32 bits, above [NoFloat]
	Double Kind = 'd' // doubles: above [NoDouble], integers up to 2^53 too
	Bool   Kind = 'b' // a bit in on, or one in off
	Text   Kind = 't' // texts: by their number in the message's dictionary, from 1
	Digits Kind = 'n' // texts, too: a number in digits that no other list holds
)

const kinds = "uifdbtn"

// What stands in a list for a point that has no value there: no value is
// told as one of these. Text and Digits have 0, Bool neither bit.
const (
	NoUint   = math.MaxUint32
	NoInt    = math.MinInt32
	NoFloat  = -math.MaxFloat32
	NoDouble = -math.MaxFloat64
)

// mostPlaces is the most places after the point that a decimal has.
const mostPlaces = 9

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

const maxExact = 1 << 53 // up to it a double holds each integer

// whole returns v times ten to the power of places, and whether that is a whole number
// which gives back v exactly when it is divided again.
func whole(v bridge.Value, places uint8) (int64, bool) {
	switch v.Kind() {
	case bridge.KindUint, bridge.KindInt:
		n := int64(v.Bits())
		if n < 0 && v.Kind() == bridge.KindUint {
			return 0, false
		}
		if places == 0 {
			return n, true
		}
		const most = maxExact / 1_000_000_000
		if n > most || n < -most {
			return 0, false
		}
		return n * int64(pow10[places]), true
	case bridge.KindFloat64:
		f := math.Float64frombits(v.Bits())
		n := math.Round(f * pow10[places])
		if !(n < maxExact && n > -maxExact) || math.Float64bits(float64(int64(n))/pow10[places]) != v.Bits() {
			return 0, false // -0, too
		}
		return int64(n), true
	}
	return 0, false
}

// asDouble returns v as a double that says the same.
func asDouble(v bridge.Value) (float64, bool) {
	switch v.Kind() {
	case bridge.KindUint:
		return float64(v.Bits()), v.Bits() <= maxExact
	case bridge.KindInt:
		n := int64(v.Bits())
		return float64(n), n <= maxExact && n >= -maxExact
	case bridge.KindFloat64:
		f := math.Float64frombits(v.Bits())
		return f, f != NoDouble
	}
	return 0, false
}

// holds reports whether the list of p can hold v exactly.
func (p *Point) holds(v bridge.Value) bool {
	switch p.Kind {
	case Uint:
		n, ok := whole(v, p.Places)
		return ok && n >= 0 && n < NoUint
	case Int:
		n, ok := whole(v, p.Places)
		return ok && n > NoInt && n <= math.MaxInt32
	case Float:
		return v.Kind() == bridge.KindFloat32 && math.Float32frombits(uint32(v.Bits())) != NoFloat
	case Double:
		_, ok := asDouble(v)
		return ok
	case Bool:
		return v.Kind() == bridge.KindBool
	case Text:
		return v.Kind() == bridge.KindString
	case Digits:
		return v.Kind() == bridge.KindUint || v.Kind() == bridge.KindInt || v == bridge.Float32(NoFloat) ||
			v == bridge.Float64(NoDouble)
	}
	return false
}

// Hint is what is known of a point before it has a number.
type Hint struct {
	Type   string // as the catalogue says it; "" if it is not known
	Places int    // digits after the point that its values have at most; -1 if not known
}

// HintOf returns what the catalogue says of a point.
func HintOf(p *bridge.PointInfo) Hint {
	h := Hint{Type: p.Type, Places: -1}
	if p.Places > 0 && (strings.Contains(p.Type, "int") || strings.HasPrefix(p.Type, "bcd")) {
		h.Places = p.Places
	}
	return h
}

// PointFor returns how a point is told whose value is v.
func PointFor(name string, v bridge.Value, h Hint) Point {
	p := Point{Name: name}
	switch v.Kind() {
	case bridge.KindBool:
		p.Kind = Bool
	case bridge.KindString:
		p.Kind = Text
	case bridge.KindFloat32:
		p.Kind = Float
	case bridge.KindFloat64:
		p.Kind, p.Places = decimal(v, h)
	case bridge.KindInt, bridge.KindUint:
		p.Kind = Uint
		if v.Kind() == bridge.KindInt {
			p.Kind = Int
		}
		if h.Type == "int64" || h.Type == "uint64" || h.Type == "time" || !p.holds(v) {
			p.Kind = Double // a counter grows
		}
	default:
		p.Kind = Double
	}
	if v.Good() && !p.holds(v) {
		p.Kind = Digits
	}
	return p
}

// Lasting returns p as it may be for ever: what no list holds now may fit one later.
func (p Point) Lasting() Point {
	if p.Kind == Digits {
		p.Kind = Double
	}
	return p
}

// decimal returns the kind and the places of a float64.
func decimal(v bridge.Value, h Hint) (Kind, uint8) {
	p := Point{Kind: Int}
	if h.Places >= 0 && h.Places <= mostPlaces {
		if p.Places = uint8(h.Places); !unsigned(h.Type) {
			return holding(p, v)
		}
		p.Kind = Uint
		if p.holds(v) {
			return p.Kind, p.Places
		}
		p.Kind = Int
		return holding(p, v)
	}
	if h.Type == "float32" {
		return Double, 0 // a scaled one: its digits have no end
	}
	// A sensor's: room for values some times as large, and for digits that this one
	// happens not to have.
	const room = 16
	f, _ := v.Float()
	for _, places := range [...]uint8{3, 6} {
		if p.Places = places; p.holds(v) && math.Abs(f)*pow10[places]*room < math.MaxInt32 {
			return p.Kind, p.Places
		}
	}
	return Double, 0
}

func holding(p Point, v bridge.Value) (Kind, uint8) {
	if p.holds(v) {
		return p.Kind, p.Places
	}
	return Double, 0
}

func unsigned(kind string) bool {
	switch kind {
	case "uint8", "uint16", "uint32", "bcd16", "bcd32":
		return true
	}
	return false
}

// clean returns s as UTF-8: a byte that is none becomes U+FFFD, as in JSON.
func clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
