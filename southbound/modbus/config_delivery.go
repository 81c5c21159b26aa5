package modbus

import (
	"fmt"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Deadband is by how much a number must differ from the one delivered last:
// 0.2, or 1% of it.
type Deadband struct {
	Value   bridge.Decimal
	Percent bool
}

// UnmarshalText reads 0.2 or 1%.
func (d *Deadband) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	var v bridge.Decimal
	if err := v.UnmarshalText([]byte(strings.TrimSpace(number))); err != nil || v.Coef < 0 {
		return fmt.Errorf("%q is not a deadband: write a number that is not negative, as 0.2, or a percentage, as 1%%", text)
	}
	*d = Deadband{v, percent}
	return nil
}

// Report delivers, instead of readings, what they were like over a time, as
// points of their own: load_mean, load_max.
type Report struct {
	// Every is the time that one report is about, aligned to the wall clock.
	Every setting.Duration `yaml:"every"`
	// As says what of it: mean, min, max, last.
	As []string `yaml:"as"`
}
