package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

var _ bridge.Writer = (*Source)(nil)

// errStopped is why a write can't be done any more.
var errStopped = errors.New("the bus was stopped")

// order to write, on its way to the goroutine of a bus.
type writeOrder struct {
	ctx    context.Context
	device *device
	field  *field
	value  bridge.Value
	done   chan error // of capacity 1
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
	case f.writable == nil:
		return bridge.Permanent(fmt.Errorf("write %s %s: not writable: add writable: true to the point", c.Device, c.Point))
	case b == nil:
		return fmt.Errorf("write %s %s: %w", c.Device, c.Point, errStopped)
	}
	if err := f.within(c.Value); err != nil {
		return bridge.Permanent(fmt.Errorf("write %s %s: %w", c.Device, c.Point, err))
	}
	w := writeOrder{ctx, d, f, c.Value, make(chan error, 1)}
	select {
	case b.writes <- w:
	case <-b.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select { // once begun it is short, and ends with ctx or the bus
	case err := <-w.done:
		if err != nil {
			return fmt.Errorf("write %s %s: %w", c.Device, c.Point, err)
		}
		return nil
	case <-b.ended:
		return errStopped
	}
}

func (d *deviceSpec) field(point string) *field {
	for _, f := range d.fields {
		if f.name == point {
			return f
		}
	}
	return nil
}

// within reports why a value is not within the limits of a point, but for the
// step.
func (f *field) within(v bridge.Value) error {
	if _, err := f.encode(v); err != nil {
		return err
	}
	number, ok := v.Float()
	if !ok {
		return nil
	}
	if w := f.writable; w.Min != nil && number < w.Min.Float() {
		return fmt.Errorf("%v is below min %v", v, w.Min)
	} else if w.Max != nil && number > w.Max.Float() {
		return fmt.Errorf("%v is above max %v", v, w.Max)
	}
	return nil
}

// carryOut does a write on the bus.
func (b *bus) carryOut(ctx context.Context, w writeOrder) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(w.ctx, cancel)
	defer stop()
	err := b.set1(ctx, w.device, w.field, w.value)
	if err != nil && w.ctx.Err() != nil {
		err = w.ctx.Err()
	}
	if code, ok := wire.ExceptionCode(err); ok && code <= 3 {
		err = bridge.Permanent(err)
	}
	b.log.Info("write", "device", w.device.spec.name, "point", w.field.name, "value", w.value.String(), "err", err)
	w.done <- err
}

// set1 writes one point, reads it back and compares.
func (b *bus) set1(ctx context.Context, d *device, f *field, v bridge.Value) error {
	data, err := f.encode(v)
	if err != nil {
		return bridge.Permanent(err)
	}
	if f.writable.MaxStep != nil {
		if err := b.checkStep(ctx, d, f, v); err != nil {
			return err
		}
	}
	if err := b.put(ctx, d, f, data); err != nil {
		return err
	}
	got, err := b.readAlone(ctx, d, f)
	if err != nil {
		return fmt.Errorf("written, but not read back: %w", err)
	}
	if !f.same(got, data) {
		return fmt.Errorf("written, but the device has %v", f.alone().decode(got))
	}
	return nil
}

// checkStep refuses a change that is too large.
func (b *bus) checkStep(ctx context.Context, d *device, f *field, v bridge.Value) error {
	got, err := b.readAlone(ctx, d, f)
	if err != nil {
		return err
	}
	is := f.alone().decode(got)
	from, ok1 := is.Float()
	to, ok2 := v.Float()
	if !ok1 || !ok2 {
		return fmt.Errorf("the step can't be checked: the device has %v", is)
	}
	if step := f.writable.MaxStep.Float(); math.Abs(to-from) > step*(1+1e-9) {
		return bridge.Permanent(fmt.Errorf("from %v to %v is more than max_step %v", is, v, f.writable.MaxStep))
	}
	return nil
}

// alone returns the field as if it began its block.
func (f *field) alone() *field {
	own := *f
	own.at = 0
	return &own
}

// readAlone reads the registers of a field and nothing else.
func (b *bus) readAlone(ctx context.Context, d *device, f *field) ([]byte, error) {
	return b.read(ctx, d, f.table, f.address, f.words, 1+d.spec.retries)
}

// same reports whether the registers got hold what was written.
func (f *field) same(got, data []byte) bool {
	if f.mask == 0 || f.load == loadBit {
		if f.kind == kindString || f.load == loadBit {
			return bytes.Equal(got[:len(data)], data)
		}
		return f.load.load(got) == f.load.load(data)
	}
	return f.load.load(got)>>f.shift&f.mask == f.load.load(data)>>f.shift&f.mask
}

// put sends the request that writes a field.
func (b *bus) put(ctx context.Context, d *device, f *field, data []byte) error {
	multiple := d.spec.config.Write == writeMultiple
	return b.ask(ctx, d, func(c *wire.Client) error {
		address := uint16(f.address)
		switch {
		case f.table == wire.Coil && multiple:
			_, err := c.WriteMultipleCoils(address, 1, data)
			return err
		case f.table == wire.Coil:
			_, err := c.WriteSingleCoil(address, uint16(data[0])*0xff00)
			return err
		case f.mask != 0:
			return b.putPart(ctx, d, f, data)
		}
		return putRegisters(c, address, data, multiple, d.spec.config.Write == writeSingle)
	})
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
func (b *bus) putPart(ctx context.Context, d *device, f *field, data []byte) error {
	var mask [2]byte
	f.load.store(mask[:], f.mask<<f.shift)
	bits, value := binary.BigEndian.Uint16(mask[:]), binary.BigEndian.Uint16(data)
	_, err := b.client.MaskWriteRegister(uint16(f.address), ^bits, value)
	if code, ok := wire.ExceptionCode(err); !ok || code != 1 {
		return err
	}
	if !f.writable.ReadModifyWrite {
		return fmt.Errorf("the device can't write a part of a register (function 22): "+
			"add writable: {read_modify_write: true} if nothing else changes holding %d: %w", f.address, err)
	}
	got, err := b.client.ReadHoldingRegisters(uint16(f.address), 1)
	if err != nil {
		return err
	}
	whole := binary.BigEndian.Uint16(got)&^bits | value
	return putRegisters(b.client, uint16(f.address), binary.BigEndian.AppendUint16(nil, whole), d.spec.config.Write == writeMultiple, true)
}

// ask does one or more requests to a device, outside its polls.
func (b *bus) ask(ctx context.Context, d *device, do func(*wire.Client) error) error {
	b.client.To(ctx, d.spec.unit, d.spec.timeout)
	err := do(b.client)
	b.account(err)
	return err
}
