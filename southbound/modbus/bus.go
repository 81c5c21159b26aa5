package modbus

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// bus polls the devices of one line or connection. Its goroutine owns all but
// what is marked.
//
// It works by the earliest deadline: each device and interval is a [job] that
// becomes due on its grid; of those that are due, the one that must be done
// first gets the next request. A cycle that is not done when its next is due is
// late: the next one is left out.
type bus struct {
	spec    busSpec
	log     *slog.Logger
	link    wire.Carrier
	client  *wire.Client
	others  []*wire.Client // for pipeline
	timer   *time.Timer
	learn   func(device string, l learnt) // keeps what was learnt
	errands chan errand
	ran     bool          // the last thing done was an errand
	ended   chan struct{} // closed when run returns

	devices []*device
	jobs    []*job
	down    down
	used    time.Time // the last request
	budget  time.Time // sick devices are not probed before, unless all are sick

	mu      sync.Mutex
	pending []*device     // guarded by mu; what devices should be; nil is no change
	poke    chan struct{} // receives when pending is set
	counts  counts        // atomic
	state   busState      // guarded by mu
}

// down is that there is no connection.
type down struct {
	reason bridge.Reason // ReasonUnknown while there is one, or none was tried
	until  time.Time     // when to try again
	pause  time.Duration
}

// busState is what others may know of a bus.
type busState struct {
	since  time.Time // when it went down; zero while it is up
	detail string
}

// counts are what a bus did since it started.
type counts struct {
	requests atomic.Uint64
	failures [256]atomic.Uint64 // by reason
	late     atomic.Uint64      // cycles
	busy     atomic.Int64       // ns of waiting for answers
}

// Pauses between attempts to connect.
const (
	minConnectPause = time.Second
	maxConnectPause = 10 * time.Second
)

func newBus(spec busSpec, dial dialFunc, log *slog.Logger, learn func(string, learnt)) *bus {
	link := newLink(spec, dial)
	var others []*wire.Client
	for range spec.pipeline - 1 {
		others = append(others, wire.NewClient(link))
	}
	return &bus{others: others, spec: spec, log: log.With("bus", spec.name), link: link, client: wire.NewClient(link), learn: learn,
		errands: make(chan errand), ended: make(chan struct{}), poke: make(chan struct{}, 1)}
}

