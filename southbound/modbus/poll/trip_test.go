package poll

import (
	"testing"
	"time"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

func TestTripSteps(t *testing.T) {
	d := NewDevice(DeviceSpec{}, plan.Cost{}, plan.Learnt{})
	blk := &block{Block: plan.Block{Count: 1}}
	if d.answered(time.Second, blk, true); d.learnt.Trip != 0 {
		t.Error("a serial line has a round trip")
	}
	d.cost = BusSpec{}.Cost(0)
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

// TestTripJoins: far away, one long request is cheaper than two short ones.
func TestTripJoins(t *testing.T) {
	far := NewDevice(DeviceSpec{Limits: plan.Limits{Words: 2000, Gap: -1}, Fields: []*point.Field{
		{Name: "a", Address: 0, Words: 1, Every: time.Second, Table: 3, Special: point.Plain},
		{Name: "b", Address: 900, Words: 1, Every: time.Second, Table: 3, Special: point.Plain}}},
		BusSpec{}.Cost(0), plan.Learnt{})
	for trip, want := range map[time.Duration]int{0: 2, time.Millisecond: 2, 64 * time.Millisecond: 1} {
		far.learnt.Trip = trip
		if far.jobs[0].plan(); len(far.jobs[0].blocks) != want {
			t.Errorf("%v away: %d requests, want %d", trip, len(far.jobs[0].blocks), want)
		}
	}
}
