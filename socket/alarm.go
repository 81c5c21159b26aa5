package socket

import "time"

// Alarm is a [time.Timer] that may be one of many on a timer of the kernel's, see
// [Alarms]. It is for one goroutine.
type Alarm struct {
	// C receives when the time has come.
	C <-chan time.Time

	own *time.Timer // without Alarms

	clock *Alarms
	rings chan time.Time // what C is
	at    time.Time      // guarded by the clock's mu; zero while it is not set
	place int            // guarded by the clock's mu; in its heap
}

// New returns an alarm that is not set. a may be nil: then it is a timer of Go's.
func (a *Alarms) New() *Alarm {
	if a == nil {
		t := time.NewTimer(time.Hour)
		t.Stop()
		return &Alarm{C: t.C, own: t}
	}
	rings := make(chan time.Time, 1)
	return &Alarm{C: rings, clock: a, rings: rings}
}

// Reset sets it to ring after d; C receives nothing of an earlier time any more.
func (t *Alarm) Reset(d time.Duration) {
	if t.own != nil {
		t.own.Reset(d)
		return
	}
	t.clock.set(t, time.Now().Add(d))
}

// Stop has it not ring; C receives nothing any more.
func (t *Alarm) Stop() {
	if t.own != nil {
		t.own.Stop()
		return
	}
	t.clock.set(t, time.Time{})
}

// alarms is a heap: the one that rings first is at its top.
type alarms []*Alarm

func (h alarms) Len() int           { return len(h) }
func (h alarms) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *alarms) Push(x any) {
	t := x.(*Alarm)
	t.place = len(*h)
	*h = append(*h, t)
}

// Pop implements [heap.Interface].
func (h *alarms) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
