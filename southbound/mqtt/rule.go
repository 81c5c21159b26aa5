package mqtt

import (
	"cmp"
	"fmt"
	"time"

	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/topic"
)

// rule is a sensor of the configuration, ready to use.
type rule struct {
	name      string
	config    Sensor
	filter    topic.Filter
	device    topic.Template
	point     topic.Template // of the single point, if the whole payload is its value
	payload   *payload.Rule
	sparkplug bool
	limit     int // of devices
	expect    time.Duration
	faults    faultLog
}

// defaultMaxDevices is how many devices one rule may make unless it says
// otherwise.
const defaultMaxDevices = 1000

// compile makes a rule of a sensor. Validate reports the same errors with their
// keys.
func compile(name string, c Sensor) (*rule, error) {
	r := &rule{name: name, config: c, limit: cmp.Or(c.MaxDevices, defaultMaxDevices), expect: c.Expect.D()}
	var err error
	if r.filter, err = topic.Parse(c.Topic); err != nil {
		return nil, fmt.Errorf("sensor %s: topic: %w", name, err)
	}
	if r.payload, err = payload.Compile(c.payload()); err != nil {
		return nil, fmt.Errorf("sensor %s: %w", name, err)
	}
	if c.Format == payload.Sparkplug {
		r.sparkplug = true
		return r, nil
	}
	if r.device, err = topic.ParseTemplate(c.device(), &r.filter); err != nil {
		return nil, fmt.Errorf("sensor %s: device: %w", name, err)
	}
	if r.payload.Single() {
		if r.point, err = topic.ParseTemplate(c.point(), &r.filter); err != nil {
			return nil, fmt.Errorf("sensor %s: point: %w", name, err)
		}
	}
	return r, nil
}

// payload returns how the payloads are read.
func (c *Sensor) payload() payload.Settings {
	return payload.Settings{Format: c.Format, SkipLines: c.SkipLines, Time: c.Time, Points: c.Points, Value: c.Value}
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

// qos returns what is asked for when subscribing.
func (c *Sensor) qos() byte {
	if c.QoS == nil {
		return 1
	}
	return byte(*c.QoS)
}
