// Package modbustest is a scripted simulator of Modbus devices: register images
// that may change while it runs, misbehaviour on demand, and a record of the
// requests that it saw. Tests use it, and the demonstration.
//
//	sim := modbustest.New()
//	sim.Unit(1).Set(modbustest.Input, 0, modbustest.Float32(71.5)...)
//	addr, err := sim.Listen("127.0.0.1:0")
//	...
//	err = sim.Run(ctx) // serves until ctx ends
package modbustest