// set makes devices what the bus polls, soon. Those that it has already keep
// their timers. It is safe for concurrent use.
func (b *bus) set(devices []*device) {
	b.mu.Lock()
	b.pending = devices
	b.mu.Unlock()
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// run polls until ctx ends.
func (b *bus) run(ctx context.Context, emit bridge.Emit) {
	b.timer = time.NewTimer(0)
	defer b.timer.Stop()
	defer b.link.Close()
	defer close(b.ended)
	for ctx.Err() == nil {
		b.adopt(time.Now(), emit)
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
func (b *bus) errand(ctx context.Context) bool {
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
func (b *bus) adopt(now time.Time, emit bridge.Emit) {
	b.mu.Lock()
	devices := b.pending
	b.pending = nil
	b.mu.Unlock()
	if devices == nil {
		return
	}
	kept := make(map[*device]bool)
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
}

// slowPoll is an interval at which a first value is wanted before the grid
// comes round.
const slowPoll = 10 * time.Second

// release begins the cycles that are due.
func (b *bus) release(now time.Time) {
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
		b.late(j, late)
	}
	if b.down.reason != 0 && !now.Before(b.down.until) {
		b.again(now)
	}
}

// late counts cycles that were not done in time, or left out because another
// was not.
func (b *bus) late(j *job, n int) {
	if n > 0 {
		b.counts.late.Add(uint64(n))
		j.device.countLate(n)
	}
}

// again begins one cycle that was missed while the bus was down, to see whether
// it still is.
func (b *bus) again(now time.Time) {
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
func (b *bus) earliest() *job {
	var first *job
	for _, j := range b.jobs {
		if j.active && (first == nil || j.deadline.Before(first.deadline)) {
			first = j
		}
	}
	return first
}

// wait waits until something is due.
func (b *bus) wait(ctx context.Context) {
	now := time.Now()
	until := now.Add(time.Hour)
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
			at = at.Add(d.pause) // there was no time; see probeDue
		}
		if at.Before(until) {
			until = at
		}
	}
	if b.spec.idleClose > 0 && b.link.Connected() {
		idle := b.used.Add(b.spec.idleClose)
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

// step does the next request of a job, or as many at once as the bus takes.
func (b *bus) step(ctx context.Context, j *job, emit bridge.Emit) {
	if b.spec.pipeline > 1 && b.link.Connected() {
		b.volley(ctx, emit)
		return
	}
	if blk := b.next(j, emit); blk != nil {
		if b.deal(ctx, j, blk, j.fetch(ctx, b.client, blk), emit); ctx.Err() != nil {
			return
		}
	}
	if len(j.queue) == 0 {
		b.finish(j, emit)
	}
}

// next takes the next block of a job that is to be read now. Nil is that there
// is none: what can't be read is bad already.
func (b *bus) next(j *job, emit bridge.Emit) *block {
	now := time.Now()
	d := j.device
	switch {
	case b.down.reason != 0 && now.Before(b.down.until):
		j.abandon(now, b.down.reason, emit)
		return nil
	case d.sick:
		j.abandon(now, d.reason, emit)
		return nil
	case len(j.queue) == 0:
		return nil // all its points were given up
	}
	blk := j.queue[0]
	j.queue = slices.Delete(j.queue, 0, 1)
	if blk.failed > 1 && now.Before(blk.again) {
		j.arrive(now, emit)
		j.spoil(blk, blk.reason)
		return nil
	}
	return blk
}

// attempts returns how often to ask for a block before it is bad.
func (j *job) attempts(blk *block) int {
	if blk.failed > 0 || j.silent > 0 {
		return 1
	}
	return 1 + j.device.spec.retries
}

// fetch reads a block. It touches nothing of the bus.
func (j *job) fetch(ctx context.Context, c *wire.Client, blk *block) result {
	return fetch(ctx, c, j.device, j.device.spec.timeout, blk.table, blk.first, blk.count, j.attempts(blk))
}

// deal takes in what came of a read.
func (b *bus) deal(ctx context.Context, j *job, blk *block, r result, emit bridge.Emit) {
	data, err := b.book(ctx, r)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if err != nil {
		b.notRead(j, blk, err, now, emit)
		return
	}
	blk.measure(r.busy)
	if len(r.failed) == 0 {
		j.device.slowest = max(j.device.slowest, r.busy)
	}
	j.answered = true
	j.arrive(now, emit)
	j.decode(blk, data)
	b.succeeded(j, blk)
}

// notRead deals with a block that could not be read.
func (b *bus) notRead(j *job, blk *block, err error, now time.Time, emit bridge.Emit) {
	reason, answered := reasonOf(err)
	j.answered = j.answered || answered
	d := j.device
	d.note(err)
	var connect *wire.ConnectError
	if errors.As(err, &connect) {
		j.queue = slices.Insert(j.queue, 0, blk)
		j.abandon(now, reason, emit)
		return
	}
	b.failed(j, blk, reason, err, now)
	if code, ok := wire.ExceptionCode(err); ok && refusal(code) {
		if j.dissect(blk) {
			b.concluded(j, blk)
			return
		}
		if blk.part == nil && blk.failed > 1 {
			b.holes(d, d.learnt, blk.table, blk.fields[0].own())
		}
	}
	if !answered {
		j.silent++
	}
	d.reason, d.err = reason, err
	if !j.answered && (j.silent > 1 || len(j.queue) == 0) {
		j.queue = slices.Insert(j.queue, 0, blk)
		j.abandon(now, reason, emit)
		return
	}
	j.arrive(now, emit)
	j.spoil(blk, reason)
	b.concluded(j, blk)
}

// finish ends the cycle of a job.
func (b *bus) finish(j *job, emit bridge.Emit) {
	now := time.Now()
	d := j.device
	if len(j.blocks) == 0 && !d.sick && b.down.reason == 0 {
		j.answered = true // nothing to ask: all points were given up
	}
	if j.answered {
		j.arrive(now, emit)
		j.giveUp()
	}
	j.flush(emit)
	j.active = false
	j.missed = !j.answered
	d.done(j, now)
	if now.After(j.deadline) {
		b.late(j, 1)
	}
	if d.learnt.known() && now.Sub(d.learnt.At) >= forgetAfter {
		b.teach(d, learnt{At: now})
	}
	switch {
	case j.answered:
		b.well(d)
	case b.down.reason == 0 && !d.sick:
		if d.failed++; d.failed >= sickAfter {
			b.sicken(d, now)
		}
	}
}
