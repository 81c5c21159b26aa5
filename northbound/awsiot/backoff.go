package awsiot

import (
	"math/rand/v2"
	"time"
)

const (
	// connectPause is the least time between two CONNECTs: AWS takes one per
	// second and client id.
	connectPause = 1100 * time.Millisecond
	// healthyAfter is how long a connection must be up, with a message
	// acknowledged, until earlier failures are forgotten.
	healthyAfter = 30 * time.Second
	// takeoverPause is the least wait after another client took over ours:
	// coming back at once would throw that one out, and so on. It doubles each
	// time up to mostTakeover, so that two gateways with one identity do not keep
	// each other from working.
	takeoverPause = 30 * time.Second
	mostTakeover  = 15 * time.Minute
	// lostSpread times backoff.min is the longest wait after a connection was
	// lost. A whole fleet may have lost its connections at the same moment, and
	// AWS takes 500 CONNECTs per second and account (a default, less in small
	// regions): 2,000 gateways come back at 250 per second, half of that.
	lostSpread = 8
)

// backoff says when to connect next: exponential from min to max with full
// jitter, and with a memory over connections that did not last. The first attempt
// after a start comes within min: after a power cut many start at once, too, but
// not within the same second, and someone may stand in front of this one.
type backoff struct {
	attempt int
	lost    bool          // a connection, and no attempt has been made since
	last    time.Time     // the last CONNECT, or when a process before us may have sent one
	floor   time.Duration // least wait for the next attempt
	taken   time.Duration // the floor after the last takeover; 0 if that was long ago
}

// next returns how long to wait before the next CONNECT.
func (b *backoff) next(cfg Backoff, now time.Time) time.Duration {
	limit := cfg.Max.D()
	if shift := max(b.attempt-1, 0); shift < 30 {
		limit = min(limit, cfg.Min.D()<<shift)
	}
	if b.lost {
		limit = min(max(limit, lostSpread*cfg.Min.D()), cfg.Max.D())
	}
	wait := max(rand.N(limit+1), b.floor)
	if !b.last.IsZero() {
		wait = max(wait, connectPause-now.Sub(b.last))
	}
	return max(wait, 0)
}

// connecting notes that a CONNECT is about to be sent.
func (b *backoff) connecting(now time.Time) {
	b.last = now
	b.attempt++
	b.floor, b.lost = 0, false
}

// ended notes how a connection went that was up; ours says that we ended it.
func (b *backoff) ended(up time.Duration, acknowledged, takenOver, ours bool) {
	b.lost = !ours
	if up >= healthyAfter && acknowledged {
		b.attempt = 1
	}
	if up >= cloneAlarm {
		b.taken = 0
	}
	if takenOver {
		b.taken = min(max(2*b.taken, takeoverPause), mostTakeover)
		b.floor = b.taken
		if b.taken > takeoverPause {
			b.floor += rand.N(takeoverPause) // the other one counts, too
		}
	}
}
