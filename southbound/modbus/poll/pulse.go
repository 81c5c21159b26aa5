package poll

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
)

// pulses are the points of a bus that are on and owe their off, which comes before
// all else that is due. The bus's goroutine owns it.
type pulses struct {
	bus  *Bus
	all  []*pulse
	fell func(device, point string) // is told that a point is off, by any goroutine; it must not wait
}

// pulse is a point that is on.
type pulse struct {
	to    writer
	field *point.Field
	due   time.Time
	pause pause.Growing // between tries
	off   *set.Writing  // the last try; nil before the first
	done  chan struct{} // closed when the off is written, or the bus has ended
}

const (
	// Between two tries of an off.
	leastFall = 100 * time.Millisecond
	mostFall  = 10 * time.Second
	// fallRest is how long a command waits for an off that is tried again, and
	// how long those have that the bus owes when it ends.
	fallRest = 5 * time.Second
	lastRest = time.Second
)

// add makes a point owe its off.
func (p *pulses) add(to writer, f *point.Field, due time.Time) *pulse {
	one := &pulse{to: to, field: f, due: due, pause: pause.Growing{Least: leastFall, Most: mostFall},
		done: make(chan struct{})}
	p.all = append(p.all, one)
	return one
}

// has reports whether a point owes its off.
func (p *pulses) has(d *Device, f *point.Field) bool {
	return slices.ContainsFunc(p.all, func(one *pulse) bool {
		return one.to.device.Spec.Name == d.Spec.Name && one.field.Name == f.Name
	})
}

// adopt has the points fall that an earlier process left on, and at once those of
// devices that are not on the bus any more.
func (p *pulses) adopt(now time.Time) {
	for _, one := range p.all {
		if !slices.Contains(p.bus.devices, one.to.device) {
			one.due = now
		}
	}
	for _, d := range p.bus.devices {
		for _, f := range d.left {
			p.add(writer{bus: p.bus, device: d}, f, now)
		}
		d.left = nil
	}
}

// when returns when the next try of an off is due.
func (p *pulses) when(one *pulse) time.Time {
	at := one.due
	if p.bus.tender.isOff() && one.off == nil {
		at = time.Unix(1, 0)
	}
	if d := p.bus.down; d.reason != 0 && at.Before(d.until) {
		at = d.until
	}
	return at
}

// next returns when an off is due; zero is never.
func (p *pulses) next() (next time.Time) {
	for _, one := range p.all {
		if at := p.when(one); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// fall writes an off that is due, and reports whether there was one.
func (p *pulses) fall(ctx context.Context) bool {
	for _, one := range p.all {
		if !time.Now().Before(p.when(one)) {
			p.write(ctx, one)
			return true
		}
	}
	return false
}

// write tries to write an off.
func (p *pulses) write(ctx context.Context, one *pulse) {
	b, name := p.bus, one.to.device.Spec.Name
	at := one.to.place(one.field)
	if at == nil {
		one.due = time.Now().Add(one.pause.Next())
		return
	}
	w, err := set.New(at, bridge.Bool(false))
	if err == nil {
		set.Several{w}.Send(ctx, one.to.line(), one.to.device.reads)
		if ctx.Err() == nil {
			b.requested(w.Trouble())
		}
		err = w.Err()
	}
	if first := one.off == nil; err != nil && !w.Taken() {
		one.off = w
		one.due = time.Now().Add(one.pause.Next())
		if first {
			b.log.Error("a pulse does not end, its off is tried again", "device", name, "point", one.field.Name, "err", err)
		}
		return
	}
	one.off = w
	p.all = slices.DeleteFunc(p.all, func(o *pulse) bool { return o == one })
	close(one.done)
	p.fell(name, one.field.Name)
}

// close writes what is owed when the bus ends, if it can. What it cannot is owed
// still at the next start.
func (p *pulses) close(ctx context.Context) {
	if len(p.all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRest)
	defer cancel()
	defer p.bus.link.Unwatch()
	for _, one := range slices.Clone(p.all) {
		for tries := 0; tries < 3 && ctx.Err() == nil && slices.Contains(p.all, one); tries++ {
			p.write(ctx, one)
		}
	}
	for _, one := range p.all {
		close(one.done)
	}
}

// pulse waits for the off of a pulse, which comes at once when ctx ends, and
// returns what became of both.
func (r writer) pulse(ctx context.Context, one *pulse, on set.Several) bridge.Written {
	background := context.WithoutCancel(ctx)
	rest := time.NewTimer(one.field.Writable.Pulse + fallRest)
	defer rest.Stop()
	select {
	case <-one.done:
	case <-rest.C:
	case <-ctx.Done():
		_ = r.bus.send(background, func(context.Context, *Bus) error { // a bus that has ended wrote it
			one.due = time.Now()
			return nil
		})
		rest.Reset(fallRest)
		select {
		case <-one.done:
		case <-rest.C:
		}
	}
	var off *set.Writing
	_ = r.bus.send(background, func(context.Context, *Bus) error { // so that nobody changes it meanwhile
		off = one.off
		return nil
	})
	select {
	case <-r.bus.ended:
		off = one.off
	default:
	}
	switch {
	case off == nil:
		return bridge.Written{Text: "it is on, and its off is not written yet: that is tried until it is"}
	case !off.Taken():
		return bridge.Written{Text: fmt.Sprintf("it is on, and its off is not taken: %v; that is tried until it is",
			off.Err())}
	case on[0].Err() != nil && !on[0].Taken():
		return bridge.Written{Text: fmt.Sprintf("%v; then its off was written", on[0].Err())}
	}
	look := on // another point is to show that it was on
	if one.field.Writable.Shown == nil {
		look = set.Several{off}
	}
	r.watch(ctx, look)
	is := look.Written()
	if err := on[0].Err(); err != nil && is.Text == "" {
		is.Text = err.Error()
	}
	return is
}
