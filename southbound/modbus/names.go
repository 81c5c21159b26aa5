package modbus

import (
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// The words of a configuration are those of package setup; they are here as long as
// callers ask for them here.
type (
	Config   = setup.Config
	Bus      = setup.Bus
	Device   = setup.Device
	Point    = setup.Point
	Writable = permit.Writable
)
