package poll

import (
	"context"
	"fmt"
	"time"

	"fieldbridge/bridge"
)

// maxPaceLoad is the most of a bus's time that another interval may lead to.
const maxPaceLoad = 0.95

// pace is another interval for a while.
type pace struct {
	every time.Duration
	until time.Time // on the monotonic clock; zero if there is none
}

// SetInterval changes the interval of a device for a while; every 0 is back to
// the usual one. An error that is permanent is that the bus cannot do it.
func (b *Bus) SetInterval(ctx context.Context, d *Device, every, length time.Duration) error {
	return b.send(ctx, func(_ context.Context, b *Bus) error {
		if every == 0 {
			b.unpace(d, time.Now())
			return nil
		}
		return b.pace(d, pace{every, time.Now().Add(length)})
	})
}

// paced returns the jobs that follow the device's own interval.
func (d *Device) paced() []*job {
	var all []*job
	for _, j := range d.jobs {
		if j.usual == d.Spec.Every {
			all = append(all, j)
		}
	}
	return all
}

// pace changes the interval of a device, if the bus can do it.
func (b *Bus) pace(d *Device, p pace) error {
	jobs := d.paced()
	if len(jobs) == 0 {
		return bridge.Permanent(fmt.Errorf("each of its points has an interval of its own"))
	}
	before, after := b.share(nil, 0), b.share(d, p.every)
	if after > maxPaceLoad && after > before {
		return bridge.Permanent(fmt.Errorf(
			"every %v would take %.0f %% of the time of bus %s, which now has %.0f %% to do: ask for a longer interval",
			p.every, 100*after, b.Spec.Name, 100*before))
	}
	b.log.Info("interval changed for a while", "device", d.Spec.Name, "every", p.every, "usual", d.Spec.Every,
		"until", p.until.UTC().Round(time.Second))
	d.setPace(p)
	now := time.Now()
	for _, j := range jobs {
		j.follow(p.every, now)
	}
	return nil
}

// unpace takes a device back to its own interval.
func (b *Bus) unpace(d *Device, now time.Time) {
	if d.pace.until.IsZero() {
		return
	}
	b.log.Info("interval is the usual again", "device", d.Spec.Name, "every", d.Spec.Every)
	d.setPace(pace{})
	for _, j := range d.paced() {
		j.follow(j.usual, now)
	}
}

// paces ends intervals whose time is over, and returns when the next ends; zero
// if there is none.
func (b *Bus) paces(now time.Time) (next time.Time) {
	for _, d := range b.devices {
		until := d.pace.until
		switch {
		case until.IsZero():
		case !now.Before(until):
			b.unpace(d, now)
		case next.IsZero() || until.Before(next):
			next = until
		}
	}
	return next
}

// follow gives a job another interval. The poll that is due next is the first.
func (j *job) follow(every time.Duration, now time.Time) {
	base := min(every, j.device.Spec.Fields[0].Every)
	j.every, j.grid = every, grid{every, phaseOf(j.device.Spec.Name, base, every)}
	j.next = j.grid.first(instantOf(now))
}

// share returns the share of the bus's time that the reads take, measured where
// that was done, if those of d followed every; nil is as it is.
func (b *Bus) share(d *Device, every time.Duration) float64 {
	load := 0.0
	for _, j := range b.jobs {
		if j.asked != nil {
			continue
		}
		interval := j.every
		if j.device == d && j.usual == d.Spec.Every {
			interval = every
		}
		if j.stale && !j.active && !j.device.survey.due(time.Now()) {
			j.plan()
		}
		for _, blk := range j.blocks {
			load += float64(blk.takes(j.device.price())) / float64(interval)
		}
	}
	return load / float64(max(1, b.Spec.Pipeline))
}

// setPace notes another interval for others to see.
func (d *Device) setPace(p pace) {
	d.pace = p
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Every, d.status.Until = p.every, p.until
}
