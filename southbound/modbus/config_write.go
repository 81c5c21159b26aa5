package modbus

import (
	"fmt"

	"fieldbridge/bridge"
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
