package modbus

import (
	"time"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// busSpec is a bus, resolved. Buses with equal specs are the same.
type busSpec struct {
	name      string // as configured; the host where a device names its own
	timeout   time.Duration
	retries   int
	pause     time.Duration
	idleClose time.Duration
	wire.Place
}

// cost is what requests take on the bus before anything was measured, with a
// pause after each.
func (b busSpec) cost(pause time.Duration) plan.Cost {
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
