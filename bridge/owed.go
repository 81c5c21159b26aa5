package bridge

import (
	"context"
	"sync"
	"time"
)

// owed are the messages whose outcome a link owes. A link ends by itself when an
// acknowledgement does not come in time; but an outcome that is lost on the way,
// by a fault of a library or of the other side, is waited for by nobody there.
// Here it is: no wait without a bound.
type owed struct {
	mu   sync.Mutex
	last uint64               // guarded by mu; the number of the last message
	at   map[uint64]time.Time // guarded by mu; when it was sent, by number
}

// sent notes a message and returns its number.
func (o *owed) sent(now time.Time) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at == nil {
		o.at = make(map[uint64]time.Time)
	}
	o.last++
	o.at[o.last] = now
	return o.last
}

// came notes an outcome.
func (o *owed) came(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.at, number)
}

// oldest returns when the message was sent that waits longest; now if none does.
func (o *owed) oldest(now time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.at {
		if at.Before(now) {
			now = at
		}
	}
	return now
}

// watch gives link up when an outcome is owed for twice as long as it may take;
// it returns when ctx ends. A message that waits for its place in the window
// counts as well: one that is never free is what a lost outcome looks like.
func (o *owed) watch(ctx context.Context, link Link) {
	limit := 2 * link.Limits().Answer
	if limit == 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		left := limit - now.Sub(o.oldest(now))
		if left <= 0 {
			link.GiveUp()
			left = limit
		}
		timer.Reset(left)
	}
}
