package pause

import (
	"container/heap"
	"sync"
	"time"
)

// clock is many alarms on one timer of the kernel's. It is safe for concurrent use.
type clock struct {
	mu    sync.Mutex
	due   alarms    // guarded by mu
	looks alarms    // guarded by mu: those that come along with others, a few
	armed time.Time // guarded by mu: when the kernel's timer goes off; zero is never
	arm   func(time.Duration)
}

// alarm is something to be said or done at a moment. The clock owns it.
type alarm struct {
	at    time.Time
	every time.Duration // of a look: it comes again and again, up to half as late
	place int           // in due or in looks, -1 for none
	over  chan time.Time
	f     func()
}

// set has a go off after d, and not when it was to before.
func (c *clock) set(a *alarm, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(a)
	now := time.Now()
	if a.at = now.Add(d); d <= 0 && a.f == nil {
		a.over <- now // it has room: remove made it
		return
	}
	if a.every > 0 {
		c.looks.Push(a)
	} else {
		heap.Push(&c.due, a)
	}
	c.next(now)
}

// stop has a not go off, and reports whether it was to.
func (c *clock) stop(a *alarm) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.remove(a)
	c.next(time.Now())
	return was
}

// remove takes a out, and what it had to say back.
func (c *clock) remove(a *alarm) bool {
	select {
	case <-a.over: // nil where f is
	default:
	}
	if a.place < 0 {
		return false
	}
	if a.every > 0 {
		c.looks.Swap(a.place, len(c.looks)-1)
		c.looks.Pop()
	} else {
		heap.Remove(&c.due, a.place)
	}
	return true
}

// next sets the kernel's timer to what is due first. A look is waited for only until
// it is half of its interval late.
func (c *clock) next(now time.Time) {
	var first time.Time
	if len(c.due) > 0 {
		first = c.due[0].at
	}
	for _, a := range c.looks {
		if late := a.at.Add(a.every / 2); first.IsZero() || late.Before(first) {
			first = late
		}
	}
	if !first.IsZero() && !first.Equal(c.armed) {
		c.armed = first
		c.arm(max(first.Sub(now), 1)) // 0 would be never
	}
}

// ring does what is due now that the kernel's timer went off.
func (c *clock) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = time.Time{}
	now := time.Now()
	for len(c.due) > 0 && !c.due[0].at.After(now) {
		a := heap.Pop(&c.due).(*alarm)
		if a.f != nil {
			go a.f()
		} else {
			a.over <- now
		}
	}
	for _, a := range c.looks {
		if a.at.After(now) {
			continue
		}
		a.at = now.Add(a.every)
		select {
		case a.over <- now:
		default: // the last look goes on
		}
	}
	c.next(now)
}

// alarms are a heap, the next one first.
type alarms []*alarm

func (s alarms) Len() int           { return len(s) }
func (s alarms) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s alarms) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

func (s *alarms) Push(x any) {
	a := x.(*alarm)
	a.place = len(*s)
	*s = append(*s, a)
}

func (s *alarms) Pop() any {
	last := len(*s) - 1
	a := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	a.place = -1
	return a
}
