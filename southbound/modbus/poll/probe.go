package poll

import (
	"context"
	"slices"
	"time"

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

// probe asks a sick device for one value.
func (b *Bus) probe(ctx context.Context, d *Device) {
	table, first, count := d.sample()
	unit := d.Spec.Unit
	unit.Timeout = d.patience()
	r := b.client.Fetch(ctx, unit, table, first, count, 1)
	counted := b.counted(ctx, r)
	now := time.Now()
	b.budget = now.Add((probeShare - 1) * r.Busy)
	if !counted {
		return
	}
	reason, answered := wire.Reason(r.Err)
	if r.Err == nil || answered {
		b.well(d)
		return
	}
	d.survey.silent()
	d.note(r.Err)
	d.reason, d.err = reason, r.Err
	if b.down.reason == 0 {
		d.pause.Next()
	}
	d.probe = now.Add(d.pause.Last())
}

// judge makes of a device's cycle whether it is sick or well.
func (b *Bus) judge(j *job, now time.Time) {
	d := j.device
	switch {
	case j.heard:
		b.well(d)
	case b.down.reason == 0 && !d.sick:
		if d.failed++; d.failed >= sickAfter {
			b.sicken(d, now)
		}
	}
}

// sickAfter is how many polls in a row without an answer make a device sick.
const sickAfter = 2

// sicken stops polling a device that does not answer; it is probed instead.
func (b *Bus) sicken(d *Device, now time.Time) {
	d.sick = true
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
