package poll

import (
	"fieldbridge/southbound/modbus/plan"
	"time"
)

// trip is the round trip to a device over a network, smoothed. The read plan
// reckons with it in steps of a factor of two and not before it is well beyond
// the present one, so that the plan stays what it is while the network is.
type trip struct {
	smooth time.Duration
	n      int
}

// Bounds of the round trip that a plan reckons with. Below the least, what we do
// ourselves counts as much.
const (
	minTrip   = time.Millisecond
	maxTrip   = 1024 * time.Millisecond
	tripProof = 16 // answers before it counts
)

// clock notes how long an answer took, and reports whether the round trip that
// plans reckon with changed. It counts from the next plan on: what is polled
// well stays.
func (d *Device) clock(took time.Duration, b *block) bool {
	if d.cost.Trip == 0 || d.Spec.Pause > 0 {
		return false // no network, or the pause may be in it
	}
	t := &d.trip
	took = max(0, took-(d.cost.Takes(b.Table, b.Count)-d.cost.Request))
	if t.n++; t.n == 1 {
		t.smooth = took
	}
	t.smooth += (took - t.smooth) / 8
	if t.n < tripProof {
		return false
	}
	step := d.learnt.Trip
	if step == 0 {
		step = minTrip
	}
	for step < maxTrip && t.smooth > step*8/5 {
		step *= 2
	}
	for step > minTrip && t.smooth < step*3/5 {
		step /= 2
	}
	if step == d.learnt.Trip {
		return false
	}
	d.learnt.Trip = step
	return true
}

// price returns what requests cost by what is known now.
func (d *Device) price() plan.Cost { return d.learnt.Price(d.cost) }
