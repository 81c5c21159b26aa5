package poll

import "time"

// trip is the round trip to a device over a network, or what a unit on a line
// thinks, smoothed. The read plan reckons with a round trip in steps of a factor
// of two and not before it is well beyond the present one, so that the plan stays
// what it is while the network is.
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

// note notes how long an answer was on its way, and returns what plans are to
// reckon with, known up to now, 0 if nothing is: over a network a step, on a line,
// of which it is a part alone, what is near the truth.
func (t *trip) note(took, known time.Duration, line bool) time.Duration {
	if t.n++; t.n == 1 {
		t.smooth = took
	}
	t.smooth += (took - t.smooth) / 8
	switch off := (t.smooth - known).Abs(); {
	case t.n < tripProof:
		return known
	case line && known > 0 && off <= max(minTrip, known/5):
		return known
	case line:
		return max(minTrip, t.smooth.Round(minTrip))
	}
	step := max(known, minTrip)
	for step < maxTrip && t.smooth > step*8/5 {
		step *= 2
	}
	for step > minTrip && t.smooth < step*3/5 {
		step /= 2
	}
	return step
}
