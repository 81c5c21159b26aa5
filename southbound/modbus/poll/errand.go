package poll

import (
	"bytes"
	"context"
	"errors"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
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

// run does an errand on the bus.
func (e errand) run(ctx context.Context, b *Bus) {
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

// Write sets a point of a device: it is the next request on the bus.
func (b *Bus) Write(ctx context.Context, d *Device, f *point.Field, v bridge.Value) error {
	return b.send(ctx, func(ctx context.Context, b *Bus) error {
		at, lost := d.learnt.Placed([]*point.Field{f})
		if lost != nil || len(at) == 0 || f.Models != nil && d.survey.due(time.Now()) {
			return errors.New("it is not known where the device has the point's SunSpec model")
		}
		err := set.Point(ctx, b.client, d.Spec.Unit, d.Spec.Way, at[0], v)
		if ctx.Err() == nil {
			b.account(cutShort(err))
		}
		if err != nil {
			b.log.Warn("point not written", "device", d.Spec.Name, "point", f.Name, "value", v.String(), "err", err)
		} else {
			b.log.Info("point written", "device", d.Spec.Name, "point", f.Name, "value", v.String())
		}
		return err
	})
}

// cutShort leaves only what says something about the bus.
func cutShort(err error) error {
	if bridge.IsPermanent(err) || errors.Is(err, set.ErrDiffers) {
		return nil
	}
	return err
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
			b.account(err)
		}
		answer = bytes.Clone(got)
		return err
	})
	return answer, err
}
