package point

import (
	"slices"
	"time"

	"fieldbridge/bridge"
)

// Writable says how and within which limits a point may be set.
type Writable struct {
	Min, Max, MaxStep *bridge.Decimal  // in the point's unit; nil means none
	Also              []bridge.Decimal // values that may be written all the same
	MultipleOf        *bridge.Decimal
	ReadModifyWrite   bool          // a part of a register may be set by writing it whole
	Only              bool          // it is never read
	Function          byte          // that writes it; 0 is by the device's way
	Pulse             time.Duration // after which true falls back to false; 0 is never
	Confirm
}

// Confirm says what shows that a write was carried out. The zero value is that
// the point itself is read back, once.
type Confirm struct {
	By     ConfirmBy
	Shown  *Field        // the point that is to have the value then; nil is the point itself
	Within time.Duration // how long it is read again until it shows
}

// ConfirmBy is a way to confirm a write.
type ConfirmBy uint8

// The ways.
const (
	ByReadBack ConfirmBy = iota // the value is read
	ByEcho                      // the device's answer repeats what was written
	ByNone                      // any answer but an exception
)

// Follow returns what f is to be where another field has v: more than that by a whole
// number, which begins again beyond what f can have. A bool is as it is.
func (f *Field) Follow(v, more bridge.Value) bridge.Value {
	n, ok := v.Float()
	if !ok {
		return v
	}
	is := int64(n) + int64(more.Bits())
	switch unused := 64 - f.Bits; f.Kind {
	case KindUint:
		return bridge.Uint(uint64(is) << unused >> unused)
	case KindInt:
		return bridge.Int(is << unused >> unused)
	}
	return bridge.Int(is)
}

// Exempt reports whether the limits do not apply to a number.
func (w *Writable) Exempt(number float64) bool {
	return slices.ContainsFunc(w.Also, func(d bridge.Decimal) bool { return d.Float() == number })
}

// DefaultWithin is how long a written value may take to show.
const DefaultWithin = 5 * time.Second

// Setting returns how f is set; of a point that commands may not set it is the
// zero value.
func (f *Field) Setting() Writable {
	if f.Writable == nil {
		return Writable{}
	}
	return *f.Writable
}

// WriteOnly reports whether f may not be read, on no occasion.
func (f *Field) WriteOnly() bool { return f.Writable != nil && f.Writable.Only }

// Confirming returns the point that is read after f was written; nil is that none is.
func (f *Field) Confirming() *Field {
	switch c := f.Writable.Confirm; {
	case c.By != ByReadBack:
		return nil
	case c.Shown != nil:
		return c.Shown
	}
	return f
}
