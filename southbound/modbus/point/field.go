package point

import (
	"encoding/binary"
	"reflect"
	"strconv"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// Field is a point, resolved: where it is and how it is decoded. Once settled it
// is read-only: the devices of a profile share their fields, and buses decode by
// them at the same time. A gateway may have tens of thousands of them.
type Field struct {
	Name  string
	Kind  Kind
	Bits  uint8 // of the number
	Load  LoadCode
	Table wire.Table
	Copy
	Shift  uint8  // after loading: the raw number is (loaded >> shift) & mask
	Size   uint8  // bytes of a register, where it has not two; else 0
	Simple bool   // the number is the value: all that is below is not looked at, nor fetched
	Mask   uint64 // 0 is all

	Address  int // zero-based; where models are given, from the register of the model's id
	Words    int // registers, or 1 bit
	Every    time.Duration
	TypeName string
	Unit     string
	Scaling  bridge.Scaling
	Factor   *Field // holds the power of ten
	Delivery *bridge.Delivery
	Thin     *bridge.Thin // nil is never
	*Special              // never nil
}

// Special is what most points have not.
type Special struct {
	Straight   *Straight
	Curve      *Curve
	Invalid    []uint64
	Invalids   []Raws // more of them, by their bounds
	Sides      *Sides // of a bool that is not just "any bit set"
	Enum       map[int64]string
	EnumStrict bool   // a number that the enum does not name is bad
	Length     int    // of a string, in bytes
	Half       Half   // where in each register the characters of a string are
	Whole      *Whole // of several parts

	Models   []int // of SunSpec: the first of them that the device has
	Head     *Head // of the model that it is in on the device; nil where it is in none
	Away     bool  // the head is not read by the same request
	Together Span  // what must be read with it, in one request of its own; zero is nothing
	Invert   bool  // of a bool: true is 0
	Unpolled bool  // read only when someone asks for it

	Writable      *Writable // nil is read-only
	Scale, Offset float64   // of what is writable, to undo scaling
}

// Half is where in its register a character is.
type Half uint8

// The halves.
const (
	Both Half = iota // two characters a register
	High
	Low
	All // a register is a character, of UTF-16
)

// Plain is the special of points that have nothing special. It is read-only.
var Plain = &Special{}

// Settle lets a field that is resolved share plain if it can.
func (f *Field) Settle() {
	if reflect.ValueOf(*f.Special).IsZero() {
		f.Special = Plain
	}
	s := f.Special
	f.Simple = s.Straight == nil && s.Invalid == nil && s.Invalids == nil && s.Sides == nil && s.Enum == nil &&
		s.Curve == nil && !f.Scaling.Active() &&
		f.Kind < KindString && !s.Invert
}

// Equal reports whether f and g are the same point.
func (f *Field) Equal(g *Field) bool {
	if f == g {
		return true
	}
	if (f.Factor == nil) != (g.Factor == nil) || f.Factor != nil && f.Factor.Name != g.Factor.Name {
		return false // the factors themselves are points of the device, too
	}
	a, b := *f, *g
	x, y := *f.Special, *g.Special
	a.Factor, a.Special, b.Factor, b.Special = nil, nil, nil, nil
	return reflect.DeepEqual(a, b) && reflect.DeepEqual(x, y)
}

// Placed is the place of a field in the data of a block: bytes, or bits.
type Placed struct {
	*Field
	At, FactorAt int32
}

// Decode returns the value of a field that is alone in its data.
func (f *Field) Decode(data []byte) bridge.Value { return Placed{Field: f}.Decode(data) }

// Bytes returns how long the data of the field is.
func (f *Field) Bytes() int {
	switch {
	case f.Table == wire.Identity:
		return wire.ObjectBytes
	case f.Size > 0:
		return f.Words * int(f.Size)
	}
	return 2 * f.Words
}

// End is the address behind the field.
func (f *Field) End() int { return f.Address + f.Words }

// Raws are raw numbers, as bits, from the first to the last.
type Raws struct{ First, Last uint64 }

// Sides are the raw numbers of a bool.
type Sides struct {
	True, False uint64
	Strict      bool // what is neither is bad; else it is false
}

// Straight is a straight line, value = (raw × num + add) / den: one rounding where
// the numbers are exact.
type Straight struct{ Num, Add, Den float64 }

// Curve is a line through several points. A raw number beyond them has no value,
// nor has one between them where the numbers are codes.
type Curve struct {
	Raw, Value []float64 // Raw ascends
	Codes      bool
}

// Copy are how a point of a SunSpec model may stand for several: one for each
// block of the model that repeats, one for each model of the kind. How many
// there are is known when the device's list was walked, so the most that there
// may be are resolved, and those that the device lacks are left out.
type Copy struct{ Block, Instance uint8 } // from 1; block 0 is a point outside of blocks

// First reports whether c is there on every device that has the model.
func (c Copy) First() bool { return c.Block <= 1 && c.Instance <= 1 }

// blockMark is where the number of the block stands in a point's name.
const blockMark = "{n}"

// Of returns what the copy of a point is called.
func (c Copy) Of(point string) string {
	if c.Block > 0 {
		n := strconv.Itoa(int(c.Block))
		if strings.Contains(point, blockMark) {
			point = strings.ReplaceAll(point, blockMark, n)
		} else {
			point += "_" + n
		}
	}
	if c.Instance > 1 {
		point += "_" + strconv.Itoa(int(c.Instance))
	}
	return point
}

// Span is a run of addresses, first to end-1.
type Span struct{ First, End int }

// Head is the beginning of a SunSpec model on a device: two registers that say
// which model it is, and how long. While they are there, so is the model.
type Head struct{ Address, ID, Length int }

// HeadWords is how many registers a head is.
const HeadWords = 2

// Shows reports whether data, two registers, is what the head was.
func (h *Head) Shows(data []byte) bool {
	return int(binary.BigEndian.Uint16(data)) == h.ID && int(binary.BigEndian.Uint16(data[2:])) == h.Length
}

// Reach is what must be read for the field: itself, its scale point and, if it is
// not away, the head of its model.
func (f *Field) Reach() Span {
	s := f.Extent()
	if f.Special != nil && f.Head != nil && !f.Away {
		s.First = f.Head.Address
	}
	return s
}

// Extent is the field and its scale point, or what the device answers only as a
// whole.
func (f *Field) Extent() Span {
	s := f.Own()
	if f.Factor != nil {
		s = Span{min(s.First, f.Factor.Address), max(s.End, f.Factor.End())}
	}
	if f.Special != nil && f.Together != (Span{}) {
		s = Span{min(s.First, f.Together.First), max(s.End, f.Together.End)}
	}
	return s
}

// Apart returns f with the head of its model away.
func (f *Field) Apart() *Field {
	if f.Head == nil || f.Away {
		return f
	}
	apart, special := *f, *f.Special
	special.Away = true
	apart.Special = &special
	return &apart
}

// Own is where the field is, without its scale point.
func (f *Field) Own() Span { return Span{f.Address, f.End()} }
