package poll

import (
	"hash/fnv"
	"time"
)

// grid is the wall-clock times at which something is polled: every so often, at
// a fixed phase.
type grid struct{ every, phase time.Duration }

// slots are how many phases there are in an interval.
const slots = 10

// shared has for each slot the one whose instant a device keeps that shares
// instants: four are left, and none is more than a slot from its own.
var shared = [slots]uint64{1, 1, 1, 4, 4, 4, 7, 7, 9, 9}

// phaseOf returns the phase of a device's polls at an interval, which depends on its
// name alone: one of ten, or if devices share instants the nearest of four. So devices
// are spread over the interval and stay where they are when others come and go. The
// polls of longer intervals coincide with some of the shortest, base, where they are
// multiples of it.
func phaseOf(device string, base, every time.Duration, share bool) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(device))
	sum := h.Sum64()
	slot := sum % slots
	if share {
		slot = shared[slot]
	}
	phase := time.Duration(slot) * (base / slots)
	if every%base == 0 {
		phase += time.Duration(sum>>32%uint64(every/base)) * base
	}
	return phase
}

// instant is a moment with its two readings: they part when the wall clock is
// set.
type instant struct {
	time.Time       // its monotonic reading counts
	wall      int64 // Unix ns
}

func instantOf(t time.Time) instant { return instant{t, t.UnixNano()} }

// first returns the first grid time after now.
func (g grid) first(now instant) time.Time {
	return now.Add(g.every - g.off(now.wall))
}

// off returns how long after a grid time wall is.
func (g grid) off(wall int64) time.Duration {
	off := time.Duration(wall-int64(g.phase)) % g.every
	if off < 0 {
		off += g.every
	}
	return off
}

// next returns when to poll after the poll that was due at last, and how many
// polls before it cannot be made any more because now is too late.
//
// It counts on the monotonic clock and moves toward the grid by at most a tenth
// of the interval: so a step of the wall clock neither skips nor doubles a poll.
func (g grid) next(last time.Time, now instant) (at time.Time, skipped int) {
	at = last.Add(g.every)
	wall := now.wall + int64(at.Sub(now.Time)) // at's time as the clock is set now
	off := g.off(wall)
	if off > g.every/2 {
		off -= g.every
	}
	at = at.Add(-max(-g.every/10, min(off, g.every/10)))
	if late := now.Sub(at); late >= 0 {
		skipped = int(late/g.every) + 1
		at = at.Add(time.Duration(skipped) * g.every)
	}
	return at, skipped
}
