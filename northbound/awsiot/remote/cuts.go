package remote

import (
	"sync"
	"time"

	"fieldbridge/condition"
)

// cuts keeps the readings flowing where the cloud ends the connection because
// of our filters, as AWS may for what a Region does not have: after two in a row
// they are left out for a while.
type cuts struct {
	mu    sync.Mutex
	inRow int       // guarded by mu; connections in a row that ended while subscribing
	until time.Time // guarded by mu
}

const (
	cutsAllowed = 2
	leaveOutFor = time.Hour
)

// allow reports whether the filters may be subscribed to.
func (c *cuts) allow(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !now.Before(c.until)
}

// note takes in whether a connection was cut while subscribing.
func (c *cuts) note(cut bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !cut {
		c.inRow = 0
		return
	}
	if c.inRow++; c.inRow == cutsAllowed {
		c.inRow, c.until = 0, now.Add(leaveOutFor)
	}
}

// condition tells that executions are left out; false is that they are not.
func (c *cuts) condition(now time.Time) (condition.Condition, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return condition.ExecutionsAvoided.At("commands", c.until.Add(-leaveOutFor)), now.Before(c.until)
}
