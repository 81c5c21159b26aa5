package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// step does the next request of a job, or as many at once as the bus takes. The
// way of a reading goes forward from here: next → fetch → take → emit.
func (b *Bus) step(ctx context.Context, j *job, emit bridge.Emit) {
	switch {
	case j.surveying:
		b.walk(ctx, j, emit)
	case b.Spec.Pipeline > 1 && b.link.Connected() && !j.waiting:
		b.volley(ctx, emit)
		return
	default:
		if blk := b.next(j, emit); blk != nil {
			unit := b.terms(j, blk, time.Now())
			b.take(ctx, j, blk, j.fetch(ctx, b.client, unit, blk), emit)
		}
	}
	if ctx.Err() == nil && len(j.queue) == 0 {
		b.finish(j, emit)
	}
}

// shot is one of several reads at once.
type shot struct {
	job   *job
	block *block
	unit  wire.Unit
	wire.Fetched
}

// volley reads several blocks at once, those with the earliest deadlines, and
// takes them in in that order. The clients do nothing but ask: all else is done
// here, on the goroutine of the bus.
func (b *Bus) volley(ctx context.Context, emit bridge.Emit) {
	shots := b.load(emit)
	var wg sync.WaitGroup
	for i := range shots {
		s := &shots[i]
		c := b.client
		if i > 0 {
			c = b.others[i-1]
		}
		ask := func() {
			s.Fetched = s.job.fetch(ctx, c, s.unit, s.block)
		}
		if i < len(shots)-1 {
			wg.Go(ask)
		} else {
			ask()
		}
	}
	wg.Wait()
	for i := range shots {
		s := &shots[i]
		if b.take(ctx, s.job, s.block, s.Fetched, emit); ctx.Err() != nil {
			return
		}
	}
	for _, j := range b.jobs {
		if j.active && len(j.queue) == 0 {
			b.finish(j, emit)
		}
	}
}

// load takes the next blocks of the jobs that are due.
func (b *Bus) load(emit bridge.Emit) []shot {
	shots := make([]shot, 0, b.Spec.Pipeline)
	for len(shots) < b.Spec.Pipeline {
		var j *job
		for _, k := range b.jobs {
			if k.active && !k.surveying && !k.waiting && len(k.queue) > 0 && (j == nil || k.deadline.Before(j.deadline)) {
				j = k
			}
		}
		if j == nil {
			break
		}
		if blk := b.next(j, emit); blk != nil {
			shots = append(shots, shot{job: j, block: blk, unit: b.terms(j, blk, time.Now())})
		}
	}
	return shots
}

// next takes the next block of a job that is to be read now. Nil means that there
// is none: what cannot be read is bad already.
func (b *Bus) next(j *job, emit bridge.Emit) *block {
	now := time.Now()
	if b.spare(j, now, emit) || len(j.queue) == 0 { // with none, all its points were given up
		return nil
	}
	blk := j.queue[0]
	j.queue = slices.Delete(j.queue, 0, 1)
	if blk.failed > 1 && now.Before(blk.again) {
		j.spoil(blk.reason, now, emit, blk)
		return nil
	}
	return blk
}

// spare abandons a cycle whose device is not to be asked now, and reports whether
// it did.
func (b *Bus) spare(j *job, now time.Time, emit bridge.Emit) bool {
	switch {
	case b.down.reason != 0 && now.Before(b.down.until):
		j.abandon(now, b.down.reason, emit)
	case j.device.sick:
		j.abandon(now, j.device.reason, emit)
	case b.muzzled(j.device):
		j.heard = true // it is not asked, so it is not silent
		j.abandon(now, bridge.ReasonGivenUp, emit)
	default:
		return false
	}
	return true
}

// muzzled reports whether a device is not read because its reads write, and
// writing is switched off.
func (b *Bus) muzzled(d *Device) bool { return d.Spec.Exchange != nil && b.tender.isOff() }

// fetch reads a block of a unit. It touches nothing of the bus.
func (j *job) fetch(ctx context.Context, c *wire.Client, u wire.Unit, blk *block) wire.Fetched {
	r := c.FetchAsk(ctx, u, blk.Ask(), j.attempts(blk))
	j.device.inPlace(ctx, c, &blk.Block, &r)
	return r
}

// counted keeps the account of a read; false means that ctx ended meanwhile and
// nothing is to be made of it.
func (b *Bus) counted(ctx context.Context, r wire.Fetched) bool {
	b.busy.Add(int64(r.Busy))
	if r.Err != nil && ctx.Err() != nil {
		return false
	}
	if b.book(r) {
		b.resume(time.Now())
	}
	if n := b.tender.dials.Load(); n != b.connections {
		b.connections = n
		for _, d := range b.devices {
			d.survey.reconnected(time.Now())
		}
	}
	return ctx.Err() == nil
}

