package terms

import (
	"math"
	"time"
)

// What a block of readings takes on the disk, with the pages of its segment, in
// bytes: measured with 1 to 20 devices of 3 to 40 points, a third each noisy float32,
// integer and bool, in blocks of 3 to 24,000 readings; at most half of it too much.
const (
	blockTakes = 450
	firstTake  = 4 // a reading, of the first thousand
	laterTakes = 2
	first      = 1000
)

// Lasts returns how long free bytes on the disk last while there is no connection and
// so many readings come a second: about, and rather too short; 0 if none come. Older
// readings may be dropped before ([Config.MaxAge]).
func (c *Config) Lasts(readings float64, free int64) time.Duration {
	every := c.CommitWithin(false)
	if readings <= 0 || free <= 0 {
		return 0
	}
	every = max(every, time.Duration(float64(time.Second)/readings)) // no block is empty
	n := readings * every.Seconds()
	block := blockTakes + firstTake*min(n, first) + laterTakes*max(n-first, 0)
	seconds := float64(free) / block * every.Seconds()
	return time.Duration(min(seconds*1e9, float64(math.MaxInt64/2))).Round(time.Second)
}

const (
	// aggregateTakes is what a reading of an aggregate takes on the disk, restTakes one that
	// is not thinned in the file that was, in bytes.
	aggregateTakes = 6
	restTakes      = 4
	// detail is how many segments keep their detail: they are thinned from then on.
	detail = 3
)

// Thinned is [Config.Offline] of readings that are thinned: aggregates are left of them, so
// many readings a second, and rest stay as they are. It is never shorter than lasts, that
// without thinning.
func (c *Config) Thinned(lasts time.Duration, aggregates, rest float64) (thinned time.Duration, byAge bool) {
	takes := aggregates*aggregateTakes + rest*restTakes
	seconds := float64(int64(c.MaxSize)-detail*c.Segment()) / takes
	thinned = max(lasts, time.Duration(min(seconds*1e9, float64(math.MaxInt64/2))).Round(time.Second))
	if age := c.MaxAge.D(); age > 0 && thinned > age {
		return age, true
	}
	return thinned, false
}

// Offline is [Config.Lasts] with max_age: how long the connection may be away before
// the first reading is dropped, and which of both ends it.
func (c *Config) Offline(readings float64, free int64) (lasts time.Duration, byAge bool) {
	lasts = c.Lasts(readings, free)
	if age := c.MaxAge.D(); age > 0 && lasts > age {
		return age, true
	}
	return lasts, false
}
