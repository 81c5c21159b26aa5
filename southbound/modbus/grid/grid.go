// Package grid is when something is polled: at which wall-clock times, and when next
// after one of them, whatever is done to the clock.
package grid

import (
	"hash/fnv"
	"time"
)

// Grid is the wall-clock times at which something is polled: every so often, at
// a fixed phase.
type Grid struct{ Every, Phase time.Duration }

// slots are how many phases there are in an interval.
const slots = 10

// shared has, by how many instants of an interval are left, for each slot the one whose
// instant a device keeps: of four none is more than a slot from its own, of two none
// more than two.
var shared = map[int][slots]uint64{
	2: {2, 2, 2, 2, 2, 7, 7, 7, 7, 7},
	4: {1, 1, 1, 4, 4, 4, 7, 7, 9, 9},
}

// Phase returns the phase of a device's polls at an interval, which depends on its
// name alone: one of ten, or if devices share two or four instants the nearest of those.
// So devices are spread over the interval and stay where they are when others come and go. The
// polls of longer intervals coincide with some of the shortest, base, where they are
// multiples of it.
func Phase(device string, base, every time.Duration, instants int) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(device))
	sum := h.Sum64()
	slot := sum % slots
	if at, ok := shared[instants]; ok {
		slot = at[slot]
	}
	phase := time.Duration(slot) * (base / slots)
	if every%base == 0 {
		phase += time.Duration(sum>>32%uint64(every/base)) * base
	}
	return phase
}

// Instant is a moment with its two readings: they part when the wall clock is
// set.
type Instant struct {
	time.Time       // its monotonic reading counts
	wall      int64 // Unix ns
}

// InstantOf returns a moment as the clock is set.
func InstantOf(t time.Time) Instant { return Instant{t, t.UnixNano()} }

// First returns the first grid time after now.
func (g Grid) First(now Instant) time.Time {
	return now.Add(g.Every - g.off(now.wall))
}

// off returns how long after a grid time wall is.
func (g Grid) off(wall int64) time.Duration {
	off := time.Duration(wall-int64(g.Phase)) % g.Every
	if off < 0 {
		off += g.Every
	}
	return off
}

// Next returns when to poll after the poll that was due at last, and how many
// polls before it cannot be made any more because now is too late.
//
// It counts on the monotonic clock and moves toward the grid by at most a tenth
// of the interval: so a step of the wall clock neither skips nor doubles a poll.
func (g Grid) Next(last time.Time, now Instant) (at time.Time, skipped int) {
	at = last.Add(g.Every)
	wall := now.wall + int64(at.Sub(now.Time)) // at's time as the clock is set now
	off := g.off(wall)
	if off > g.Every/2 {
		off -= g.Every
	}
	at = at.Add(-max(-g.Every/10, min(off, g.Every/10)))
	if late := now.Sub(at); late >= 0 {
		skipped = int(late/g.Every) + 1
		at = at.Add(time.Duration(skipped) * g.Every)
	}
	return at, skipped
}
