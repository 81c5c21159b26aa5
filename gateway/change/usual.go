package change

import (
	"context"
	"time"

	"fieldbridge/pause"
)

const (
	// readWithin is how long a trial waits for the first readings of what it is to be
	// compared with. Slow points are read at once, others within ten seconds.
	readWithin = 15 * time.Second
	readEvery  = 100 * time.Millisecond
)

// usual is how many points of each device were good before the last change.
type usual map[string]int

// of returns v with the good points as they are once all was read: a device that the
// last change began anew is as good as it was before.
func (u usual) of(v Vital) Vital {
	for device, unread := range v.Unread {
		if was := u[device]; was > v.Good[device] {
			v.Good[device] = min(was, v.Good[device]+unread)
		}
	}
	return v
}

// knows tells whether it is known of all devices how many points are good.
func (u usual) knows(v Vital) bool {
	for device := range v.Unread {
		if _, known := u[device]; !known {
			return false
		}
	}
	return true
}

// before returns how the gateway is before a change. For a trial it waits until each
// device was tried once, else a change that ends its readings would have nothing to
// lose. The end of ctx ends the wait, and is its error. The caller holds turn.
func (c *Changer) before(ctx context.Context, trial bool) (Vital, error) {
	v := c.o.Vital()
	for end := time.Now().Add(readWithin); trial && !c.usual.knows(v) && time.Now().Before(end); v = c.o.Vital() {
		if !pause.Sleep(ctx, readEvery) {
			return Vital{}, context.Cause(ctx)
		}
	}
	v = c.usual.of(v)
	c.usual = v.Good
	return v, nil
}
