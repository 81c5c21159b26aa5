// Package pause is how the house waits: timers that cost few wake-ups, a sleep that
// ends with its context, and pauses that grow from attempt to attempt.
package pause

import (
	"context"
	"math/rand/v2"
	"time"
)

// Sleep waits for d, or until ctx ends, and reports whether the whole time
// passed.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Growing is a pause that doubles with every attempt, from Least to Most. Its
// zero value does not wait. One owner; not safe for concurrent use.
type Growing struct {
	Least, Most time.Duration
	limit       time.Duration // of the last pause; 0 before the first
}

// Next returns the next pause.
func (g *Growing) Next() time.Duration {
	g.limit = min(max(2*g.limit, g.Least), g.Most)
	return g.limit
}

// Jittered returns the next pause, at random between a tenth of Least and the
// whole (full jitter): many who wait for one thing do not come back together.
func (g *Growing) Jittered() time.Duration {
	limit := g.Next()
	return min(g.Least/10+rand.N(limit+1), limit)
}

// Last returns what Next returned last; 0 before the first and after Reset.
func (g *Growing) Last() time.Duration { return g.limit }

// Reset begins anew: it worked.
func (g *Growing) Reset() { g.limit = 0 }
