package modbus

import (
	"fmt"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
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

// writable finds whether and how a point may be set.
func (f *finder) writable(r *point.Field, p Point) {
	if p.Writable == nil || p.Writable.no {
		return
	}
	w := p.Writable
	number := r.Kind != point.KindBool && r.Kind != point.KindString
	switch {
	case r.Table != wire.Coil && r.Table != wire.Holding:
		f.bad("writable", "a "+r.Table.String()+" can't be written", "only coils and holding registers can: remove writable")
	case p.ScalePoint != "":
		f.bad("writable", "a point with a scale_point can't be written", "its factor may change meanwhile: remove writable")
	}
	for _, k := range []struct {
		key   string
		given bool
	}{{"min", w.Min != nil}, {"max", w.Max != nil}, {"max_step", w.MaxStep != nil}} {
		if k.given && !number {
			f.bad("writable/"+k.key, k.key+" for a "+r.TypeName, "only numbers have "+k.key+": write writable: true")
		}
	}
	if w.Min != nil && w.Max != nil && w.Min.Float() > w.Max.Float() {
		f.bad("writable/min", "min is above max", "swap them")
	}
	if w.MaxStep != nil && w.MaxStep.Float() <= 0 {
		f.bad("writable/max_step", "no step is small enough", "use a number above 0")
	}
	r.Writable = &point.Writable{Min: w.Min, Max: w.Max, MaxStep: w.MaxStep, ReadModifyWrite: w.ReadModifyWrite}
	r.Scale, r.Offset = 1, 0
	if p.Scale != nil {
		r.Scale = p.Scale.Float()
	}
	if p.Offset != nil {
		r.Offset = p.Offset.Float()
	}
	if r.Scale == 0 {
		f.bad("scale", "a writable point with scale 0", "use another scale")
	}
	if r.Straight != nil && r.Straight.Num == 0 {
		f.bad("range/value", "a writable point whose values are the same", "give the two ends of the range")
	}
}
