package poll

import "time"

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

// note notes how long an answer was on its way, and returns the step that plans
// are to reckon with; step is the present one, 0 if there is none.
func (t *trip) note(took, step time.Duration) time.Duration {
	took = max(0, took)
	if t.n++; t.n == 1 {
		t.smooth = took
	}
	t.smooth += (took - t.smooth) / 8
	if t.n < tripProof {
		return step
	}
	if step == 0 {
		step = minTrip
	}
	for step < maxTrip && t.smooth > step*8/5 {
		step *= 2
	}
	for step > minTrip && t.smooth < step*3/5 {
		step /= 2
	}
	return step
}
