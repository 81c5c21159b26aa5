package poll

import (
	"cmp"
	"context"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

// asked is a cycle that someone asked for, beside the polls.
type asked struct {
	readings []bridge.Reading // what was emitted
	done     chan error       // of capacity 1; then readings is complete
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
	return a.readings, err
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
