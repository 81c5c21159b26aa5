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
	// coming back at once would throw that one out, and so on.
	takeoverPause = 30 * time.Second
)

// backoff says when to connect next: exponential from min to max with full
// jitter, and with a memory over connections that did not last.
type backoff struct {
	attempt int
	last    time.Time     // the last CONNECT, or when a process before us may have sent one
	floor   time.Duration // least wait for the next attempt
}

// next returns how long to wait before the next CONNECT.
func (b *backoff) next(cfg Backoff, now time.Time) time.Duration {
	wait := time.Duration(0)
	if b.attempt > 0 {
		limit := cfg.Max.D()
		if shift := b.attempt - 1; shift < 30 {
			limit = min(limit, cfg.Min.D()<<shift)
		}
		wait = rand.N(limit + 1)
	}
	wait = max(wait, b.floor)
	if !b.last.IsZero() {
		wait = max(wait, connectPause-now.Sub(b.last))
	}
	return max(wait, 0)
}

// connecting notes that a CONNECT is about to be sent.
func (b *backoff) connecting(now time.Time) {
	b.last = now
	b.attempt++
	b.floor = 0
}

// ended notes how a connection went that was up.
func (b *backoff) ended(up time.Duration, acknowledged, takenOver bool) {
	if up >= healthyAfter && acknowledged {
		b.attempt = 1
	}
	if takenOver {
		b.floor = takeoverPause
	}
}
