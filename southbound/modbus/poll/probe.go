package poll

import (
	"context"
	"slices"
	"time"

	"fieldbridge/southbound/modbus/plan"
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
	if !all && at.Before(b.budget) {
		at = b.budget
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
	if now.Sub(at) < d.pause.Last() && !b.slack(now, d.patience()) {
		return nil // later, when there is time; overdue by a pause it goes first
	}
	return d
}

// slack reports whether the bus may be taken for a while without making a cycle
// late that would be in time otherwise.
func (b *Bus) slack(now time.Time, taken time.Duration) bool {
	due := make([]*job, 0, len(b.jobs))
	for _, j := range b.jobs {
		if j.device.sick {
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

// until returns when the cycle under way, or else the next, should be done.
func (j *job) until() time.Time {
	if j.active {
		return j.deadline
	}
	return j.next.Add(j.every)
}

// rest returns how long the requests that are left of the cycle will take.
func (j *job) rest() time.Duration {
	blocks := j.blocks
	if j.active {
		blocks = j.queue
	}
	var sum time.Duration
	for _, blk := range blocks {
		sum += blk.takes(j.device.price())
	}
	return sum
}

// takes returns how long a read of the block took of late, or what it is
// reckoned to take.
func (b *block) takes(c plan.Cost) time.Duration {
	if b.took > 0 {
		return b.took
	}
	return c.Takes(b.Table, b.Count)
}

// measure notes how long a read took.
func (b *block) measure(took time.Duration) {
	if b.took == 0 {
		b.took = took
		return
	}
	b.took += (took - b.took) / 8
}

// Bounds of how long a probe waits for an answer.
const (
	minPatience    = 50 * time.Millisecond
	patienceFactor = 4 // times the slowest answer of the device so far
)

// patience returns how long to wait for the answer to a probe: the device's own
// answers tell. One that never answered gets its whole timeout.
func (d *Device) patience() time.Duration {
	if d.slowest == 0 {
		return d.Spec.Timeout
	}
	return min(d.Spec.Timeout, max(minPatience, patienceFactor*d.slowest))
}

// sample returns what to ask a sick device for: one value, or whether a SunSpec
// list is where it was looked for last.
func (d *Device) sample() (t wire.Table, first, count int) {
	f := d.jobs[0].fields[0]
	if f.Models != nil {
		return wire.Holding, d.survey.base(), 2
	}
	reach := f.Reach()
	return f.Table, reach.First, reach.End - reach.First
}

// probe asks a sick device for one value.
func (b *Bus) probe(ctx context.Context, d *Device) {
	table, first, count := d.sample()
	unit := d.Spec.Unit
	unit.Timeout = d.patience()
	r := b.client.Fetch(ctx, unit, table, first, count, 1)
	_, err := b.book(ctx, r)
	now := time.Now()
	b.budget = now.Add((probeShare - 1) * r.Busy)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		b.well(d)
		return
	}
	reason, answered := wire.Reason(err)
	if answered {
		b.well(d)
		return
	}
	d.survey.silent()
	d.note(err)
	d.reason, d.err = reason, err
	if b.down.reason == 0 {
		d.pause.Next()
	}
	d.probe = now.Add(d.pause.Last())
}
