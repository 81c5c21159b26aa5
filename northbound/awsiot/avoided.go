package awsiot

import (
	"sync"
	"time"

	"fieldbridge/condition"
)

// avoided keeps the readings flowing where the cloud ends the connection because
// of our filters, as AWS may for what a Region does not have: after two in a row
// they are left out for a while.
type avoided struct {
	mu    sync.Mutex
	cuts  int       // guarded by mu; connections in a row that ended while subscribing
	until time.Time // guarded by mu
}

const (
	avoidAfter = 2
	avoidFor   = time.Hour
)

func (a *avoided) over(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !now.Before(a.until)
}

// note takes in whether a connection was cut while subscribing, and reports
// whether the filters are left out from now on.
func (a *avoided) note(cut bool, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !cut {
		a.cuts = 0
		return false
	}
	if a.cuts++; a.cuts < avoidAfter {
		return false
	}
	a.cuts, a.until = 0, now.Add(avoidFor)
	return true
}

// condition tells that executions are left out; false is that they are not.
func (a *avoided) condition(now time.Time) (condition.Condition, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return condition.ExecutionsAvoided.At("commands", a.until.Add(-avoidFor)), now.Before(a.until)
}
