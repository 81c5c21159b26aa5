package modbus

import (
	"context"
	"fmt"
	"time"

	"fieldbridge/bridge"
)

var _ bridge.Pacer = (*Source)(nil)

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
