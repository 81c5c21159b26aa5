package mqtt

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff spaces out attempts: each wait is random between nothing and a limit
// that doubles with every attempt (full jitter), so that many clients of one
// server don't come back together.
type backoff struct {
	least, most, limit time.Duration
}

func newBackoff(least, most time.Duration) *backoff { return &backoff{least, most, least} }

// next returns how long to wait.
func (b *backoff) next() time.Duration {
	d := b.least/10 + rand.N(b.limit)
	b.limit = min(2*b.limit, b.most)
	return d
}

func (b *backoff) reset() { b.limit = b.least }

// wait waits, or until ctx ends.
func (b *backoff) wait(ctx context.Context) {
	t := time.NewTimer(b.next())
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
