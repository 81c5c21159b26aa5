// Package set writes a point of a Modbus unit: it encodes the value, keeps to the
// largest step, writes a part of a register by function 22 (Modbus Application
// Protocol V1.1b3, section 6.16), and reads back what was written.
package set

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// The ways to write registers and coils; Auto is [Single] where one will do.
const (
	Auto     = "auto"
	Single   = "single"   // functions 5 and 6
	Multiple = "multiple" // functions 15 and 16
)

// ErrDiffers is that a device has another value than was written.
var ErrDiffers = errors.New("the device has another value")

// Point writes one point of a unit, reads it back and compares. Nothing else may
// use c meanwhile. Errors that are permanent in the sense of [bridge.IsPermanent]
// are of the value.
func Point(ctx context.Context, c *wire.Client, u wire.Unit, way string, f *point.Field, v bridge.Value) error {
	s := &setter{c, u, way}
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
	if !bytes.Equal(got, data) {
		return fmt.Errorf("written, but %w: %v", ErrDiffers, f.Decode(got))
	}
	return nil
}

// setter writes to a unit, with nothing else on its bus.
type setter struct {
	client *wire.Client
	unit   wire.Unit
	way    string
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
		return fmt.Errorf("the step cannot be checked: the device has %v", is)
	}
	if step := f.Writable.MaxStep.Float(); math.Abs(to-from) > step*(1+1e-9) {
		return bridge.Permanent(fmt.Errorf("from %v to %v is more than max_step %v", is, v, f.Writable.MaxStep))
	}
	return nil
}

// read reads the registers of a field and nothing else.
func (s *setter) read(ctx context.Context, f *point.Field) ([]byte, error) {
	r := s.client.Fetch(ctx, s.unit, f.Table, f.Address, f.Words, 1+s.unit.Retries)
	return r.Data, r.Err
}

// put sends the requests that write a field.
func (s *setter) put(ctx context.Context, f *point.Field, data []byte) error {
	s.client.To(ctx, s.unit.ID, s.unit.Timeout)
	s.client.Pause(s.unit.Pause)
	address := uint16(f.Address)
	switch {
	case f.Table == wire.Coil && s.way == Multiple:
		_, err := s.client.WriteMultipleCoils(address, 1, data)
		return err
	case f.Table == wire.Coil:
		_, err := s.client.WriteSingleCoil(address, uint16(data[0])*0xff00)
		return err
	case f.Mask != 0:
		return s.putPart(f, data)
	}
	return putRegisters(s.client, address, data, s.way == Multiple, s.way == Single)
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
		return fmt.Errorf("the device cannot write a part of a register (function 22): "+
			"add writable: {read_modify_write: true} if nothing else changes holding %d: %w", f.Address, err)
	}
	got, err := s.client.ReadHoldingRegisters(uint16(f.Address), 1)
	if err != nil {
		return err
	}
	whole := binary.BigEndian.Uint16(got)&^bits | value
	return putRegisters(s.client, uint16(f.Address), binary.BigEndian.AppendUint16(nil, whole),
		s.way == Multiple, true)
}
