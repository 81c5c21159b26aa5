package payload

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// The encodings of bytes in a text.
const (
	base64Text = "base64"
	hexText    = "hex"
)

// octets says where in bytes a point is, and how its bits are gathered.
type octets struct {
	encoding string // base64 or hex; "" is the payload itself
	at       int
	order    string // a letter a byte, A the most significant; "" is as they stand
	shift    int
	bits     int // of the raw number; 0 is all of the type's
	length   int // of a text, in bytes
}

// newOctets returns nil for a point that is not in bytes.
func newOctets(format string, p Point, t Type) *octets {
	if format != Bytes && p.Encoding == "" {
		return nil
	}
	o := &octets{encoding: p.Encoding, at: p.At, order: strings.ToUpper(p.Order), length: p.Length}
	if p.Bit != nil {
		o.shift, o.bits = *p.Bit, 1
	}
	if low, high, ok := bitRange(p.Bits); ok {
		o.shift, o.bits = low, high-low+1
	}
	return o
}

// bitRange reads bits as 0-11.
func bitRange(text string) (low, high int, ok bool) {
	a, b, found := strings.Cut(text, "-")
	low, errLow := strconv.Atoi(a)
	high, errHigh := strconv.Atoi(b)
	return low, high, found && errLow == nil && errHigh == nil && low >= 0 && low <= high && high < 64
}

// decode returns the bytes of a text.
func (o *octets) decode(text string) ([]byte, bool) {
	text = strings.TrimSpace(strings.TrimRight(text, "\x00"))
	switch o.encoding {
	case "":
		return []byte(text), true
	case hexText:
		text = strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
		b, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "", "-", "").Replace(text))
		return b, err == nil
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawStdEncoding.DecodeString(text)
	return b, err == nil
}

// octetValue returns the value of a point in bytes; what they are too short for is
// absent.
func (e *extract) octetValue(data []byte) (v bridge.Value, present bool) {
	o := e.octets
	if o.at >= len(data) {
		return v, false
	}
	data = data[o.at:]
	if e.typ.Kind == KindString {
		if o.length > 0 {
			data = data[:min(o.length, len(data))]
		}
		if i := slices.Index(data, 0); i >= 0 {
			data = data[:i]
		}
		return Text(string(data)), true
	}
	n := o.width(e.typ)
	if n > len(data) {
		return v, false
	}
	var raw uint64
	for i, c := range data[:n] {
		place := n - 1 - i
		if o.order != "" {
			place = n - 1 - int(o.order[i]-'A')
		}
		raw |= uint64(c) << (8 * place)
	}
	v = e.typ.ofBits(raw>>o.shift, o.bits)
	if n, ok := integer(v); e.info.Enum != nil && ok {
		if _, named := e.info.Enum[n]; !named {
			return bridge.Bad(bridge.ReasonOutOfRange), true
		}
	}
	return e.scaled(v), true
}

// width returns how many bytes the raw number has: those of the order, of the type, or
// as many as the bits need.
func (o *octets) width(t Type) int {
	switch {
	case o.order != "":
		return len(o.order)
	case o.bits > 0:
		return (o.shift + o.bits + 7) / 8
	}
	return max(1, t.Bits/8)
}

// ofBits makes a value of the lowest bits of raw, 0 is as many as the type has.
func (t Type) ofBits(raw uint64, bits int) bridge.Value {
	if bits == 0 {
		bits = max(t.Bits, 1)
		if t.Kind == KindBool {
			bits = 8
		}
	}
	unused := 64 - bits
	raw = raw << unused >> unused
	switch t.Kind {
	case KindBool:
		return bridge.Bool(raw != 0)
	case KindInt:
		return bridge.Int(int64(raw<<unused) >> unused)
	case KindUint:
		return bridge.Uint(raw)
	case KindFloat32:
		return bridge.Float32(math.Float32frombits(uint32(raw)))
	}
	return bridge.Float64(math.Float64frombits(raw))
}

// validateOctets checks where in bytes a point is.
func (s Settings) validateOctets(r *setting.Problems, p Point) {
	if s.Format != Bytes && p.Encoding == "" {
		r.Misplaced(map[string]bool{"at": p.At != 0, "order": p.Order != "", "bit": p.Bit != nil, "bits": p.Bits != "",
			"length": p.Length != 0}, " is for bytes: with encoding, or format: bytes")
		return
	}
	if !slices.Contains([]string{"", base64Text, hexText}, p.Encoding) {
		r.Add(fmt.Sprintf("%q is not an encoding", p.Encoding), "use base64 or hex", "encoding")
	}
	if p.At < 0 || p.At > 65535 {
		r.Add(fmt.Sprintf("at is %d", p.At), "count the bytes from 0", "at")
	}
	t, ok := LookupType(octetType(p))
	if !ok {
		return // told elsewhere
	}
	r.Misplaced(map[string]bool{"decimal": p.Decimal != "", "true_when": p.TrueWhen != nil,
		"false_when": p.FalseWhen != nil},
		" is for texts")
	if t.Kind != KindString {
		r.Misplaced(map[string]bool{"length": p.Length != 0}, " is for type: string")
	}
	if p.Length < 0 || p.Length > maxText {
		r.Add(fmt.Sprintf("length is %d", p.Length), "use 1 to 1024", "length")
	}
	if p.Bit != nil && (*p.Bit < 0 || *p.Bit > 63) {
		r.Add(fmt.Sprintf("bit is %d", *p.Bit), "use 0 to 63", "bit")
	}
	if _, _, ok := bitRange(p.Bits); p.Bits != "" && !ok {
		r.Add(fmt.Sprintf("%q is no range of bits", p.Bits), `write the lowest and the highest, as bits: "0-11"`, "bits")
	}
	if t.Kind <= KindFloat32 {
		r.Misplaced(map[string]bool{"bit": p.Bit != nil, "bits": p.Bits != ""}, " is for whole numbers and bools")
	}
	n := (&octets{}).width(t)
	if o := newOctets(Bytes, p, t); o.bits > 0 {
		n = max(1, min(8, len(p.Order)))
		if p.Order != "" && o.shift+o.bits > 8*n {
			r.Add("the bits are beyond the bytes of the order", "write an order of more bytes", "order")
		}
	}
	if p.Order != "" && !permutation(strings.ToUpper(p.Order), n) {
		r.Add(fmt.Sprintf("%q is no order of %d bytes", p.Order, n),
			fmt.Sprintf("write each of %s once, A being the most significant", "ABCDEFGH"[:n]), "order")
	}
}

// permutation reports whether s has each of the first n letters once.
func permutation(s string, n int) bool {
	for _, letter := range "ABCDEFGH"[:n] {
		if !strings.ContainsRune(s, letter) {
			return false
		}
	}
	return len(s) == n
}

// octetType returns the type of a point in bytes: one bit is a bool, bits are a whole
// number, unless it says otherwise.
func octetType(p Point) string {
	switch {
	case p.Type == "" && p.Bit != nil:
		return "bool"
	case p.Type == "" && p.Bits != "":
		return "uint64"
	}
	return p.typeName()
}
