// Package shed keeps the gateway alive where memory is short: near its limit it gives up
// what only people look at, says so, and takes it back when there is room.
//
// What is kept to be delivered is none of that: the queue has a share of its own.
package shed

import (
	"context"
	"time"

	"fieldbridge/budget"
	"fieldbridge/condition"
	"fieldbridge/pause"
)

// Holder keeps something that the gateway can do without.
type Holder interface {
	// Shed gives that up, and keeps little of it until Regain. It does not wait, and
	// returns how many bytes that gives, about. It may be called several times in a row.
	Shed() (bytes int64)
	// Regain ends what Shed began.
	Regain()
}

const (
	// every is how often memory is looked at.
	every = 2 * time.Second
	// Of the limit, in eighths: where it is short, and where what was given up would have
	// room again.
	shortAbove = 7
	roomBelow  = 6
	// calm is how long there must be room, again how long after it the rest is tried.
	calm  = time.Minute
	again = 30 * time.Second
	// worthCollecting is what must have been given up for a collection of its own.
	worthCollecting = 1 << 20
)

// Watch looks at the memory. Its fields are set before [Watch.Run].
type Watch struct {
	Holders []Holder
	Measure func() budget.Use
	Collect func() // gives what is free back to the machine

	short bool      // it is; of Run's goroutine, as all below
	given int64     // bytes, the most at a time
	shed  time.Time // last
	since time.Time // there is room; zero: there is none

	list condition.List
}

// subject is what the condition is of.
const subject = "memory"

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	look := pause.NewLook(every)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			w.look()
		}
	}
}

func (w *Watch) look() {
	u := w.Measure()
	switch {
	case u.Above(shortAbove):
		w.since = time.Time{}
		w.list.Raise(condition.MemoryTight, subject, u.Bytes>>20, u.Limit>>20, u.Of)
		if !w.short || time.Since(w.shed) >= again {
			w.give()
		}
	case !w.short:
	case budget.Use{Bytes: u.Bytes + w.given, Limit: u.Limit}.Above(roomBelow):
		w.since = time.Time{}
	case w.since.IsZero():
		w.since = time.Now()
	case time.Since(w.since) >= calm:
		w.take()
	}
}

// give has all give up what they can.
func (w *Watch) give() {
	given := int64(0)
	for _, h := range w.Holders {
		given += h.Shed()
	}
	w.given = max(w.given, given)
	w.short, w.shed = true, time.Now()
	if given >= worthCollecting { // it stops all for a moment, when there is the least time for it
		w.Collect()
	}
}

// take lets all have what they gave up.
func (w *Watch) take() {
	for _, h := range w.Holders {
		h.Regain()
	}
	w.short, w.given, w.since = false, 0, time.Time{}
	w.list.Clear(condition.MemoryTight, subject)
}

// Health implements [condition.Reporter].
func (w *Watch) Health() []condition.Condition { return w.list.Health() }
