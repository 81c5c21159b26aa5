package pause

import (
	"sync/atomic"
	"time"
)

// Timer is a [time.Timer], or an alarm of the kernel's where [Kernel] was called.
// One owner; not safe for concurrent use.
type Timer struct {
	C     <-chan time.Time // receives once when the time is over
	std   *time.Timer
	clock *clock
	alarm *alarm
}

// kernel is the clock in use, nil for Go's timers.
var kernel atomic.Pointer[clock]

// Kernel has the timers made from now on be one timer of the kernel's, and says why
// not if that cannot be. End has later ones be Go's again.
//
// Go's timers wake two threads: the one that works, up to a millisecond early and
// then again, and the scheduler's monitor, which looks around several times before
// it sleeps. A gateway that wakes a few times a second pays more for that than for
// its work. Within a bubble of testing/synctest Go's timers are the ones to have.
func Kernel() (end func(), err error) {
	c, err := newClock()
	if err != nil {
		return func() {}, err
	}
	kernel.Store(c)
	return func() { kernel.CompareAndSwap(c, nil) }, nil
}

// NewTimer returns a timer that is over after d.
func NewTimer(d time.Duration) *Timer {
	c := kernel.Load()
	if c == nil {
		t := time.NewTimer(d)
		return &Timer{C: t.C, std: t}
	}
	over := make(chan time.Time, 1)
	t := &Timer{C: over, clock: c, alarm: &alarm{over: over, place: -1}}
	c.set(t.alarm, d)
	return t
}

// Reset has the timer be over after d. What it had to say before is forgotten.
func (t *Timer) Reset(d time.Duration) {
	if t.std != nil {
		t.std.Reset(d)
		return
	}
	t.clock.set(t.alarm, d)
}

// Stop has the timer say nothing more.
func (t *Timer) Stop() {
	if t.std != nil {
		t.std.Stop()
		return
	}
	t.clock.stop(t.alarm)
}

// AfterFunc is [time.AfterFunc] by the clock in use: it calls f after d unless stop
// is called before, which reports whether it was. F must not wait for anything.
func AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c := kernel.Load()
	if c == nil {
		return time.AfterFunc(d, f).Stop
	}
	a := &alarm{f: f, place: -1}
	c.set(a, d)
	return func() bool { return c.stop(a) }
}

// Ticker is a [time.Ticker] for what need not be punctual.
type Ticker struct {
	C     <-chan time.Time
	std   *time.Ticker
	clock *clock
	alarm *alarm
}

// NewLook returns a ticker for a look at something about every so often. By the
// kernel's clock it ticks when something else wakes the process, up to half as late
// again, so that a look costs no wake-up of its own.
func NewLook(every time.Duration) *Ticker {
	c := kernel.Load()
	if c == nil {
		t := time.NewTicker(every)
		return &Ticker{C: t.C, std: t}
	}
	over := make(chan time.Time, 1)
	t := &Ticker{C: over, clock: c, alarm: &alarm{over: over, every: every, place: -1}}
	c.set(t.alarm, every)
	return t
}

// Stop has the ticker say nothing more.
func (t *Ticker) Stop() {
	if t.std != nil {
		t.std.Stop()
		return
	}
	t.clock.stop(t.alarm)
}
