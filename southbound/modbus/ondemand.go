package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/poll"
)

var _ bridge.Reader = (*Source)(nil)

// ReadNow reads points of a device next on its bus. See [bridge.Reader].
func (s *Source) ReadNow(ctx context.Context, device string, points []string) ([]bridge.Reading, error) {
	d, b, err := s.onBus(device)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", device, err)
	}
	fields := d.Spec.Fields
	if len(points) > 0 {
		fields = nil
		for _, p := range points {
			f := d.Spec.Field(p)
			if f == nil {
				return nil, bridge.Permanent(fmt.Errorf("read %s %s: the device has no such point", device, p))
			}
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	readings, err := b.ReadNow(ctx, d.Device, fields)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", device, err)
	}
	return readings, nil
}

// onBus returns a device and the bus that polls it.
func (s *Source) onBus(device string) (*device, *poll.Bus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if d == nil {
		return nil, nil, bridge.Permanent(errNoDevice)
	}
	b := s.buses[d.Spec.Bus]
	if b == nil {
		return nil, nil, poll.ErrStopped
	}
	return d, b, nil
}

// errNoDevice is that a command names no device of the configuration.
var errNoDevice = errors.New("there is no such device")
