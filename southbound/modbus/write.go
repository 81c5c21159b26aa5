package modbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
	"fieldbridge/southbound/modbus/wire"
)

var _ bridge.Writer = (*Source)(nil)

// errStopped is why a write can't be done any more.
var errStopped = errors.New("the bus was stopped")

// errand is something to do on a bus between polls, on its way to the bus's
// goroutine.
type errand struct {
	ctx  context.Context
	do   func(ctx context.Context, b *bus) error
	done chan error // of capacity 1
}

// send has do done on the bus and returns its error.
func (b *bus) send(ctx context.Context, do func(context.Context, *bus) error) error {
	e := errand{ctx, do, make(chan error, 1)}
	select {
	case b.errands <- e:
	case <-b.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select { // once begun it is short, and ends with ctx or the bus
	case err := <-e.done:
		return err
	case <-b.ended:
		return errStopped
	}
}

// run does an errand on the bus.
func (e errand) run(ctx context.Context, b *bus) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer b.link.Unwatch()
	stop := context.AfterFunc(e.ctx, cancel)
	defer stop()
	err := e.do(ctx, b)
	if err != nil && e.ctx.Err() != nil {
		err = e.ctx.Err()
	}
	e.done <- err
}

// Write sets a point: it is the next request on its bus. See [bridge.Writer].
func (s *Source) Write(ctx context.Context, c bridge.Command) error {
	s.mu.Lock()
	d := s.devices[c.Device]
	var b *bus
	if d != nil {
		b = s.buses[d.spec.bus]
	}
	s.mu.Unlock()
	if d == nil {
		return bridge.Permanent(fmt.Errorf("write %s %s: there is no such device", c.Device, c.Point))
	}
	f := d.spec.field(c.Point)
	switch {
	case f == nil:
		return bridge.Permanent(fmt.Errorf("write %s %s: the device has no such point", c.Device, c.Point))
	case f.Writable == nil:
		return bridge.Permanent(fmt.Errorf("write %s %s: not writable: add writable: true to the point", c.Device, c.Point))
	case b == nil:
		return fmt.Errorf("write %s %s: %w", c.Device, c.Point, errStopped)
	}
	if err := f.Within(c.Value); err != nil {
		return bridge.Permanent(fmt.Errorf("write %s %s: %w", c.Device, c.Point, err))
	}
	err := b.send(ctx, func(ctx context.Context, b *bus) error {
		at, lost := d.learnt.Placed([]*point.Field{f})
		if lost != nil || len(at) == 0 || f.Models != nil && d.survey.due(time.Now()) {
			return errors.New("it is not known where the device has the point's SunSpec model")
		}
		err := set.Point(ctx, b.client, d.spec.Unit, d.spec.config.Write, at[0], c.Value)
		if ctx.Err() == nil {
			b.account(cutShort(err))
		}
		if err != nil {
			b.log.Warn("point not written", "device", c.Device, "point", c.Point, "value", c.Value.String(), "err", err)
		} else {
			b.log.Info("point written", "device", c.Device, "point", c.Point, "value", c.Value.String())
		}
		return err
	})
	if code, ok := wire.ExceptionCode(err); ok && code <= 3 {
		err = bridge.Permanent(err)
	}
	if err != nil {
		return fmt.Errorf("write %s %s: %w", c.Device, c.Point, err)
	}
	return nil
}

// cutShort leaves only what says something about the bus.
func cutShort(err error) error {
	if bridge.IsPermanent(err) || errors.Is(err, set.ErrDiffers) {
		return nil
	}
	return err
}

// Relay sends a request PDU to a unit of a running bus, named as configured or
// by its URL, between its polls, and returns the PDU of the answer, exceptions
// included.
func (s *Source) Relay(ctx context.Context, name string, unit byte, pdu []byte) ([]byte, error) {
	var on *bus
	for _, b := range s.running() {
		if b.spec.name == name || b.spec.Address.String() == name {
			on = b
		}
	}
	if on == nil {
		return nil, fmt.Errorf("no bus %q is running", name)
	}
	var answer []byte
	err := on.send(ctx, func(ctx context.Context, b *bus) error {
		b.client.To(ctx, unit, b.spec.timeout)
		b.client.Pause(b.spec.pause)
		got, err := b.client.Raw(pdu)
		if ctx.Err() == nil {
			b.account(err)
		}
		answer = bytes.Clone(got)
		return err
	})
	return answer, err
}

func (d *deviceSpec) field(point string) *point.Field {
	for _, f := range d.fields {
		if f.Name == point {
			return f
		}
	}
	return nil
}
