package mqtt

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"time"

	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/topic"
)

// rule is a sensor of the configuration, ready to use.
type rule struct {
	name      string
	config    Sensor
	filter    topic.Filter
	avail     *availability // nil if the rule has none
	device    topic.Template
	point     topic.Template // of the single point, if the whole payload is its value
	payload   *payload.Rule
	sparkplug bool
	limit     int // of devices
	expect    attendance.Expect
	faults    faultLog
	heard     heard
	waits     waits
	spoilt    atomic.Pointer[spoilt] // the first message of no device that could not be read; nil if there is none
}

// waits is since when a rule waits for its first message.
type waits struct {
	since  time.Time     // guarded by the devices' mu
	before time.Duration // guarded by the devices' mu; in the runs before
	shown  time.Time     // guarded by the devices' mu; since when, for people
}

// spoilt is a message that could not be read.
type spoilt struct {
	fault payload.Fault
	at    time.Time
}

func (r *rule) spoil(f payload.Fault, at time.Time) {
	if r.spoilt.Load() == nil {
		r.spoilt.Store(&spoilt{f, at})
	}
}

func (w *waits) silent(now time.Time) time.Duration { return now.Sub(w.since) + w.before }

// heard counts the messages that a rule took.
type heard struct {
	messages atomic.Uint64
	last     atomic.Int64 // ms since 1970
}

func (h *heard) note(at time.Time) {
	h.messages.Add(1)
	h.last.Store(at.UnixMilli())
}

// tell returns how many there were, and when the last one came.
func (h *heard) tell() (messages uint64, last time.Time) {
	if messages = h.messages.Load(); messages > 0 {
		last = time.UnixMilli(h.last.Load())
	}
	return messages, last
}

// defaultMaxDevices is how many devices one rule may make unless it says
// otherwise.
const defaultMaxDevices = 1000

// compile makes a rule of a sensor. Validate reports the same errors with their
// keys.
func compile(name string, c Sensor) (*rule, error) {
	r := &rule{name: name, config: c, limit: cmp.Or(c.MaxDevices, defaultMaxDevices), expect: c.Expect}
	var err error
	if r.filter, err = topic.Parse(c.Topic); err != nil {
		return nil, fmt.Errorf("sensor %s: topic: %w", name, err)
	}
	if c.Ignore {
		r.payload, err = payload.Compile(payload.Settings{})
		return r, err
	}
	if r.sparkplug = c.Format == payload.Sparkplug; !r.sparkplug {
		if err := r.compileNames(); err != nil {
			return nil, fmt.Errorf("sensor %s: %w", name, err)
		}
	}
	if r.avail, err = newAvailability(c); err != nil {
		return nil, fmt.Errorf("sensor %s: availability: %w", name, err)
	}
	settings := c.payload()
	settings.Device, settings.Point = r.device.Paths(), r.point.Paths()
	if r.payload, err = payload.Compile(settings); err != nil {
		return nil, fmt.Errorf("sensor %s: %w", name, err)
	}
	return r, nil
}

// compileNames takes over how device and point are called.
func (r *rule) compileNames() (err error) {
	if r.device, err = topic.ParseTemplate(r.config.device(), &r.filter); err != nil {
		return fmt.Errorf("device: %w", err)
	}
	if len(r.config.Points) > 0 {
		return nil
	}
	if r.point, err = topic.ParseTemplate(r.config.point(), &r.filter); err != nil {
		return fmt.Errorf("point: %w", err)
	}
	return nil
}

// payload returns how the payloads are read.
func (c *Sensor) payload() payload.Settings {
	return payload.Settings{Format: c.Format, SkipLines: c.SkipLines, Time: c.Time, Each: c.Each, ThenEach: c.ThenEach,
		Quality: c.Quality, Points: c.Points, Path: c.Path, Value: c.Value}
}

// device returns the template of the device's name.
func (c *Sensor) device() string {
	if c.Device == "" {
		return "{device}"
	}
	return c.Device
}

// point returns the template of the single point's name.
func (c *Sensor) point() string {
	if c.Point == "" {
		return "{point}"
	}
	return c.Point
}

// Retained messages of a site broker.
const (
	retainedUse    = "use"
	retainedMark   = "mark"
	retainedIgnore = "ignore"
)

// retainedCounts reports whether a retained message is a sign of life.
func (r *rule) retainedCounts() bool { return r.config.Retained == retainedUse }

// qos returns what is asked for when subscribing.
func (c *Sensor) qos() byte {
	if c.QoS == nil {
		return 1
	}
	return byte(*c.QoS)
}
