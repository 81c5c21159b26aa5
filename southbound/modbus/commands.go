package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/poll"
	"fieldbridge/southbound/modbus/wire"
)

var (
	_ bridge.Writer = (*Source)(nil)
	_ bridge.Reader = (*Source)(nil)
	_ bridge.Pacer  = (*Source)(nil)
)

// Write sets a point: it is the next request on its bus. See [bridge.Writer].
func (s *Source) Write(ctx context.Context, c bridge.Command) error {
	d, b, err := s.onBus(c.Device)
	if d == nil {
		return fmt.Errorf("write %s %s: %w", c.Device, c.Point, err)
	}
	f := d.Spec.Field(c.Point)
	switch {
	case f == nil:
		return bridge.Permanent(fmt.Errorf("write %s %s: the device has no such point", c.Device, c.Point))
	case f.Writable == nil:
		return bridge.Permanent(fmt.Errorf("write %s %s: not writable: add writable: true to the point", c.Device, c.Point))
	case err != nil:
		return fmt.Errorf("write %s %s: %w", c.Device, c.Point, err)
	}
	if err := f.Within(c.Value); err != nil {
		return bridge.Permanent(fmt.Errorf("write %s %s: %w", c.Device, c.Point, err))
	}
	err = b.Write(ctx, d.Device, f, c.Value)
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

// onBus returns a device and the bus that polls it. The device is nil only if
// there is none; that its bus does not run is an error, too.
func (s *Source) onBus(device string) (*device, *poll.Bus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if d == nil {
		return nil, nil, bridge.Permanent(errNoDevice)
	}
	b := s.buses[d.Spec.Bus]
	if b == nil {
		return d, nil, poll.ErrStopped
	}
	return d, b, nil
}

// errNoDevice is that a command names no device of the configuration.
var errNoDevice = errors.New("there is no such device")

// Bounds of another interval for a while.
const (
	minPace     = 100 * time.Millisecond
	maxPace     = 24 * time.Hour
	minPaceTime = time.Second
	maxPaceTime = 24 * time.Hour
)

// SetInterval changes the interval of a device for a while. See [bridge.Pacer].
func (s *Source) SetInterval(ctx context.Context, device string, every, length time.Duration) error {
	err := s.setInterval(ctx, device, every, length)
	if err != nil {
		return fmt.Errorf("interval of %s: %w", device, err)
	}
	return nil
}

func (s *Source) setInterval(ctx context.Context, device string, every, length time.Duration) error {
	switch {
	case every == 0:
	case every < minPace || every > maxPace:
		return bridge.Permanent(fmt.Errorf("%v is out of bounds: %v to %v can be had for a while", every, minPace, maxPace))
	case length < minPaceTime || length > maxPaceTime:
		return bridge.Permanent(fmt.Errorf("for %v is out of bounds: %v to %v", length, minPaceTime, maxPaceTime))
	}
	d, b, err := s.onBus(device)
	if err != nil {
		return err
	}
	return b.SetInterval(ctx, d.Device, every, length)
}

// Intervals returns the devices that are polled at another interval for a while,
// sorted by name.
func (s *Source) Intervals() []bridge.IntervalStatus {
	var all []bridge.IntervalStatus
	for _, d := range s.sorted() {
		if st := d.Status(); !st.Until.IsZero() {
			all = append(all, bridge.IntervalStatus{Device: d.Spec.Name, Every: st.Every, Usual: d.Spec.Every,
				Until: st.Until})
		}
	}
	return all
}
