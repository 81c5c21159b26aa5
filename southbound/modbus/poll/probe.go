package poll

import (
	"context"
	"errors"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/wire"
)

// probeShare is the part of a bus's time that probing sick devices may take: one
// in so many.
const probeShare = 10

// nextProbe returns when the next sick device may be probed, zero if there is
// none.
func (b *Bus) nextProbe() time.Time {
	d, all := b.sickest()
	if d == nil {
		return time.Time{}
	}
	at := d.probe
	if paid := b.budget.Add((probeShare - 1) * b.probeTimeout(d)); !all && at.Before(paid) {
		at = paid
	}
	if b.down.reason != 0 && at.Before(b.down.until) {
		at = b.down.until
	}
	return at
}

// sickest returns the sick device whose probe is due first, nil if there is
// none, and whether all devices are sick.
func (b *Bus) sickest() (first *Device, all bool) {
	all = true
	for _, d := range b.devices {
		all = all && d.sick
		if d.sick && (first == nil || d.probe.Before(first.probe)) {
			first = d
		}
	}
	return first, all
}

// probeDue returns the sick device to probe now, nil if there is none or the
// healthy ones need the time.
func (b *Bus) probeDue(now time.Time) *Device {
	at := b.nextProbe()
	if at.IsZero() || now.Before(at) {
		return nil
	}
	d, _ := b.sickest()
	if now.Sub(at) < d.pause.Last() && !b.slack(now, b.probeTimeout(d)) {
		return nil // later, when there is time; overdue by a pause it goes first
	}
	return d
}

// slack reports whether the bus may be taken for a while without making a cycle
// late that would be in time otherwise.
func (b *Bus) slack(now time.Time, taken time.Duration) bool {
	due := make([]*job, 0, len(b.jobs))
	for _, j := range b.jobs {
		if j.device.sick || j.waiting {
			continue
		}
		if j.active || j.next.Before(now.Add(taken)) {
			due = append(due, j)
		}
	}
	slices.SortFunc(due, func(a, b *job) int { return a.until().Compare(b.until()) })
	at := now.Add(taken)
	for _, j := range due {
		at = at.Add(j.rest())
		if at.After(j.until()) {
			return false
		}
	}
	return true
}

// shared reports whether devices of the bus wait for each other.
func (b *Bus) shared() bool { return len(b.devices) > 1 }

// silence notes that the bus waited in vain. Since the first such request silent
// devices take a tenth of its time at most: until the budget nobody waits long.
func (b *Bus) silence(r wire.Fetched) {
	if r.Err == nil {
		return // before the error's place is allocated
	}
	var connect *wire.ConnectError
	if _, answered := wire.Reason(r.Err); answered || errors.As(r.Err, &connect) {
		return
	}
	now := r.At
	if b.budget.Before(now) {
		b.budget = now
	}
	b.budget = b.budget.Add((probeShare - 1) * r.Busy)
	if most := now.Add(maxProbePause); b.budget.After(most) {
		b.budget = most
	}
}

// terms returns how the next request of a job is to be asked. On a bus that others
// wait for it is not sent again at once after silence, see hold; and while the line
// makes up for silence nobody is waited for much longer than its answers take.
func (b *Bus) terms(j *job, blk *block, now time.Time) wire.Unit {
	d := j.device
	u := d.Spec.Unit
	if blk != nil && blk.part != nil && !blk.whole.hush.IsZero() {
		u.Timeout = b.patience(d) // silence is what is looked for
	}
	if !b.shared() || j.heard || j.asked != nil {
		return u
	}
	u.Once = true
	if now.Before(b.budget) || j.silent > 0 {
		u.Timeout = b.patience(d)
	}
	return u
}

// patience returns how long to wait for a device while others wait: not much longer
// than its answers take, or those of others if it never gave one.
func (b *Bus) patience(d *Device) time.Duration {
	slowest, least := d.slowest, leastPatience
	if slowest == 0 {
		least = strangerPatience
		for _, other := range b.devices {
			slowest = max(slowest, other.slowest)
		}
	}
	switch {
	case slowest == 0 && b.shared():
		return min(d.Spec.Timeout, max(strangerPatience, d.Spec.Timeout/4))
	case slowest == 0:
		return d.Spec.Timeout
	}
	return min(d.Spec.Timeout, max(least, patienceFactor*slowest))
}

// Bounds of how long a request waits for its answer meanwhile: of a device that
// answered before, and of one that never did while others do.
const (
	patienceFactor   = 4 // times the slowest answer so far
	leastPatience    = 100 * time.Millisecond
	strangerPatience = 150 * time.Millisecond
)

