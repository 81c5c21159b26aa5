package modbus

import (
	"fieldbridge/bridge"
)

// maxPower bounds the exponent of a scale point. SunSpec's sunssf is -10 to 10;
// more than this is a sentinel (-32768) or nonsense.
const maxPower = 10

// powerScaling are the scalings by 10^-maxPower to 10^maxPower.
var powerScaling = func() (s [2*maxPower + 1]bridge.Scaling) {
	for i := range s {
		s[i] = bridge.NewScaling(&bridge.Decimal{Coef: 1, Exp: i - maxPower}, nil)
	}
	return s
}()
