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
)

// backoff says when to try next: exponential from min to max with full jitter,
// and with a memory over connections that did not last. The first attempt after a
// start comes within min: after a power cut many start at once, too, but not
// within the same second, and someone may stand in front of this one. Attempts
// that did not reach the port do not count, see [attempt.reach].
type backoff struct {
	attempt int           // how many the cloud has refused, or ended soon
	lost    bool          // a connection, and no attempt has been made since
	away    bool          // the port did not answer to the last attempt
	own     bool          // ... for a reason of our own
	began   time.Time     // the last attempt
	last    time.Time     // the last CONNECT, or when a process before us may have sent one
	floor   time.Duration // least wait for the next attempt
	taken   time.Duration // the floor after the last takeover; 0 if that was long ago
}

// next returns how long to wait before the next attempt.
func (b *backoff) next(cfg Backoff, now time.Time) time.Duration {
	wait := knockPause() - now.Sub(b.began)
	if !b.away {
		limit := cfg.Max.D()
		if shift := max(b.attempt-1, 0); shift < 30 {
			limit = min(limit, cfg.Min.D()<<shift)
		}
		if b.lost {
			limit = max(limit, cfg.spread())
		}
		wait = max(rand.N(limit+1), b.floor)
	}
	if !b.last.IsZero() {
		wait = max(wait, connectPause-now.Sub(b.last))
	}
	return max(wait, 0)
}

// begin notes that an attempt begins.
func (b *backoff) begin(now time.Time) {
	b.began = now
	b.floor, b.lost = 0, false
}

// failed notes why an attempt failed.
func (b *backoff) failed(err error) {
	if b.away, b.own = portAway(err); !b.away {
		b.attempt++
	}
}

// ended notes how a connection went that was up; ours says that we ended it.
func (b *backoff) ended(up time.Duration, acknowledged, takenOver, ours bool) {
	b.attempt++
	b.away, b.lost = false, !ours
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
