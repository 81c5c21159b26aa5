package poll

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// Bus polls the devices of one line or connection. Its goroutine owns all but
// what is marked.
//
// It works by the earliest deadline: each device and interval is a [job] that
// becomes due on its grid; of those that are due, the one that must be done
// first gets the next request. A cycle that is not done when its next is due is
// late: the next one is left out.
type Bus struct {
	Spec    BusSpec // not changed
	link    wire.Carrier
	client  *wire.Client
	others  []*wire.Client // for pipeline
	timer   *time.Timer
	learn   func(device string, l plan.Learnt) // keeps what was learnt
	errands chan errand
	ran     bool          // the last thing done was an errand
	ended   chan struct{} // closed when run returns

	devices []*Device
	jobs    []*job
	budget  time.Time // sick devices are not probed before, unless all are sick

	account
	pending pending
	poke    chan struct{} // receives when something is pending
}

// pending is what devices a bus should poll.
type pending struct {
	mu      sync.Mutex
	devices []*Device // guarded by mu; nil if nothing changes
}

// NewBus returns a bus that makes its connections by dial and tells learn what it
// learnt of a device; learn is called on the bus's goroutine, which it must not
// hold up. It starts nothing.
func NewBus(spec BusSpec, dial func(context.Context) (wire.Stream, error), log *slog.Logger,
	learn func(device string, l plan.Learnt)) *Bus {
	link := spec.Link(dial)
	var others []*wire.Client
	for range spec.Pipeline - 1 {
		others = append(others, wire.NewClient(link))
	}
	return &Bus{Spec: spec, account: account{log: log.With("bus", spec.Name)},
		link: link, client: wire.NewClient(link), others: others, learn: learn,
		errands: make(chan errand), ended: make(chan struct{}), poke: make(chan struct{}, 1)}
}

// Set makes devices what the bus polls, soon. Those that it has already keep
// their timers. It is safe for concurrent use.
func (b *Bus) Set(devices []*Device) {
	b.pending.mu.Lock()
	b.pending.devices = devices
	b.pending.mu.Unlock()
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// Run polls until ctx ends.
func (b *Bus) Run(ctx context.Context, emit bridge.Emit) {
	b.timer = time.NewTimer(0)
	defer b.timer.Stop()
	defer b.link.Close()
	defer close(b.ended)
	for ctx.Err() == nil {
		b.adopt(time.Now(), emit)
		b.paces(time.Now())
		b.release(time.Now())
		if b.errand(ctx) {
			continue
		}
		if d := b.probeDue(time.Now()); d != nil {
			b.probe(ctx, d)
		} else if j := b.earliest(); j != nil {
			b.step(ctx, j, emit)
		} else {
			b.wait(ctx)
		}
	}
	for _, j := range b.jobs {
		j.flush(emit)
	}
}

// errand does one that waits, a write for instance, and reports whether there
// was one. A read that is due comes between two.
func (b *Bus) errand(ctx context.Context) bool {
	if b.ran && b.earliest() != nil {
		b.ran = false
		return false
	}
	select {
	case e := <-b.errands:
		b.ran = true
		e.run(ctx, b)
		return true
	default:
		return false
	}
}

// adopt takes over the devices that set left.
func (b *Bus) adopt(now time.Time, emit bridge.Emit) {
	b.pending.mu.Lock()
	devices := b.pending.devices
	b.pending.devices = nil
	b.pending.mu.Unlock()
	if devices == nil {
		return
	}
	kept := make(map[*Device]bool)
	for _, d := range devices {
		kept[d] = true
	}
	for _, d := range b.devices {
		if kept[d] {
			kept[d] = false // nothing to begin
			continue
		}
		for _, j := range d.jobs {
			j.flush(emit)
		}
	}
	before := b.jobs
	b.devices, b.jobs = devices, nil
	for _, d := range devices {
		for _, j := range d.jobs {
			if kept[d] {
				j.next = j.grid.first(instantOf(now))
				if j.every >= slowPoll {
					j.begin(now)
				}
			}
			b.jobs = append(b.jobs, j)
		}
	}
	b.keepAsked(before)
}

// slowPoll is an interval at which a first value is wanted before the grid
// comes round.
const slowPoll = 10 * time.Second

// release begins the cycles that are due.
func (b *Bus) release(now time.Time) {
	for _, j := range b.jobs {
		if now.Before(j.next) {
			continue
		}
		late := 0
		due := j.next
		j.next, late = j.grid.next(due, instantOf(now))
		if j.active {
			late++
		} else {
			j.begin(due)
		}
		b.late.Add(uint64(late))
	}
	if b.down.reason != 0 && !now.Before(b.down.until) {
		b.again(now)
	}
}

// resume begins the cycles that were missed while there was no connection.
func (b *Bus) resume(now time.Time) {
	for _, d := range b.devices {
		d.survey.renew() // another device may be there now
	}
	for _, j := range b.jobs {
		if j.missed && !j.active {
			j.begin(now)
		}
	}
}

// again begins one cycle that was missed while the bus was down, to see whether
// it still is.
func (b *Bus) again(now time.Time) {
	for _, j := range b.jobs {
		if j.active {
			return
		}
	}
	for _, j := range b.jobs {
		if j.missed && !j.device.sick {
			j.begin(now)
			return
		}
	}
}

// earliest returns the job with the earliest deadline, nil if none is due.
func (b *Bus) earliest() *job {
	var first *job
	for _, j := range b.jobs {
		if j.active && (first == nil || j.deadline.Before(first.deadline)) {
			first = j
		}
	}
	return first
}

// wait waits until something is due.
func (b *Bus) wait(ctx context.Context) {
	now := time.Now()
	until := now.Add(time.Hour)
	if at := b.paces(now); !at.IsZero() && at.Before(until) {
		until = at
	}
	missed := false
	for _, j := range b.jobs {
		if j.next.Before(until) {
			until = j.next
		}
		missed = missed || j.missed && !j.device.sick
	}
	if b.down.reason != 0 && missed && b.down.until.Before(until) {
		until = b.down.until
	}
	if at := b.nextProbe(); !at.IsZero() {
		if d, _ := b.sickest(); !at.After(now) {
			at = at.Add(d.pause.Last()) // there was no time; see probeDue
		}
		if at.Before(until) {
			until = at
		}
	}
	if b.Spec.IdleClose > 0 && b.link.Connected() {
		idle := b.used.Add(b.Spec.IdleClose)
		if !now.Before(idle) {
			b.link.Drop()
		} else if idle.Before(until) {
			until = idle
		}
	}
	b.timer.Reset(until.Sub(now))
	select {
	case <-ctx.Done():
	case e := <-b.errands:
		b.ran = true
		e.run(ctx, b)
	case <-b.poke:
	case <-b.timer.C:
	}
}

// Status returns how the bus is doing. It is safe for concurrent use.
func (b *Bus) Status() BusStatus {
	s := b.account.Status()
	s.Strays = b.link.Strays()
	return s
}
