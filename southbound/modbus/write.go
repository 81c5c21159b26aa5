package modbus

import (
	"context"
	"fmt"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/poll"
	"fieldbridge/southbound/modbus/wire"
)

var _ bridge.Writer = (*Source)(nil)

// Write sets a point: it is the next request on its bus. See [bridge.Writer].
func (s *Source) Write(ctx context.Context, c bridge.Command) error {
	s.mu.Lock()
	d := s.devices[c.Device]
	var b *poll.Bus
	if d != nil {
		b = s.buses[d.Spec.Bus]
	}
	s.mu.Unlock()
	if d == nil {
		return bridge.Permanent(fmt.Errorf("write %s %s: there is no such device", c.Device, c.Point))
	}
	f := d.Spec.Field(c.Point)
	switch {
	case f == nil:
		return bridge.Permanent(fmt.Errorf("write %s %s: the device has no such point", c.Device, c.Point))
	case f.Writable == nil:
		return bridge.Permanent(fmt.Errorf("write %s %s: not writable: add writable: true to the point", c.Device, c.Point))
	case b == nil:
		return fmt.Errorf("write %s %s: %w", c.Device, c.Point, poll.ErrStopped)
	}
	if err := f.Within(c.Value); err != nil {
		return bridge.Permanent(fmt.Errorf("write %s %s: %w", c.Device, c.Point, err))
	}
	err := b.Write(ctx, d.Device, f, c.Value)
	if code, ok := wire.ExceptionCode(err); ok && code <= 3 {
		err = bridge.Permanent(err)
	}
	if err != nil {
		return fmt.Errorf("write %s %s: %w", c.Device, c.Point, err)
	}
	return nil
}

// Relay sends a request PDU to a unit of a running bus, named as configured or
// by its URL, between its polls, and returns the PDU of the answer, exceptions
// included.
func (s *Source) Relay(ctx context.Context, name string, unit byte, pdu []byte) ([]byte, error) {
	var on *poll.Bus
	for _, b := range s.running() {
		if b.Spec.Name == name || b.Spec.Address.String() == name {
			on = b
		}
	}
	if on == nil {
		return nil, fmt.Errorf("no bus %q is running", name)
	}
	return on.Relay(ctx, unit, pdu)
}
