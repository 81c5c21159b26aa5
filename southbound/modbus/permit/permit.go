// Package permit knows how a configuration says that a point may be set: its
// keys, what they make of the point, and what cannot be meant by them.
package permit

import (
	"fmt"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// What may be done with a point.
const (
	Read      = "read"
	Write     = "write"
	ReadWrite = "read_write"
)

// Writable says within which limits a point may be set: true, or {min, max,
// max_step}.
type Writable struct {
	// Min is the least value that may be written, in the point's unit.
	Min *bridge.Decimal `yaml:"min"`
	// Max is the greatest.
	Max *bridge.Decimal `yaml:"max"`
	// MaxStep is by how much a write may change the value that the device has.
	MaxStep *bridge.Decimal `yaml:"max_step"`
	// Also are values that may be written whatever the limits say: 0 of a wallbox that
	// takes 0 or 6 to 32. To and from them max_step does not apply.
	Also []bridge.Decimal `yaml:"also"`
	// MultipleOf is a number that each value is to be a multiple of.
	MultipleOf *bridge.Decimal `yaml:"multiple_of"`
	// ReadModifyWrite allows a part of a register (bit, bits, byte) to be set by
	// writing the whole register back, on devices without function 22. What the
	// device itself changes in between is lost. Default false.
	ReadModifyWrite bool `yaml:"read_modify_write"`

	no bool // writable: false
}

// UnmarshalText reads true or false.
func (w *Writable) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
		*w = Writable{}
	case "false":
		*w = Writable{no: true}
	default:
		return fmt.Errorf("%q: write true, false or {min: ..., max: ..., max_step: ...}", text)
	}
	return nil
}

// Yes reports whether w, which may be nil, lets the point be set.
func (w *Writable) Yes() bool { return w != nil && !w.no }

// Confirm says what shows that a point was set.
type Confirm struct {
	// By is read_back (the default): the value is read until it shows; echo: the
	// device's answer repeats what was written, nothing is read; none: any answer
	// but an exception. What was not read back is told as unconfirmed.
	By string `yaml:"by"`
	// Point names another point of the device that shows the value. Default: the
	// point itself.
	Point string `yaml:"point"`
	// Within is how long it may take to show, 100ms to 20s. Default 5s.
	Within *setting.Duration `yaml:"within"`
}

// Keys are the keys of a point that say how it may be set.
type Keys struct {
	Access        string
	Writable      *Writable
	Poll          *bool
	Confirm       *Confirm
	Pulse         *setting.Duration
	Invert        bool
	TrueIs        *uint16
	FalseIs       *uint16
	WriteFunction *int
	Together      string

	Base     int      // is subtracted from addresses
	Readings []string // the keys that are given of those that are about readings
	OwnParts bool     // the point's parts are given one by one
}

// key is the key that makes the point writable.
func (k *Keys) key() string {
	if k.Writable != nil {
		return "writable"
	}
	return "access"
}

// Only reports whether the point is never read.
func (k *Keys) Only() bool { return k.Access == Write }
