package poll

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

// ErrStopped is why a write cannot be done any more.
var ErrStopped = errors.New("the bus was stopped")

// errand is something to do on a bus between polls, on its way to the bus's
// goroutine.
type errand struct {
	ctx  context.Context
	do   func(ctx context.Context, b *Bus) error
	done chan error // of capacity 1
}

// send has do done on the bus and returns its error.
func (b *Bus) send(ctx context.Context, do func(context.Context, *Bus) error) error {
	e := errand{ctx, do, make(chan error, 1)}
	select {
	case b.errands <- e:
	case <-b.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select { // once begun it is short, and ends with ctx or the bus
	case err := <-e.done:
		return err
	case <-b.ended:
		return ErrStopped
	}
}

// run does an errand on the bus, and tells how it went.
func (e errand) run(ctx context.Context, b *Bus) { e.done <- e.watched(ctx, b) }

// watched does an errand while its context is looked at. That ends before anyone is
// told: who asked may end the context at once, which must not close the connection.
func (e errand) watched(ctx context.Context, b *Bus) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer b.link.Unwatch()
	stop := context.AfterFunc(e.ctx, cancel)
	defer stop()
	err := e.do(ctx, b)
	if err != nil && e.ctx.Err() != nil {
		err = e.ctx.Err()
	}
	return err
}

// Write sets points of a device, in this order: it is the next on the bus. Until
// the values show, they are looked for between polls. What is not written by hand
// is refused while writing is off. See [bridge.Writer].
func (b *Bus) Write(ctx context.Context, d *Device, byHand bool, values ...Value) bridge.Written {
	return writer{bus: b, device: d}.write(ctx, byHand, values)
}

// requested counts a request of an errand.
func (b *Bus) requested(err error) {
	if b.request(err) {
		b.resume(time.Now())
	}
}

// Relay sends a request PDU to a unit between the polls, and returns the PDU of
// the answer, exceptions included.
func (b *Bus) Relay(ctx context.Context, unit byte, pdu []byte) ([]byte, error) {
	var answer []byte
	err := b.send(ctx, func(ctx context.Context, b *Bus) error {
		b.client.To(ctx, unit, b.Spec.Timeout)
		b.client.Pause(b.Spec.Pause)
		got, err := b.client.Raw(pdu)
		if ctx.Err() == nil {
			b.requested(err)
		}
		answer = bytes.Clone(got)
		return err
	})
	return answer, err
}

// askedSpan is the interval that such a cycle stands in for: its batch takes
// what arrives within a tenth of it.
const askedSpan = time.Minute

// ReadNow reads fields of a device next on the bus, and returns what was emitted.
func (b *Bus) ReadNow(ctx context.Context, d *Device, fields []*point.Field) ([]bridge.Reading, error) {
	a := &asked{done: make(chan error, 1)}
	err := b.send(ctx, func(ctx context.Context, b *Bus) error { return b.ask(ctx, d, fields, a) })
	if err == nil {
		select {
		case err = <-a.done:
		case <-b.ended:
			err = ErrStopped
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, err // the cycle may be under way still
	}
	return a.readings, nil
}

// ask begins a cycle that someone asked for. Its deadline is long past, so it is
// first. A device or bus that is given a rest is tried all the same.
func (b *Bus) ask(ctx context.Context, d *Device, fields []*point.Field, a *asked) error {
	if !slices.Contains(b.devices, d) {
		return ErrStopped // a new configuration came in between
	}
	now := time.Now()
	if b.down.reason != 0 {
		b.down.until = now
	}
	if d.sick {
		if b.probe(ctx, d); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	fields = slices.SortedStableFunc(slices.Values(fields), func(x, y *point.Field) int {
		return cmp.Or(cmp.Compare(x.Table, y.Table), slices.Compare(x.Models, y.Models))
	})
	j := newJob(d, askedSpan, askedSpan, fields)
	j.asked, j.next = a, now.Add(never)
	j.begin(now)
	j.deadline = time.Time{}
	b.jobs = append(b.jobs, j)
	return nil
}

// never is when a cycle that someone asked for is due again.
const never = 100 * 365 * 24 * time.Hour

// retire ends a cycle that someone asked for. Others may be looking at the list
// of jobs, so it is made anew.
func (b *Bus) retire(j *job) {
	b.jobs = slices.DeleteFunc(slices.Clone(b.jobs), func(k *job) bool { return k == j })
	j.asked.done <- nil
}

// keepAsked takes over the cycles under way that someone asked for, after the
// jobs were made anew. Those of devices that are gone fail.
func (b *Bus) keepAsked(before []*job) {
	for _, j := range before {
		switch {
		case j.asked == nil:
		case slices.Contains(b.devices, j.device):
			b.jobs = append(b.jobs, j)
		default:
			j.asked.done <- ErrStopped
		}
	}
}

// maxPaceLoad is the most of a bus's time that another interval may lead to.
const maxPaceLoad = 0.95

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
		load += float64(j.takes(j.blocks)) / float64(interval)
	}
	return load / float64(max(1, b.Spec.Pipeline))
}
