package poll

import (
	"slices"
	"time"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// BusSpec is a bus, resolved. Buses with equal specs are the same.
type BusSpec struct {
	Name      string // as configured; the host where a device names its own
	Timeout   time.Duration
	Retries   int
	Pause     time.Duration
	IdleClose time.Duration // of a connection that is not used; 0 is never
	wire.Place
}

// DeviceSpec is a device, resolved. It is not changed.
type DeviceSpec struct {
	wire.Unit
	Bus    string // key of the bus
	Every  time.Duration
	Way    string // of writing, see package set
	Limits plan.Limits
	Fields []*point.Field // by interval, table and address; shared, read-only
}

// InModels reports whether some of the device's points are in SunSpec models.
func (d *DeviceSpec) InModels() bool {
	return slices.ContainsFunc(d.Fields, func(f *point.Field) bool { return f.Models != nil })
}

// Field returns a field by its point's name, nil if there is none.
func (d *DeviceSpec) Field(point string) *point.Field {
	for _, f := range d.Fields {
		if f.Name == point {
			return f
		}
	}
	return nil
}

// Cost is what requests take on the bus before anything was measured, with a
// pause after each.
func (b BusSpec) Cost(pause time.Duration) plan.Cost {
	if b.Address.Scheme != "rtu" {
		return plan.Cost{Request: tcpRequest + pause, Word: tcpWord, Trip: tcpRequest}
	}
	char := b.Serial.Char()
	still := b.Serial.Silence() + max(pause, b.Serial.Silence())
	return plan.Cost{Request: (rtuRequest+rtuAnswer)*char + still + turnaround, Word: 2 * char}
}

const (
	// What a request takes over TCP: PLCs answer in 2 to 20 ms, mostly once a
	// scan cycle, and registers hardly count.
	tcpRequest = 5 * time.Millisecond
	tcpWord    = 10 * time.Microsecond
	// Characters of a read and of its answer without the data, and the time that
	// a unit thinks.
	rtuRequest = 8
	rtuAnswer  = 5
	turnaround = 5 * time.Millisecond
)
