package point

import (
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
	Bits  uint8 // of the number: 8, 16, 32 or 64
	Load  LoadCode
	Table wire.Table
	Copy
	Shift  uint8  // after loading: the raw number is (loaded >> shift) & mask
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
	*Special // never nil
}

// Special is what most points have not.
type Special struct {
	Straight *Straight
	Invalid  []uint64
	Enum     map[int64]string
	Length   int   // of a string, in bytes
	Models   []int // of SunSpec: the first of them that the device has

	Writable      *Writable // nil is read-only
	Scale, Offset float64   // of what is writable, to undo scaling
}

// Plain is the special of points that have nothing special. It is read-only.
var Plain = &Special{}

// Settle lets a field that is resolved share plain if it can.
func (f *Field) Settle() {
	if reflect.ValueOf(*f.Special).IsZero() {
		f.Special = Plain
	}
	s := f.Special
	f.Simple = s.Straight == nil && s.Invalid == nil && s.Enum == nil && !f.Scaling.Active() && f.Kind != KindString
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

// End is the address behind the field.
func (f *Field) End() int { return f.Address + f.Words }

// Straight is a straight line, value = (raw × num + add) / den: one rounding where
// the numbers are exact.
type Straight struct{ Num, Add, Den float64 }

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

// Reach is what must be read for the field: itself and its scale point.
func (f *Field) Reach() Span {
	if f.Factor == nil {
		return Span{f.Address, f.End()}
	}
	return Span{min(f.Address, f.Factor.Address), max(f.End(), f.Factor.End())}
}

// Own is where the field is, without its scale point.
func (f *Field) Own() Span { return Span{f.Address, f.End()} }

// Writable say within which limits a point may be set, in its unit; nil means none.
type Writable struct {
	Min, Max, MaxStep *bridge.Decimal
	ReadModifyWrite   bool // a part of a register may be set by writing it whole
}
