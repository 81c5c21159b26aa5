package modbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

var _ bridge.Reader = (*Source)(nil)

// asked is a cycle that someone asked for, beside the polls.
type asked struct {
	readings []bridge.Reading // what was emitted
	done     chan error       // of capacity 1; then readings is complete
}

// askedSpan is the interval that such a cycle stands in for: its batch takes
// what arrives within a tenth of it.
const askedSpan = time.Minute

// ReadNow reads points of a device next on its bus. See [bridge.Reader].
func (s *Source) ReadNow(ctx context.Context, device string, points []string) ([]bridge.Reading, error) {
	d, b, err := s.onBus(device)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", device, err)
	}
	fields := d.spec.fields
	if len(points) > 0 {
		fields = nil
		for _, p := range points {
			f := d.spec.field(p)
			if f == nil {
				return nil, bridge.Permanent(fmt.Errorf("read %s %s: the device has no such point", device, p))
			}
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	a := &asked{done: make(chan error, 1)}
	err = b.send(ctx, func(ctx context.Context, b *bus) error { return b.ask(ctx, d, fields, a) })
	if err == nil {
		select {
		case err = <-a.done:
		case <-b.ended:
			err = errStopped
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", device, err)
	}
	return a.readings, nil
}

// onBus returns a device and the bus that polls it.
func (s *Source) onBus(device string) (*device, *bus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if d == nil {
		return nil, nil, bridge.Permanent(errNoDevice)
	}
	b := s.buses[d.spec.bus]
	if b == nil {
		return nil, nil, errStopped
	}
	return d, b, nil
}

// errNoDevice is that a command names no device of the configuration.
var errNoDevice = errors.New("there is no such device")

// ask begins a cycle that someone asked for. Its deadline is long past, so it is
// first. A device or bus that is given a rest is tried all the same.
func (b *bus) ask(ctx context.Context, d *device, fields []*point.Field, a *asked) error {
	if !slices.Contains(b.devices, d) {
		return errStopped // a new configuration came in between
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
func (b *bus) retire(j *job) {
	b.jobs = slices.DeleteFunc(slices.Clone(b.jobs), func(k *job) bool { return k == j })
	j.asked.done <- nil
}

// keepAsked takes over the cycles under way that someone asked for, after the
// jobs were made anew. Those of devices that are gone fail.
func (b *bus) keepAsked(before []*job) {
	for _, j := range before {
		switch {
		case j.asked == nil:
		case slices.Contains(b.devices, j.device):
			b.jobs = append(b.jobs, j)
		default:
			j.asked.done <- errStopped
		}
	}
}
