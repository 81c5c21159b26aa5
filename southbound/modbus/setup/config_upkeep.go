package setup

import (
	"fmt"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Step is a value that the gateway writes by itself, at one of the device's
// points, or at an address that is no point.
type Step struct {
	// Point is a point of the device. Without it, coil, holding or ref says where.
	Point string `yaml:"point"`
	// Coil is the zero-based wire address of a coil.
	Coil *int `yaml:"coil"`
	// Holding is the zero-based wire address of the first holding register.
	Holding *int `yaml:"holding"`
	// Ref is the address as manuals print it; see the points' key.
	Ref Ref `yaml:"ref"`
	// Type is the type of what is at the address; see the points' key.
	Type string `yaml:"type"`
	// Length is the length of a string there, in bytes.
	Length int `yaml:"length"`
	// Order is the byte and word order there. Default: the device's.
	Order string `yaml:"order"`
	// Value is what is written, in the unit of the point.
	Value Value `yaml:"value"`
}

// Keep has a point written again and again: a watchdog, or a setpoint that a device
// forgets.
type Keep struct {
	// Value is what is written, as long as the gateway runs, with the uplink down,
	// too. Without it, it is that of the last command, see for.
	Value Value `yaml:"value"`
	// Values are written one after the other and again, in place of value: a bit of
	// life is [0, 1], a counter as many numbers as it has, up to 256.
	Values []Value `yaml:"values"`
	// Follow names another point of the device, whose value is read and written here, in
	// place of value: where the device wants to see its own counter or bit again.
	Follow string `yaml:"follow"`
	// Add is added to what follow has, as 1 where the device wants its counter and one
	// more; what does not fit in the point begins again. Default 0.
	Add int `yaml:"add"`
	// Every is the longest time from one write to the next, 100ms to 1h: half of
	// what the device allows.
	Every setting.Duration `yaml:"every"`
	// For is how long the value of a command is repeated, at most 24h. A restart
	// of the gateway ends it, too.
	For setting.Duration `yaml:"for"`
	// Stop is written once when it ends: at the stop of the gateway, when the key
	// or the device leaves the configuration, when the time of a command is over,
	// and when commands are switched off; with for at the start, too, as an earlier
	// run may have left a command. Default: nothing is written.
	Stop Value `yaml:"stop"`
}

// Value is a value to write: true, false, a number (0x1AD4, too) or text. The zero
// Value is none.
type Value struct{ bridge.Value }

// UnmarshalText reads a value.
func (v *Value) UnmarshalText(text []byte) error {
	s := string(text)
	digits := strings.TrimLeft(s, "-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return fmt.Errorf("%q has a leading zero: write the number without it", s)
	}
	v.Value = ParseValue(s)
	return nil
}

// ParseValue reads a value to write: true and false, a number, or text.
func ParseValue(s string) bridge.Value {
	if s == "true" || s == "false" {
		return bridge.Bool(s == "true")
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return bridge.Int(n)
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return bridge.Uint(n)
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil && bridge.Float64(v).Good() {
		return bridge.Float64(v)
	}
	return bridge.String(s)
}
