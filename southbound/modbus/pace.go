package modbus

import (
	"context"
	"fmt"
	"time"

	"fieldbridge/bridge"
)

var _ bridge.Pacer = (*Source)(nil)

// Bounds of another interval for a while.
const (
	minPace     = 100 * time.Millisecond
	maxPace     = 24 * time.Hour
	minPaceTime = time.Second
	maxPaceTime = 24 * time.Hour
	// maxPaceLoad is the most of a bus's time that such an interval may lead to.
	maxPaceLoad = 0.95
)

// pace is another interval for a while.
type pace struct {
	every time.Duration
	until time.Time // on the monotonic clock; zero is that there is none
}

// SetInterval changes the interval of a device for a while. See [bridge.Pacer].
func (s *Source) SetInterval(ctx context.Context, device string, every, length time.Duration) error {
	err := s.setInterval(ctx, device, every, length)
	if err != nil {
		return fmt.Errorf("interval of %s: %w", device, err)
	}
	return nil
}

func (s *Source) setInterval(ctx context.Context, device string, every, length time.Duration) error {
	switch {
	case every == 0:
	case every < minPace || every > maxPace:
		return bridge.Permanent(fmt.Errorf("%v is out of bounds: %v to %v can be had for a while", every, minPace, maxPace))
	case length < minPaceTime || length > maxPaceTime:
		return bridge.Permanent(fmt.Errorf("for %v is out of bounds: %v to %v", length, minPaceTime, maxPaceTime))
	}
	d, b, err := s.onBus(device)
	if err != nil {
		return err
	}
	return b.send(ctx, func(_ context.Context, b *bus) error {
		if every == 0 {
			b.unpace(d, time.Now())
			return nil
		}
		return b.pace(d, pace{every, time.Now().Add(length)})
	})
}

// paced returns the jobs that follow the device's own interval.
func (d *device) paced() []*job {
	var all []*job
	for _, j := range d.jobs {
		if j.usual == d.spec.config.Every.D() {
			all = append(all, j)
		}
	}
	return all
}

// pace changes the interval of a device, if the bus can do it.
func (b *bus) pace(d *device, p pace) error {
	jobs := d.paced()
	if len(jobs) == 0 {
		return bridge.Permanent(fmt.Errorf("each of its points has an interval of its own"))
	}
	before, after := b.share(nil, 0), b.share(d, p.every)
	if after > maxPaceLoad && after > before {
		return bridge.Permanent(fmt.Errorf(
			"every %v would take %.0f %% of the time of bus %s, which now has %.0f %% to do: ask for a longer interval",
			p.every, 100*after, b.spec.name, 100*before))
	}
	b.log.Info("interval changed for a while", "device", d.spec.Name, "every", p.every, "usual", d.spec.config.Every.D(),
		"until", p.until.UTC().Round(time.Second))
	d.setPace(p)
	now := time.Now()
	for _, j := range jobs {
		j.follow(p.every, now)
	}
	return nil
}

// unpace takes a device back to its own interval.
func (b *bus) unpace(d *device, now time.Time) {
	if d.pace.until.IsZero() {
		return
	}
	b.log.Info("interval is the usual again", "device", d.spec.Name, "every", d.spec.config.Every.D())
	d.setPace(pace{})
	for _, j := range d.paced() {
		j.follow(j.usual, now)
	}
}

// paces ends intervals whose time is over, and returns when the next ends; zero
// if there is none.
func (b *bus) paces(now time.Time) (next time.Time) {
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
	base := min(every, j.device.spec.fields[0].Every)
	j.every, j.grid = every, grid{every, phaseOf(j.device.spec.Name, base, every)}
	j.next = j.grid.first(instantOf(now))
}

// share returns the share of the bus's time that the reads take, measured where
// that was done, if those of d followed every; nil is as it is.
func (b *bus) share(d *device, every time.Duration) float64 {
	load := 0.0
	for _, j := range b.jobs {
		if j.asked != nil {
			continue
		}
		interval := j.every
		if j.device == d && j.usual == d.spec.config.Every.D() {
			interval = every
		}
		if j.stale && !j.active && !j.device.survey.due(time.Now()) {
			j.plan()
		}
		for _, blk := range j.blocks {
			load += float64(blk.takes(j.device.price())) / float64(interval)
		}
	}
	return load / float64(max(1, b.spec.Pipeline))
}

// setPace notes another interval for others to see.
func (d *device) setPace(p pace) {
	d.pace = p
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.pace = p
}

// Intervals returns the devices that are polled at another interval for a while,
// sorted by name.
func (s *Source) Intervals() []bridge.IntervalStatus {
	var all []bridge.IntervalStatus
	for _, d := range s.sorted() {
		if p := d.snapshot().pace; !p.until.IsZero() {
			all = append(all, bridge.IntervalStatus{Device: d.spec.Name, Every: p.every, Usual: d.spec.config.Every.D(),
				Until: p.until})
		}
	}
	return all
}
