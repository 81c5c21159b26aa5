package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
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
		err := (&setter{b.client, d}).set(ctx, at[0], c.Value)
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
	if bridge.IsPermanent(err) || errors.Is(err, errDiffers) {
		return nil
	}
	return err
}

// errDiffers is that a device has another value than was written.
var errDiffers = errors.New("the device has another value")

// Relay sends a request PDU to a unit of a running bus, named as configured or
// by its URL, between its polls, and returns the PDU of the answer, exceptions
// included.
func (s *Source) Relay(ctx context.Context, name string, unit byte, pdu []byte) ([]byte, error) {
	var on *bus
	for _, b := range s.running() {
		if b.spec.name == name || b.spec.address.String() == name {
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

// setter writes points of a device, with nothing else on its bus.
type setter struct {
	client *wire.Client
	device *device
}

// set writes one point, reads it back and compares.
func (s *setter) set(ctx context.Context, f *point.Field, v bridge.Value) error {
	data, err := f.Encode(v)
	if err != nil {
		return bridge.Permanent(err)
	}
	if f.Writable.MaxStep != nil {
		if err := s.checkStep(ctx, f, v); err != nil {
			return err
		}
	}
	if err := s.put(ctx, f, data); err != nil {
		return err
	}
	got, err := s.read(ctx, f)
	if err != nil {
		return fmt.Errorf("written, but not read back: %w", err)
	}
	if !f.Same(got, data) {
		return fmt.Errorf("written, but %w: %v", errDiffers, f.Decode(got))
	}
	return nil
}

// checkStep refuses a change that is too large.
func (s *setter) checkStep(ctx context.Context, f *point.Field, v bridge.Value) error {
	got, err := s.read(ctx, f)
	if err != nil {
		return err
	}
	is := f.Decode(got)
	from, ok1 := is.Float()
	to, ok2 := v.Float()
	if !ok1 || !ok2 {
		return fmt.Errorf("the step can't be checked: the device has %v", is)
	}
	if step := f.Writable.MaxStep.Float(); math.Abs(to-from) > step*(1+1e-9) {
		return bridge.Permanent(fmt.Errorf("from %v to %v is more than max_step %v", is, v, f.Writable.MaxStep))
	}
	return nil
}

// read reads the registers of a field and nothing else.
func (s *setter) read(ctx context.Context, f *point.Field) ([]byte, error) {
	r := fetch(ctx, s.client, s.device, s.device.spec.timeout, f.Table, f.Address, f.Words, 1+s.device.spec.retries)
	return r.data, r.err
}

// put sends the requests that write a field.
func (s *setter) put(ctx context.Context, f *point.Field, data []byte) error {
	way := s.device.spec.config.Write
	s.client.To(ctx, s.device.spec.unit, s.device.spec.timeout)
	s.client.Pause(s.device.spec.pause)
	address := uint16(f.Address)
	switch {
	case f.Table == wire.Coil && way == writeMultiple:
		_, err := s.client.WriteMultipleCoils(address, 1, data)
		return err
	case f.Table == wire.Coil:
		_, err := s.client.WriteSingleCoil(address, uint16(data[0])*0xff00)
		return err
	case f.Mask != 0:
		return s.putPart(f, data)
	}
	return putRegisters(s.client, address, data, way == writeMultiple, way == writeSingle)
}

func putRegisters(c *wire.Client, address uint16, data []byte, multiple, single bool) error {
	if multiple || len(data) > 2 && !single {
		_, err := c.WriteMultipleRegisters(address, uint16(len(data)/2), data)
		return err
	}
	for ; len(data) > 0; data, address = data[2:], address+1 {
		if _, err := c.WriteSingleRegister(address, binary.BigEndian.Uint16(data)); err != nil {
			return err
		}
	}
	return nil
}

// putPart writes some bits of a register: by function 22, which the device does
// at once, or by writing the whole register back where that is allowed.
func (s *setter) putPart(f *point.Field, data []byte) error {
	var mask [2]byte
	f.Load.Store(mask[:], f.Mask<<f.Shift)
	bits, value := binary.BigEndian.Uint16(mask[:]), binary.BigEndian.Uint16(data)
	_, err := s.client.MaskWriteRegister(uint16(f.Address), ^bits, value)
	if code, ok := wire.ExceptionCode(err); !ok || code != 1 {
		return err
	}
	if !f.Writable.ReadModifyWrite {
		return fmt.Errorf("the device can't write a part of a register (function 22): "+
			"add writable: {read_modify_write: true} if nothing else changes holding %d: %w", f.Address, err)
	}
	got, err := s.client.ReadHoldingRegisters(uint16(f.Address), 1)
	if err != nil {
		return err
	}
	whole := binary.BigEndian.Uint16(got)&^bits | value
	return putRegisters(s.client, uint16(f.Address), binary.BigEndian.AppendUint16(nil, whole),
		s.device.spec.config.Write == writeMultiple, true)
}
