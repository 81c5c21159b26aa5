// Package spec is a bus and a device as their loop takes them: resolved, checked and
// not changed any more. A configuration is turned into them (package setup), a loop
// runs them (package poll), and neither knows the other.
package spec

import (
	"slices"
	"time"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/upkeep"
	"fieldbridge/southbound/modbus/wire"
)

// Bus is a bus, resolved. Buses with equal specs are the same.
type Bus struct {
	Name      string // as configured; the host where a device names its own
	Timeout   time.Duration
	Retries   int
	Pause     time.Duration
	IdleClose time.Duration // of a connection that is not used; 0 is never
	wire.Place
}

// Device is a device, resolved. It is not changed.
type Device struct {
	wire.Unit
	Bus      string // key of the bus
	Every    time.Duration
	Way      string // of writing, see package set
	Limits   plan.Limits
	Fields   []*point.Field // by interval, table and address; shared, read-only
	Upkeep   *upkeep.Spec   // what is written unasked; nil is nothing
	Others   []*point.Field // that are not polled
	Instants Instants
}

// Instants is at how many instants of an interval a device that has the line to itself
// is polled together with others. It is no part of what makes a device: two that differ in it alone are the
// same.
type Instants struct {
	Shared int           // two or four; 0 for those that do not share them
	Every  time.Duration // their shortest interval: polls of its multiples fall on its own
}

// InModels reports whether some of the device's points are in SunSpec models.
func (d *Device) InModels() bool {
	in := func(f *point.Field) bool { return f.Models != nil }
	return slices.ContainsFunc(d.Fields, in) || slices.ContainsFunc(d.Others, in)
}

// Field returns a field by its point's name, nil if there is none.
func (d *Device) Field(name string) *point.Field {
	for _, fields := range [][]*point.Field{d.Fields, d.Others} {
		for _, f := range fields {
			if f.Name == name {
				return f
			}
		}
	}
	return nil
}

// AnyField returns a field to ask a silent device for: one that may be read.
func (d *Device) AnyField() *point.Field {
	if len(d.Fields) > 0 {
		return d.Fields[0]
	}
	return d.Others[slices.IndexFunc(d.Others, func(f *point.Field) bool { return !f.WriteOnly() })]
}

// Longest returns how long a request to the device may take.
func (d *Device) Longest() time.Duration { return d.Timeout * time.Duration(1+d.Retries) }

// Cost is what requests take on the bus before anything was measured, with a
// pause after each.
func (b Bus) Cost(pause time.Duration) plan.Cost {
	if !b.Address.Serial() {
		return plan.Cost{Request: tcpRequest + pause, Word: tcpWord, Trip: tcpRequest}
	}
	char := b.Serial.Char()
	still := b.Serial.Silence() + max(pause, b.Serial.Silence())
	request, word := (rtuRequest+rtuAnswer)*char, 2*char
	if b.Address.ASCII() {
		request, word = (asciiRequest+asciiAnswer)*char, 4*char
	}
	return plan.Cost{Request: request + still + Turnaround, Word: word, Trip: Turnaround, Line: true}
}

const (
	// What a request takes over TCP: PLCs answer in 2 to 20 ms, mostly once a
	// scan cycle, and registers hardly count.
	tcpRequest = 5 * time.Millisecond
	tcpWord    = 10 * time.Microsecond
	// Characters of a read and of its answer without the data.
	rtuRequest   = 8
	rtuAnswer    = 5
	asciiRequest = 17
	asciiAnswer  = 11
)

// Turnaround is how long a unit on a line is thought to think before it was measured.
const Turnaround = 5 * time.Millisecond
