package modbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/order"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/owed"
	"fieldbridge/southbound/modbus/poll"
)

var (
	_ bridge.Writer = (*Source)(nil)
	_ bridge.Reader = (*Source)(nil)
	_ bridge.Pacer  = (*Source)(nil)
)

// Write sets points: it is the next on their bus. See [bridge.Writer].
func (s *Source) Write(ctx context.Context, c bridge.Command) bridge.Written {
	is := s.write(ctx, c)
	if is.Text != "" {
		is.Text = strings.TrimRight(fmt.Sprintf("write %s %s", c.Device, c.Point), " ") + ": " + is.Text
	}
	return is
}

func (s *Source) write(ctx context.Context, c bridge.Command) bridge.Written {
	d, b, err := s.onBus(c.Device)
	if d == nil {
		return bridge.NotWritten(err)
	}
	values, wrong := d.values(c)
	if wrong != nil {
		return bridge.NotWritten(bridge.Permanent(wrong))
	}
	if err != nil {
		return bridge.NotWritten(err)
	}
	if values[0].Pulses() {
		// Whatever becomes of this process, its off is written.
		if err := s.book.Begin(owed.Point{Device: c.Device, Point: values[0].Field.Name}); err != nil {
			return bridge.NotWritten(bridge.Permanent(err))
		}
	}
	return b.Write(ctx, d.Device, c.ByHand, values...)
}

// values returns what a command is to set, in the order in which it is written.
func (d *device) values(c bridge.Command) ([]poll.Value, error) {
	if len(c.Set) == 0 {
		v, err := d.value(c.Point, c.Value)
		return []poll.Value{v}, err
	}
	values := make([]poll.Value, len(c.Set))
	for i, set := range c.Set {
		var err error
		if values[i], err = d.value(set.Point, set.Value); err == nil && values[i].Field.Writable.Pulse > 0 {
			err = errors.New("a pulse is a command of its own")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", set.Point, err)
		}
	}
	if c.ByAddress {
		order.Stably(values, func(a, b poll.Value) int {
			return cmp.Or(cmp.Compare(a.Field.Table, b.Field.Table), slices.Compare(a.Field.Models, b.Field.Models),
				cmp.Compare(a.Field.Address, b.Field.Address), cmp.Compare(a.Field.Shift, b.Field.Shift))
		})
	}
	return values, nil
}

// value returns what a point is to be set to, or why it may not.
func (d *device) value(name string, v bridge.Value) (poll.Value, error) {
	f := d.Spec.Field(name)
	switch {
	case f == nil:
		return poll.Value{}, errors.New("the device has no such point")
	case f.Writable == nil:
		return poll.Value{}, errors.New("not writable: add writable: true to the point")
	case d.Spec.Upkeep != nil && d.Spec.Upkeep.Constant(name):
		return poll.Value{}, errors.New("the gateway keeps it at a constant: a command would be overwritten")
	}
	return poll.Value{Field: f, Value: v}, f.Within(v)
}

// Relay sends a request PDU to a unit of a running bus, named as configured or
// by its URL, between its polls, and returns the PDU of the answer, exceptions
// included.
func (s *Source) Relay(ctx context.Context, name string, unit byte, pdu []byte) ([]byte, error) {
	var on *poll.Bus
	var names []string
	for _, b := range s.running() {
		names = append(names, b.Spec.Name)
		if b.Spec.Name == name || b.Spec.Address.String() == name {
			on = b
		}
	}
	if on == nil {
		return nil, fmt.Errorf("no bus %q is running: %s", name,
			setting.Meant(name, names, setting.Choice("the gateway runs", names)))
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
			} else if f.WriteOnly() {
				return nil, bridge.Permanent(fmt.Errorf("read %s %s: it is never read (access: write)", device, p))
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
