// Package modbustest is a scripted simulator of Modbus devices: register images
// that may change while it runs, misbehaviour on demand, and a record of the
// requests that it saw. Tests use it, and the demonstration.
package modbustest
