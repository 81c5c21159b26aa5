package modbus

import (
	"reflect"
	"strconv"
	"strings"
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

	writable      *bounds // nil is read-only
	scale, offset float64 // of what is writable, to undo scaling
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

// copies are how a point of a SunSpec model may stand for several: one for each
// block of the model that repeats, one for each model of the kind. How many
// there are is known when the device's list was walked, so the most that there
// may be are resolved, and those that the device has not are left out.
type copies struct{ block, instance uint8 } // from 1; block 0 is a point outside of blocks

// first reports whether c is there on every device that has the model.
func (c copies) first() bool { return c.block <= 1 && c.instance <= 1 }

// blockMark is where the number of the block stands in a point's name.
const blockMark = "{n}"

// name returns what the copy of a point is called.
func (c copies) name(point string) string {
	if c.block > 0 {
		n := strconv.Itoa(int(c.block))
		if strings.Contains(point, blockMark) {
			point = strings.ReplaceAll(point, blockMark, n)
		} else {
			point += "_" + n
		}
	}
	if c.instance > 1 {
		point += "_" + strconv.Itoa(int(c.instance))
	}
	return point
}

// span is a run of addresses, first to end-1.
type span struct{ first, end int }

// reach is what must be read for the field: itself and its scale point.
func (f *field) reach() span {
	if f.factor == nil {
		return span{f.address, f.end()}
	}
	return span{min(f.address, f.factor.address), max(f.end(), f.factor.end())}
}

// own is where the field is, without its scale point.
func (f *field) own() span { return span{f.address, f.end()} }

// bounds say within which limits a point may be set, in its unit; nil is none.
type bounds struct {
	Min, Max, MaxStep *bridge.Decimal
	ReadModifyWrite   bool // a part of a register may be set by writing it whole
}
