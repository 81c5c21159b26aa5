package poll

import (
	"testing"
	"time"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

func TestTripSteps(t *testing.T) {
	d := NewDevice(spec.Device{}, spec.Bus{}.Cost(0), plan.Learnt{})
	blk := &block{Block: plan.Block{Count: 1}}
	for _, step := range []struct {
		took time.Duration
		want time.Duration
	}{
		{300 * time.Microsecond, time.Millisecond},
		{1500 * time.Microsecond, time.Millisecond}, // not yet
		{1900 * time.Microsecond, 2 * time.Millisecond},
		{1400 * time.Microsecond, 2 * time.Millisecond}, // still
		{90 * time.Millisecond, 64 * time.Millisecond},
		{time.Hour, maxTrip},
		{time.Millisecond, time.Millisecond},
	} {
		for range 200 {
			d.answered(step.took, blk, true)
		}
		if d.learnt.Trip != step.want {
			t.Errorf("%v is taken for %v, want %v", step.took, d.learnt.Trip, step.want)
		}
	}
	d.learnt.Trip = 40 * time.Millisecond
	if got := d.price().Request; got != 40*time.Millisecond {
		t.Errorf("a request costs %v", got)
	}
}

// TestThinking: on a serial line what a unit thinks is known within a fifth, and a
// plan that reckons with it takes what was measured.
func TestThinking(t *testing.T) {
	line := spec.Bus{Place: wire.Place{Address: wire.Address{Scheme: "rtu"},
		Serial: wire.Serial{Baud: 9600, DataBits: 8, Parity: wire.EvenParity, StopBits: 1}}}
	d := NewDevice(spec.Device{}, line.Cost(0), plan.Learnt{})
	blk := &block{Block: plan.Block{Table: wire.Holding, Count: 40}}
	known := d.cost.Takes(wire.Holding, 40) - spec.Turnaround
	told := 0
	for _, thinks := range []time.Duration{3 * time.Millisecond, 50 * time.Millisecond, 54 * time.Millisecond,
		700 * time.Millisecond, 0} {
		for range 200 {
			if d.answered(known+thinks, blk, true) {
				told++
			}
		}
		if off := (d.learnt.Trip - thinks).Abs(); off > max(time.Millisecond, thinks/5) {
			t.Errorf("%v is taken for %v", thinks, d.learnt.Trip)
		}
		if off := (d.price().Takes(wire.Holding, 40) - known - thinks).Abs(); off > max(time.Millisecond, thinks/5) {
			t.Errorf("%v: a request costs %v", thinks, d.price().Takes(wire.Holding, 40))
		}
	}
	if told > 60 {
		t.Errorf("it changed %d times", told)
	}
}

// TestTripJoins: far away, one long request is cheaper than two short ones.
func TestTripJoins(t *testing.T) {
	far := NewDevice(spec.Device{Limits: plan.Limits{Words: 2000, Gap: -1}, Fields: []*point.Field{
		{Name: "a", Address: 0, Words: 1, Every: time.Second, Table: 3, Special: point.Plain},
		{Name: "b", Address: 900, Words: 1, Every: time.Second, Table: 3, Special: point.Plain}}},
		spec.Bus{}.Cost(0), plan.Learnt{})
	for trip, want := range map[time.Duration]int{0: 2, time.Millisecond: 2, 64 * time.Millisecond: 1} {
		far.learnt.Trip = trip
		if far.jobs[0].plan(); len(far.jobs[0].blocks) != want {
			t.Errorf("%v away: %d requests, want %d", trip, len(far.jobs[0].blocks), want)
		}
	}
}