// mostWaiting is how many jobs wait at once: where more are silent it is not for
// a frame that got lost.
const mostWaiting = 3

// hold keeps a request that nothing came back for until the line has time for
// another try, once a cycle, and reports whether it does. A device that never
// answered is probed instead.
func (b *Bus) hold(j *job, blk *block, answered bool) bool {
	waiting := 0
	for _, other := range b.jobs {
		if other.waiting {
			waiting++
		}
	}
	if waiting >= mostWaiting || j.device.proof.IsZero() ||
		answered || j.heard || j.asked != nil || j.silent > 0 || !b.shared() || j.device.Spec.Retries == 0 {
		return false
	}
	j.silent++
	j.waiting = true
	j.queue = slices.Insert(j.queue, 0, blk) // the link need not wait for a late answer to the same
	return true
}

// another returns a waiting job whose request may be tried again now: no cycle of
// others gets late by it.
func (b *Bus) another(now time.Time) *job {
	for _, j := range b.jobs {
		if j.waiting && b.slack(now, b.terms(j, j.queue[0], now).Timeout) {
			return j
		}
	}
	return nil
}

// probeTimeout returns how long the next probe of a device waits: as long as its
// answers tell and its whole timeout, in turn, as it may be slower by now; see
// sample.
func (b *Bus) probeTimeout(d *Device) time.Duration {
	if d.probes/2%2 == 0 {
		return b.patience(d)
	}
	return d.Spec.Timeout
}

// probe asks a sick device for one value.
func (b *Bus) probe(ctx context.Context, d *Device) {
	if b.muzzled(d) {
		d.probe = time.Now().Add(maxProbePause)
		return
	}
	asked := d.sample()
	unit := d.Spec.Unit
	unit.Timeout = b.probeTimeout(d)
	r := b.client.FetchAsk(ctx, unit, asked, 1)
	counted := b.counted(ctx, r)
	now := time.Now()
	if !counted {
		return
	}
	d.probes++
	reason, answered := wire.Reason(r.Err)
	if r.Err == nil {
		d.slowest = max(d.slowest, r.Busy)
	}
	if b.budget.Before(now) && !answered && r.Err != nil {
		b.budget = now // the line was paid before
	}
	if r.Err == nil || answered {
		d.alive = now
		b.well(d)
		return
	}
	d.survey.silent()
	d.note(r.Err)
	d.reason, d.err = reason, r.Err
	if b.down.reason == 0 {
		d.pause.Next()
	}
	rest := d.pause.Last()
	if !silence(reason) || reason == bridge.ReasonDisconnected {
		rest = min(rest, noisyPause)
	}
	d.probe = now.Add(rest)
}

// noisyPause is the longest pause between probes of a device that does send
// something, though nothing that is of use: it is there.
const noisyPause = 3 * time.Second

// judge makes of a device's cycle whether it is sick or well.
func (b *Bus) judge(j *job, now time.Time) {
	d := j.device
	switch {
	case j.heard:
		b.well(d)
	case b.down.reason == 0 && !d.sick:
		if d.failed++; d.failed >= sickAfter || b.shared() {
			b.sicken(d, now)
		}
	}
}

// sickAfter is how many polls in a row without an answer make a device sick that
// is alone on its bus; where others wait, the first does.
const sickAfter = 2

// sicken stops polling a device that does not answer; it is probed instead.
func (b *Bus) sicken(d *Device, now time.Time) {
	d.sick, d.probes = true, 0
	if d.keeper != nil {
		d.keeper.Lost()
	}
	d.pause = pause.Growing{Least: minProbePause, Most: maxProbePause}
	d.probe = now.Add(d.pause.Next())
	d.tell(func(s *Status) { s.Since = now })
	b.log.Debug("device does not answer", "device", d.Spec.Name, "unit_id", d.Spec.ID, "err", d.err)
}

// well notes that a device answers.
func (b *Bus) well(d *Device) {
	d.failed = 0
	if !d.sick {
		return
	}
	d.sick = false
	d.survey.renew()
	now := time.Now()
	b.log.Debug("device answers again", "device", d.Spec.Name, "after", now.Sub(d.Status().Since).Round(time.Millisecond))
	d.tell(func(s *Status) { s.Since = time.Time{} })
	for _, j := range d.jobs {
		for _, blk := range j.blocks {
			blk.failed = 0
		}
		if j.missed && !j.active {
			j.begin(now)
		}
	}
}
