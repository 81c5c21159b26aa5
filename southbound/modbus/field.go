package modbus

import (
	"reflect"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// field is a point, resolved: where it is and how it is decoded. Fields are
// read-only but for what text points to, which the bus that owns the field keeps.
// A gateway may have tens of thousands of them.
type field struct {
	name  string
	kind  kind
	bits  uint8 // of the number: 8, 16, 32 or 64
	load  loadCode
	table wire.Table
	copies
	shift  uint8  // after loading: the raw number is (loaded >> shift) & mask
	simple bool   // the number is the value: all that is below is not looked at, nor fetched
	mask   uint64 // 0 is all

	address  int // zero-based; where models are given, from the register of the model's id
	words    int // registers, or 1 bit
	every    time.Duration
	typ      string
	unit     string
	scaling  bridge.Scaling
	factor   *field // holds the power of ten
	delivery *bridge.Delivery
	*special // never nil
}

// special is what most points have not.
type special struct {
	line    *line
	invalid []uint64
	enum    map[int64]string
	length  int     // of a string, in bytes
	text    *string // of a string: the last one, so that one that stays costs nothing
	models  []int   // of SunSpec: the first of them that the device has

	writable      *Writable // nil is read-only
	scale, offset float64   // of what is writable, to undo scaling
}

// plain is the special of points that have nothing special. It is read-only.
var plain = &special{}

// settle lets a field that is resolved share plain if it can.
func (f *field) settle() {
	if reflect.ValueOf(*f.special).IsZero() {
		f.special = plain
	}
	s := f.special
	f.simple = s.line == nil && s.invalid == nil && s.enum == nil && !f.scaling.Active() && f.kind != kindString
}

// equal reports whether f and g are the same point. It may be called while a bus
// reads them.
func (f *field) equal(g *field) bool {
	if (f.factor == nil) != (g.factor == nil) || f.factor != nil && f.factor.name != g.factor.name {
		return false // the factors themselves are points of the device, too
	}
	a, b := *f, *g
	x, y := *f.special, *g.special
	a.factor, a.special, b.factor, b.special = nil, nil, nil, nil
	x.text, y.text = nil, nil
	return reflect.DeepEqual(a, b) && reflect.DeepEqual(x, y)
}

// slot is the place of a field in the data of a block: bytes, or bits.
type slot struct {
	*field
	at, factorAt int32
}

// decode returns the value of a field that is alone in its data.
func (f *field) decode(data []byte) bridge.Value { return slot{field: f}.decode(data) }

// end is the address behind the field.
func (f *field) end() int { return f.address + f.words }

// line is a straight line, value = (raw × num + add) / den: one rounding where
// the numbers are exact.
type line struct{ num, add, den float64 }
