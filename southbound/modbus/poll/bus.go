package poll

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/grid"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/turn"
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
	Spec        spec.Bus // not changed
	link        wire.Carrier
	client      *wire.Client
	others      []*wire.Client // for pipeline
	timer       *pause.Timer
	pulse       bridge.Pulse
	turn        *turn.Place                        // among the buses that are due at one moment; nil waits for none
	learn       func(device string, l plan.Learnt) // keeps what was learnt
	errands     chan errand
	connections int64         // that the link made so far
	ran         bool          // the last thing done was an errand
	ended       chan struct{} // closed when run returns

	devices []*Device
	jobs    []*job
	budget  time.Time // the line has made up for silence; see silence

	account
	tender  tender
	pulses  pulses
	pending pending
	poke    chan struct{} // receives when something is pending
}

// pending is what devices a bus should poll.
type pending struct {
	mu      sync.Mutex
	devices []*Device // guarded by mu; nil if nothing changes
}

// NewBus returns a bus that makes its connections by dial and tells learn what it
// learnt of a device, and fell that a pulse has ended; both are called on the bus's
// goroutine, which they must not hold up. It starts nothing.
func NewBus(spec spec.Bus, dial func(context.Context) (wire.Stream, error), log *slog.Logger,
	learn func(device string, l plan.Learnt), fell func(device, point string)) *Bus {
	b := &Bus{Spec: spec, account: account{log: log.With("bus", spec.Name)}, learn: learn,
		errands: make(chan errand), ended: make(chan struct{}), poke: make(chan struct{}, 1)}
	b.tender.bus, b.pulses.bus, b.pulses.fell = b, b, fell
	b.Watched(nil)
	b.link = spec.Link(b.tender.counted(dial))
	b.client = wire.NewClient(b.link)
	for range spec.Pipeline - 1 {
		b.others = append(b.others, wire.NewClient(b.link))
	}
	for _, c := range append(b.others, b.client) {
		c.Before(b.asks)
	}
	return b
}

// Watched has the bus tell p that its loop turns. It is called before Run.
func (b *Bus) Watched(p bridge.Pulses) { b.pulse = p.Of("bus " + b.Spec.Name) }

// InLine has the bus wait for its turn in l, where its devices are fast enough not to
// hold others up. It is called before Run.
func (b *Bus) InLine(l *turn.Line) { b.turn = l.Place(b.wake) }

// turnTime is how long the bus may take for what it does by itself between two
// requests, on a machine that is busy.
const turnTime = time.Minute

// asks says that a request begins that may take so long, once there is a connection.
func (b *Bus) asks(most time.Duration) {
	b.pulse.Within(b.Spec.ConnectTimeout + b.Spec.ConnectDelay + 2*most + turnTime)
}

// Set makes devices what the bus polls, soon. Those that it has already keep
// their timers. It is safe for concurrent use.
func (b *Bus) Set(devices []*Device) {
	b.pending.mu.Lock()
	b.pending.devices = devices
	b.pending.mu.Unlock()
	b.wake()
}

// SetOff switches all writes off or on that nobody makes by hand: when it is off,
// stop values are written within a second, then nothing. It is safe for concurrent
// use.
func (b *Bus) SetOff(off bool) {
	switch now := time.Now(); {
	case !off:
		b.tender.off.Store(nil)
	case !b.tender.isOff():
		b.tender.off.Store(&now)
	}
	b.wake()
}

// wake has the bus look what is to be done.
func (b *Bus) wake() {
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// Run polls until ctx ends.
func (b *Bus) Run(ctx context.Context, emit bridge.Emit) {
	b.timer = pause.NewTimer(0)
	defer b.timer.Stop()
	defer b.link.Close()
	defer close(b.ended)
	defer b.turn.Leave()
	defer b.pulse.End()
	for ctx.Err() == nil {
		b.pulse.Within(turnTime)
		b.adopt(time.Now(), emit)
		b.paces(time.Now())
		b.release(time.Now(), emit)
		if b.pulses.fall(ctx) {
			continue
		}
		d, j := b.probeDue(time.Now()), b.earliest()
		if b.tender.turn(ctx, b.tender.ahead(d, j)) || b.errand(ctx) {
			continue
		}
		if d != nil {
			b.probe(ctx, d)
		} else if j != nil && (!j.fast() || b.turn.Take(len(j.queue))) {
			b.step(ctx, j, emit)
		} else {
			b.wait(ctx)
		}
	}
	b.pulse.Within(closeRest + lastRest + turnTime)
	for _, j := range b.jobs {
		j.flush(emit)
	}
	b.pulses.close(ctx)
	b.tender.close(ctx)
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
		b.tender.before(ctx)
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
	before, had := b.jobs, b.devices
	b.devices, b.jobs = devices, nil
	b.tender.adopt(had, now)
	b.pulses.adopt(now)
	for _, d := range devices {
		for _, j := range d.jobs {
			if kept[d] {
				j.next = j.grid.First(grid.InstantOf(now))
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
func (b *Bus) release(now time.Time, emit bridge.Emit) {
	for _, j := range b.jobs {
		if j.active && j.starves(now) {
			j.overdue(now, emit)
		}
		if now.Before(j.next) {
			continue
		}
		if j.waiting {
			j.abandon(now, j.device.reason, emit) // there was no time for another try
			b.finish(j, emit)
		}
		late := 0
		due := j.next
		j.next, late = j.grid.Next(due, grid.InstantOf(now))
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

// earliest returns the job with the earliest deadline, nil if none is due. One that
// waits is not due while others are.
func (b *Bus) earliest() *job {
	var first *job
	for _, j := range b.jobs {
		if j.active && !j.waiting && (first == nil || j.deadline.Before(first.deadline)) {
			first = j
		}
	}
	if first == nil {
		return b.another(time.Now())
	}
	return first
}

// wait waits until something is due.
func (b *Bus) wait(ctx context.Context) {
	b.turn.Pass()
	now := time.Now()
	until := now.Add(time.Hour)
	for _, at := range [...]time.Time{b.paces(now), b.tender.next(), b.pulses.next()} {
		if !at.IsZero() && at.Before(until) {
			until = at
		}
	}
	missed := false
	for _, j := range b.jobs {
		if j.next.Before(until) {
			until = j.next
		}
		if at := j.starving(); j.active && at.Before(until) {
			until = at
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
	b.link.Rest()
	b.timer.Reset(until.Sub(now))
	b.pulse.Within(until.Sub(now) + turnTime)
	select {
	case <-ctx.Done():
	case e := <-b.errands:
		b.pulse.Within(turnTime)
		b.ran = true
		b.tender.before(ctx)
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