// take takes in what came of a read.
func (b *Bus) take(ctx context.Context, j *job, blk *block, r wire.Fetched, emit bridge.Emit) {
	j.waiting = false
	if !b.counted(ctx, r) {
		return
	}
	if !j.heard {
		b.silence(r)
	}
	if errors.Is(r.Err, errMoved) {
		b.moved(j, blk, r, emit)
		return
	}
	if r.Err != nil {
		b.miss(j, blk, r.Err, r.At, emit)
		return
	}
	j.heard = true
	j.take(blk, r.Data, r.At, emit)
	j.device.keep(blk, r.Data)
	if len(j.strange) > 0 {
		b.wonder(j)
	}
	blk.measure(r.Busy)
	if len(r.Failed) == 0 && j.device.answered(r.Busy, blk, b.Spec.Pipeline <= 1) {
		b.learn(j.device.Spec.Name, j.device.learnt)
	}
	b.proved(j, blk)
}

// wonder tells of the numbers that enums do not name, of each once.
func (b *Bus) wonder(j *job) {
	d := j.device
	for _, s := range j.strange {
		if len(d.wondered) >= maxWondered || d.wondered[s] {
			continue
		}
		if d.wondered == nil {
			d.wondered = make(map[strange]bool)
		}
		d.wondered[s] = true
		b.log.Warn("a number that the enum does not name", "device", d.Spec.Name, "point", s.point, "number", s.number)
	}
	j.strange = j.strange[:0]
}

// maxWondered is of how many such numbers of a device the log tells.
const maxWondered = 32

// miss takes in that a block could not be read.
func (b *Bus) miss(j *job, blk *block, err error, now time.Time, emit bridge.Emit) {
	reason, answered := wire.Reason(err)
	j.heard = j.heard || answered
	d := j.device
	d.note(err)
	var connect *wire.ConnectError
	if errors.As(err, &connect) {
		j.queue = slices.Insert(j.queue, 0, blk)
		j.abandon(now, reason, emit)
		return
	}
	d.reason, d.err = reason, err
	if b.hold(j, blk, answered) {
		return
	}
	blk.fail(reason, answered, now)
	d.keep(blk, nil)
	if answered {
		d.alive = now
	}
	if _, ok := wire.ExceptionCode(err); ok && answered && (b.hopeless(j, blk, now, emit) || b.refused(j, blk, now)) {
		return
	}
	if blk.trial || mute(reason) && b.unanswered(j, blk, now, emit) {
		return
	}
	if whole := blk.all(); !whole.told && j.heard {
		whole.told = true
		b.log.Warn("block is bad", "device", d.Spec.Name, "points", some(blk.Names()), "err", err)
	}
	if !answered {
		j.silent++
	}
	if !j.heard && (j.silent > 1 || len(j.queue) == 0 || b.shared()) {
		j.queue = slices.Insert(j.queue, 0, blk)
		j.abandon(now, reason, emit)
		return
	}
	j.spoil(reason, now, emit, blk)
	b.conclude(j, blk)
}

// some writes the first of some names.
func some(names []string) string {
	const most = 5
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

// walk does the next request of a survey that a cycle waits for.
func (b *Bus) walk(ctx context.Context, j *job, emit bridge.Emit) {
	d, now := j.device, time.Now()
	if b.spare(j, now, emit) {
		return
	}
	s := &d.survey
	if !s.due(now) {
		j.enqueue() // another job of the device had it walked
		return
	}
	head := s.head
	r := b.client.Fetch(ctx, b.terms(j, nil, now), wire.Holding, s.address(), 2, 1+d.Spec.Retries)
	b.silence(r)
	if !b.counted(ctx, r) || s.head != head {
		return // the connection was made anew meanwhile, and so is the survey
	}
	if r.Err != nil {
		reason, answered := wire.Reason(r.Err)
		if _, exception := wire.ExceptionCode(r.Err); !exception || !answered {
			s.silent()
			d.note(r.Err)
			d.reason, d.err = reason, r.Err
			j.abandon(time.Now(), reason, emit)
			return
		}
		r.Data = nil
	}
	switch {
	case !s.take(r.Data):
	case s.agrees(d.learnt.Models):
		b.surveyed(d, time.Now())
		j.enqueue()
	case s.rounds >= mostRounds:
		s.renew()
		s.next = time.Now().Add(minProbePause)
		j.abandon(time.Now(), bridge.ReasonMoved, emit)
	}
}

// finish ends the cycle of a job.
func (b *Bus) finish(j *job, emit bridge.Emit) {
	now := time.Now()
	d := j.device
	if b.unhold(j, now, emit); len(j.queue) > 0 {
		return // parts of blocks that were not answered
	}
	if len(j.blocks) == 0 && !j.surveying && !d.sick && b.down.reason == 0 {
		j.heard = true // nothing to ask: all points were given up
	}
	if j.heard {
		j.giveUp(slices.DeleteFunc(slices.Clone(j.lost), func(name string) bool {
			return slices.Contains(j.absolved, name)
		}), now, emit)
	}
	j.flush(emit)
	j.active, j.waiting, j.missed = false, false, !j.heard
	j.last = now
	if j.asked != nil {
		b.retire(j)
	} else {
		d.done(j, now)
		b.weigh(j, now)
	}
	b.forget(d, now)
	b.judge(j, now)
}

// weigh measures what share of the bus's time the reads take, and counts a cycle
// that is late.
func (b *Bus) weigh(j *job, now time.Time) {
	j.load = j.measured()
	load := 0.0
	for _, j := range b.jobs {
		load += j.load
	}
	b.measure(load/float64(max(1, b.Spec.Pipeline)), now)
	if now.After(j.deadline) {
		b.late.Add(1)
	}
}
