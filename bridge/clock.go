package bridge

import (
	"sync/atomic"
	"time"
)

// Clock knows whether the wall clock is right. It asks the kernel at most once
// in 5 s. The zero value is ready to use, from any goroutine.
type Clock struct {
	asked  atomic.Int64 // time.Since(clockStart) of the last question, in ns
	synced atomic.Bool
}

var clockStart = time.Now()

// askClock is how old the kernel's answer may be: each question wakes the monitor of
// Go's scheduler, which looks around for a while.
const askClock = 5 * time.Second

// Synced reports whether the kernel says that the wall clock is synchronised
// (adjtimex). A gateway without a time source runs, but its messages say so.
func (c *Clock) Synced() bool {
	now, last := int64(time.Since(clockStart)), c.asked.Load()
	if last == 0 || now-last > int64(askClock) {
		c.asked.Store(now)
		c.synced.Store(kernelSynced())
	}
	return c.synced.Load()
}
