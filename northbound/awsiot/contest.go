package awsiot

import "time"

const (
	// contestCount is how many connections that worked must end alike until it is
	// told: two or three are a cloud or a router that restarts.
	contestCount = 4
	// contestBrief is the longest that such a connection lasts: two gateways with one
	// client id throw one another out at each attempt.
	contestBrief = 5 * time.Minute
	// contestMemory is how long an end counts.
	contestMemory = 10 * time.Minute
)

// contest notices that the cloud ends one connection after another without a
// word, though each works. A broker that tells nobody of a takeover (AWS does, by
// DISCONNECT 0x8E) looks like this when two gateways use one client id. It never
// makes the gateway wait: what stands between may be to blame, too.
type contest struct{ ends []time.Time }

// ended notes the end of a connection that had been up for so long.
func (c *contest) ended(now time.Time, up time.Duration, worked, dropped bool) {
	if !worked || !dropped || up > contestBrief {
		c.ends = c.ends[:0]
		return
	}
	if len(c.ends) > 0 && now.Sub(c.ends[len(c.ends)-1]) > contestMemory {
		c.ends = c.ends[:0]
	}
	if c.ends = append(c.ends, now); len(c.ends) > 100 {
		c.ends = c.ends[1:]
	}
}

// now returns how many ended alike, and since when; 0 if there is nothing to tell.
func (c *contest) now(now time.Time) (count int, since time.Time) {
	if len(c.ends) < contestCount || now.Sub(c.ends[len(c.ends)-1]) > contestMemory {
		return 0, time.Time{}
	}
	return len(c.ends), c.ends[0]
}
