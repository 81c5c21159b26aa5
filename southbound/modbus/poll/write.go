package poll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
	"fieldbridge/southbound/modbus/wire"
)

// writer writes to a device of a bus, on behalf of who asks for it.
type writer struct {
	bus    *Bus
	device *Device
	away   bool // the device did not answer before the write
}

// Value is what a field is to be set to.
type Value struct {
	Field *point.Field
	bridge.Value
}

// write is [Bus.Write].
func (r writer) write(ctx context.Context, byHand bool, values []Value) (is bridge.Written) {
	defer func() { r.tell(values, is) }()
	first := values[0]
	var (
		w     set.Several
		one   *pulse // that was begun
		begun time.Time
	)
	err := r.bus.send(ctx, func(ctx context.Context, _ *Bus) error {
		if r.bus.tender.isOff() && !byHand {
			return bridge.Permanent(ErrOff)
		}
		if first.Pulses() && r.bus.pulses.has(r.device, first.Field) {
			return bridge.Permanent(errors.New("a pulse of it is under way"))
		}
		all, err := r.prepare(ctx, values)
		if err != nil {
			return err
		}
		r.away = r.device.away()
		if err := r.unlock(ctx); err != nil {
			return err
		}
		w, begun = all, time.Now()
		l := r.line()
		l.Stop = func() bool { return r.bus.tender.isOff() && !byHand }
		w.Send(ctx, l, r.device.reads)
		if first.Pulses() && w[0].Sent() {
			one = r.bus.pulses.add(r, first.Field, begun.Add(first.Field.Writable.Pulse))
			r.counted(ctx, w)
			return nil
		}
		r.look(ctx, w)
		return nil
	})
	if one != nil {
		return r.pulse(ctx, one, w)
	}
	if first.Pulses() {
		r.bus.pulses.fell(r.device.Spec.Name, first.Field.Name) // it never was
	}
	if w == nil {
		return bridge.NotWritten(err)
	}
	r.watch(ctx, w)
	if is = w.Written(); r.device.keeper != nil && !byHand &&
		(is.Outcome == bridge.Done || is.Outcome == bridge.Unconfirmed) {
		_ = r.bus.send(ctx, func(context.Context, *Bus) error { // without the bus it is not kept
			for _, v := range values {
				r.device.keeper.Command(v.Field.Name, v.Value, begun)
			}
			return nil
		})
	}
	return is
}

// watch looks whether writes show, between polls, as long as that is to be known.
func (r writer) watch(ctx context.Context, w set.Several) {
	for w.Open(time.Now()) && pause.Sleep(ctx, w.Pause()) {
		if r.bus.send(ctx, func(ctx context.Context, _ *Bus) error {
			r.look(ctx, w)
			return nil
		}) != nil {
			return
		}
	}
}

// Pulses reports whether v is to fall back by itself.
func (v Value) Pulses() bool { return set.Rises(v.Field, v.Value) }

// prepare finds where the points are, and what is to go there.
func (r writer) prepare(ctx context.Context, values []Value) (all set.Several, err error) {
	for _, v := range values {
		at, err := r.there(ctx, v.Field)
		if err != nil {
			return nil, err
		}
		w, err := set.New(at, v.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// unlock writes what goes before a command.
func (r writer) unlock(ctx context.Context) error {
	if r.device.Spec.Upkeep == nil {
		return nil
	}
	for _, w := range r.device.Spec.Upkeep.BeforeWrite {
		at, err := r.there(ctx, w.Field)
		if err == nil {
			err = r.line().Put(ctx, at, w.Value)
			if ctx.Err() == nil {
				r.bus.requested(trouble(err))
			}
		}
		if err != nil {
			if _, refused := wire.ExceptionCode(err); refused {
				err = bridge.Permanent(err)
			}
			return fmt.Errorf("before_write, %s: %w", w.Field.Name, err)
		}
	}
	return nil
}

// trouble leaves of an error what it says of the line.
func trouble(err error) error {
	if bridge.IsPermanent(err) {
		return nil
	}
	return err
}

// errNoPlace is why a point of a SunSpec model cannot be written.
var errNoPlace = errors.New("it is not known where the device has the point's SunSpec model")

// place returns f where the device has it; nil is that this is not known.
func (r writer) place(f *point.Field) *point.Field {
	at, lost := r.device.learnt.Placed([]*point.Field{f})
	if lost != nil || len(at) == 0 || f.Models != nil && r.device.survey.due(time.Now()) {
		return nil
	}
	return at[0]
}

// there returns f where the device has it, right before a write: if it is in a
// SunSpec model, that was still there. What moved there may be anything.
func (r writer) there(ctx context.Context, f *point.Field) (*point.Field, error) {
	at := r.place(f)
	if at == nil {
		return nil, errNoPlace
	}
	if at.Head == nil {
		return at, nil
	}
	d := r.device
	h := r.bus.client.Fetch(ctx, d.Spec.Unit, at.Table, at.Head.Address, point.HeadWords, 1+d.Spec.Retries)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.bus.requested(h.Err)
	if h.Err == nil && !at.Head.Shows(h.Data) {
		d.survey.renew()
		return nil, errNoPlace
	}
	return at, h.Err
}

func (r writer) line() set.Line {
	return set.Line{Client: r.bus.client, Unit: r.device.Spec.Unit, Way: r.device.Spec.Way, Away: r.away}
}

// look reads what shows whether the writes were carried out, as far as that is to
// be known.
func (r writer) look(ctx context.Context, all set.Several) {
	for _, w := range all {
		if w.Open(time.Now()) {
			if at := r.place(w.Confirming()); at != nil {
				block, i := r.device.reads(at)
				w.Look(ctx, r.line(), block, i)
			}
		}
	}
	r.counted(ctx, all)
}

// counted counts what was asked as a request of the bus.
func (r writer) counted(ctx context.Context, all set.Several) {
	if ctx.Err() == nil {
		r.bus.requested(all.Trouble())
	}
}

// tell logs what became of a write.
func (r writer) tell(values []Value, is bridge.Written) {
	log, what := r.bus.log.Warn, "point not written"
	switch {
	case is.Outcome == bridge.Done, is.Outcome == bridge.Unconfirmed && is.Enough:
		log, what = r.bus.log.Info, "point written"
	case is.Outcome == bridge.Unconfirmed:
		what = "point written, but it does not show"
	}
	for _, v := range values {
		log(what, "device", r.device.Spec.Name, "point", v.Field.Name, "value", v.String(), "text", is.Text)
	}
}

// reads returns the request that reads f, which is in its place, and the field's
// place in it: that of the plan, which the device is known to answer, or else one
// for it alone.
func (d *Device) reads(f *point.Field) (block plan.Block, i int) {
	for _, j := range d.jobs {
		for _, blk := range j.blocks {
			if j.stale || blk.failed > 0 {
				continue
			}
			for i := range blk.Fields {
				if blk.Fields[i].Name == f.Name {
					return blk.Block, i
				}
			}
		}
	}
	return d.alone(f.Apart()), 0
}
