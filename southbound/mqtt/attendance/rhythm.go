package attendance

import "time"

// What a rhythm is and what it allows.
const (
	// leastGaps are the pauses that make a rhythm.
	leastGaps = 20
	// patience is how often the longest pause may pass.
	patience = 3
	// LeastQuiet is the shortest silence of a sensor with a rhythm that is told.
	LeastQuiet = 10 * time.Minute
	// Day is the silence that is told of a sensor without a rhythm.
	Day = 24 * time.Hour
	// burst is how long messages count as one: a device that has a topic for each of
	// its values speaks of all at once.
	burst = time.Second
)

// The pauses are kept as the longest of each ten, to be small: those of the last
// hundred, and of the ten that are going on.
const (
	inBlock = 10
	blocks  = 11
)

// Rhythm is how often a sensor speaks. The zero Rhythm knows nothing.
type Rhythm struct {
	beat    time.Time // the first message of the last burst
	gaps    uint32
	longest [blocks]uint32 // ms, of ten pauses each, around
}

// Heard takes a message. Its time must be of the monotonic clock, as that of
// [time.Now] is: else a clock that is set would be a pause.
func (r *Rhythm) Heard(at time.Time) {
	if r.beat.IsZero() {
		r.beat = at
		return
	}
	gap := at.Sub(r.beat)
	if gap < burst {
		return
	}
	r.beat = at
	r.take(gap)
}

func (r *Rhythm) take(gap time.Duration) {
	block := &r.longest[r.gaps/inBlock%blocks]
	if r.gaps%inBlock == 0 {
		*block = 0
	}
	*block = max(*block, uint32(min(gap.Milliseconds(), 1<<32-1)))
	r.gaps++
}

// Longest returns the longest of the last pauses, a hundred or a few more; ok is
// false while there were too few to speak of a rhythm.
func (r *Rhythm) Longest() (longest time.Duration, ok bool) {
	most := uint32(0)
	for _, ms := range r.longest {
		most = max(most, ms)
	}
	return time.Duration(most) * time.Millisecond, r.gaps >= leastGaps
}

// Allowed returns how long the sensor may be silent before that is worth a word.
func (r *Rhythm) Allowed() time.Duration {
	longest, ok := r.Longest()
	if !ok {
		return Day
	}
	return max(LeastQuiet, patience*longest)
}

// Pause lets the next message begin a burst without a pause before it: nobody
// listened meanwhile.
func (r *Rhythm) Pause() { r.beat = time.Time{} }

// recalled returns a rhythm of which only so much is known.
func recalled(gaps uint32, longest time.Duration) Rhythm {
	r := Rhythm{gaps: min(gaps, inBlock*(blocks-1))}
	if r.gaps > 0 {
		r.longest[(r.gaps-1)/inBlock] = uint32(min(longest.Milliseconds(), 1<<32-1))
	}
	return r
}
