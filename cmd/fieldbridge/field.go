package main

import (
	"context"
	"fmt"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/mqtt"
)

// field is all devices, for commands. Those that speak by themselves take none.
type field struct {
	modbus *modbus.Source
	mqtt   *mqtt.Source
}

var (
	_ bridge.Writer = field{}
	_ bridge.Reader = field{}
	_ bridge.Pacer  = field{}
)

// Write implements [bridge.Writer].
func (f field) Write(ctx context.Context, c bridge.Command) error {
	if err := f.sensor("write", c.Device); err != nil {
		return err
	}
	return f.modbus.Write(ctx, c)
}

// ReadNow implements [bridge.Reader].
func (f field) ReadNow(ctx context.Context, device string, points []string) ([]bridge.Reading, error) {
	if err := f.sensor("read", device); err != nil {
		return nil, err
	}
	return f.modbus.ReadNow(ctx, device, points)
}

// SetInterval implements [bridge.Pacer].
func (f field) SetInterval(ctx context.Context, device string, every, length time.Duration) error {
	if err := f.sensor("interval of", device); err != nil {
		return err
	}
	return f.modbus.SetInterval(ctx, device, every, length)
}

// sensor returns an error if only a sensor over MQTT is called so.
func (f field) sensor(what, device string) error {
	for _, d := range f.modbus.Devices() {
		if d.Device == device {
			return nil
		}
	}
	for _, d := range f.mqtt.Devices() {
		if d.Device == device {
			return bridge.Permanent(fmt.Errorf("%s %s: it is an MQTT sensor, which speaks by itself: only devices on a Modbus bus can be asked", what, device))
		}
	}
	return nil
}
