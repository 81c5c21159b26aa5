package poll

import (
	"context"
	"errors"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// step does the next request of a job, or as many at once as the bus takes.
func (b *Bus) step(ctx context.Context, j *job, emit bridge.Emit) {
	if j.surveying {
		b.walk(ctx, j, emit)
		return
	}
	if b.Spec.Pipeline > 1 && b.link.Connected() {
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

// next takes the next block of a job that is to be read now. Nil means that there
// is none: what cannot be read is bad already.
func (b *Bus) next(j *job, emit bridge.Emit) *block {
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
	return 1 + j.device.Spec.Retries
}

// fetch reads a block. It touches nothing of the bus.
func (j *job) fetch(ctx context.Context, c *wire.Client, blk *block) wire.Fetched {
	return c.Fetch(ctx, j.device.Spec.Unit, blk.Table, blk.First, blk.Count, j.attempts(blk))
}

// deal takes in what came of a read.
func (b *Bus) deal(ctx context.Context, j *job, blk *block, r wire.Fetched, emit bridge.Emit) {
	data, err := b.book(ctx, r)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		b.notRead(j, blk, err, r.At, emit)
		return
	}
	blk.measure(r.Busy)
	if len(r.Failed) == 0 {
		j.device.slowest = max(j.device.slowest, r.Busy)
		if b.Spec.Pipeline <= 1 && j.device.clock(r.Busy, blk) {
			b.learn(j.device.Spec.Name, j.device.learnt)
		}
	}
	j.answered = true
	j.arrive(r.At, emit)
	j.decode(blk, data)
	b.succeeded(j, blk)
}

// notRead deals with a block that could not be read.
func (b *Bus) notRead(j *job, blk *block, err error, now time.Time, emit bridge.Emit) {
	reason, answered := wire.Reason(err)
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
		d.survey.doubt(now)
		if j.dissect(blk) {
			b.concluded(j, blk)
			return
		}
		if blk.part == nil && blk.failed > 1 {
			b.teach(d, d.learnt.WithHoles(blk.Table, blk.Fields[0].Own()))
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
func (b *Bus) finish(j *job, emit bridge.Emit) {
	now := time.Now()
	d := j.device
	if len(j.blocks) == 0 && !j.surveying && !d.sick && b.down.reason == 0 {
		j.answered = true // nothing to ask: all points were given up
	}
	if j.answered {
		j.arrive(now, emit)
		j.giveUp()
	}
	j.flush(emit)
	j.active = false
	j.missed = !j.answered
	if j.asked != nil {
		b.retire(j)
	} else {
		d.done(j, now)
		b.measure(j, now)
		if now.After(j.deadline) {
			b.counts.late.Add(1)
		}
	}
	if d.learnt.Known() && now.Sub(d.learnt.At) >= plan.ForgetAfter {
		b.teach(d, plan.Learnt{At: now, Models: d.learnt.Models, Trip: d.learnt.Trip})
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

// measure notes what share of the bus's time the reads take. An overload ends
// only below 95 %, so that it is not told again and again.
func (b *Bus) measure(j *job, now time.Time) {
	j.load = j.measured()
	load := 0.0
	for _, j := range b.jobs {
		load += j.load
	}
	load /= float64(max(1, b.Spec.Pipeline))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Load = load
	switch {
	case load > 1 && b.state.Over.IsZero():
		b.state.Over = now
	case load < 0.95:
		b.state.Over = time.Time{}
	}
}
