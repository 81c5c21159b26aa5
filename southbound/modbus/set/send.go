package set

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// partError is that a write of several requests was broken off after the first.
type partError struct {
	done, of int
	err      error
}

// Error says how far it got.
func (e *partError) Error() string {
	return fmt.Sprintf("%d of %d registers are written, then: %v", e.done, e.of, e.err)
}

// beforeError is that a request that has to come before the one that writes
// failed.
type beforeError struct{ error }

// Unwrap returns why.
func (e beforeError) Unwrap() error { return e.error }

// Put writes a value of a field, whose place is known, and reads nothing back. An
// error that is permanent in the sense of [bridge.IsPermanent] is of the value.
func (l Line) Put(ctx context.Context, f *point.Field, v bridge.Value) error {
	w, err := New(f, v)
	if err == nil {
		err = w.scale(ctx, l)
	}
	if err != nil {
		return err
	}
	l.Client.To(ctx, l.Unit.ID, l.Unit.Timeout)
	l.Client.Pause(l.Unit.Pause)
	err = l.put(w.field, w.data)
	var echo *wire.EchoError
	if w.field.Setting().By == point.ByNone && errors.As(err, &echo) {
		return nil
	}
	return err
}

// PutFrom writes what another field of the unit has now, and so much more; a whole
// number that is beyond what the field can have begins again.
func (l Line) PutFrom(ctx context.Context, f, from *point.Field, more bridge.Value) error {
	r := l.Client.Fetch(ctx, l.Unit, from.Table, from.Address, from.Words, 1+l.Unit.Retries)
	if r.Err != nil {
		return fmt.Errorf("%s: %w", from.Name, r.Err)
	}
	v := from.Decode(r.Data)
	if !v.Good() {
		return fmt.Errorf("%s has no value to follow: %v", from.Name, v)
	}
	return l.Put(ctx, f, f.Follow(v, more))
}

// scaled reads the scale point of a field and returns the field as it is with it.
func (l Line) scaled(ctx context.Context, f *point.Field) (*point.Field, error) {
	r := l.Client.Fetch(ctx, l.Unit, f.Factor.Table, f.Factor.Address, f.Factor.Words, 1+l.Unit.Retries)
	if r.Err != nil {
		return nil, fmt.Errorf("its scale point: %w", r.Err)
	}
	return f.ScaledBy(r.Data)
}

// put sends the requests that write a field.
func (l Line) put(f *point.Field, data []byte) error {
	function := l.function(f)
	switch {
	case f.Size > 0: // each register has all its bytes
		_, err := l.Client.WriteMultipleRegisters(uint16(f.Address), uint16(f.Words), data)
		return plain(err, 16)
	case f.Together != (point.Span{}) && f.Setting().ReadModifyWrite && f.Setting().Function != 22:
		return l.putTogether(f, data)
	case f.Table == wire.Coil && function == 15:
		_, err := l.Client.WriteMultipleCoils(uint16(f.Address), 1, data)
		return plain(err, 15)
	case f.Table == wire.Coil:
		if f.Sides != nil {
			return plain(l.Client.WriteCoil(uint16(f.Address), uint16(f.Sides.Raw(data[0] != 0))), 5)
		}
		_, err := l.Client.WriteSingleCoil(uint16(f.Address), uint16(data[0])*0xff00)
		return plain(err, 5)
	case function == 22:
		return l.putMask(f, data)
	case f.Mask != 0:
		return l.putPart(f, data, function)
	}
	return l.putRegisters(uint16(f.Address), data, function)
}

// function returns the function that writes a field: its own, or by the device's
// way.
func (l Line) function(f *point.Field) byte {
	switch {
	case f.Setting().Function != 0:
		return f.Setting().Function
	case f.Table == wire.Coil && l.Way == Multiple && f.Sides == nil:
		return 15
	case f.Table == wire.Coil:
		return 5
	case f.Mask != 0 && f.Words == 1:
		return 22
	case l.Way == Multiple || f.Words > 1 && l.Way != Single:
		return 16
	}
	return 6
}

// plain returns the error of a write by a function in plain words; a device that
// lacks the function may have another.
func plain(err error, function byte) error {
	if code, ok := wire.ExceptionCode(err); !ok || code != illegalFunction {
		return wire.Plain(err)
	}
	other := map[byte]string{5: "multiple, or to the point write_function: 15",
		6:  "multiple, or to the point write_function: 16",
		15: "single, or to the point write_function: 5", 16: "single, or to the point write_function: 6"}
	return fmt.Errorf("%w %d: if it has another, add to the device write: %s", wire.Plain(err), function, other[function])
}

// illegalFunction is the exception of a unit that lacks a function.
const illegalFunction = 1

// putRegisters writes registers by function 6, one after the other, or 16.
func (l Line) putRegisters(address uint16, data []byte, function byte) error {
	of := len(data) / 2
	if function == 16 {
		_, err := l.Client.WriteMultipleRegisters(address, uint16(of), data)
		return plain(err, 16)
	}
	for i := range of {
		_, err := l.Client.WriteSingleRegister(address+uint16(i), binary.BigEndian.Uint16(data[2*i:]))
		if err != nil && i > 0 {
			return &partError{i, of, wire.Plain(err)}
		} else if err != nil {
			return plain(err, 6)
		}
	}
	return nil
}

// putMask writes some bits of a register, or all, by function 22, which the device
// does at once, or by writing the whole register back where that is allowed.
func (l Line) putMask(f *point.Field, data []byte) error {
	mask := []byte{0xff, 0xff}
	if f.Mask != 0 {
		f.Load.Store(mask, f.Mask<<f.Shift)
	}
	_, err := l.Client.MaskWriteRegister(uint16(f.Address), ^binary.BigEndian.Uint16(mask), binary.BigEndian.Uint16(data))
	if code, ok := wire.ExceptionCode(err); !ok || code != illegalFunction {
		return wire.Plain(err)
	}
	if !f.Setting().ReadModifyWrite {
		return fmt.Errorf("the device cannot write a part of a register (function 22): "+
			"add writable: {read_modify_write: true} if nothing else changes holding %d: %w", f.Address, wire.Plain(err))
	}
	function := byte(6)
	if l.Way == Multiple {
		function = 16
	}
	return l.putPart(f, data, function)
}

// putPart writes some bits of registers by writing all of them back.
func (l Line) putPart(f *point.Field, data []byte, function byte) error {
	is, err := l.Client.ReadHoldingRegisters(uint16(f.Address), uint16(f.Words))
	if err != nil {
		return beforeError{wire.Plain(err)}
	}
	return l.putRegisters(uint16(f.Address), f.Merge(is, data), function)
}

// putTogether writes what the device knows only as a whole: what else is in it is
// written back as it was.
func (l Line) putTogether(f *point.Field, data []byte) error {
	first, count := uint16(f.Together.First), uint16(f.Together.End-f.Together.First)
	is, err := l.Client.Read(f.Table, first, count)
	if err != nil {
		return beforeError{err}
	}
	all, at := slices.Clone(is), f.Address-f.Together.First
	if f.Table == wire.Coil {
		all[at>>3] = all[at>>3]&^(1<<(at&7)) | data[0]<<(at&7)
		_, err := l.Client.WriteMultipleCoils(first, count, all)
		return plain(err, 15)
	}
	copy(all[2*at:], f.Merge(all[2*at:], data))
	return l.putRegisters(first, all, 16)
}
