package gateway

import (
	"context"
	"fmt"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/mqtt"
)

// devices is all devices, for commands. Those that speak by themselves take none.
type devices struct {
	modbus *modbus.Source
	mqtt   *mqtt.Source
}

var (
	_ bridge.Writer = devices{}
	_ bridge.Reader = devices{}
	_ bridge.Pacer  = devices{}

	_ bridge.DeviceReporter = devices{}
)

// Write implements [bridge.Writer].
func (d devices) Write(ctx context.Context, c bridge.Command) bridge.Written {
	if err := d.askable("write", c.Device); err != nil {
		return bridge.NotWritten(err)
	}
	return d.modbus.Write(ctx, c)
}

// ReadNow implements [bridge.Reader].
func (d devices) ReadNow(ctx context.Context, device string, points []string) ([]bridge.Reading, error) {
	if err := d.askable("read", device); err != nil {
		return nil, err
	}
	return d.modbus.ReadNow(ctx, device, points)
}

// SetInterval implements [bridge.Pacer].
func (d devices) SetInterval(ctx context.Context, device string, every, length time.Duration) error {
	if err := d.askable("interval of", device); err != nil {
		return err
	}
	return d.modbus.SetInterval(ctx, device, every, length)
}

// Devices implements [bridge.DeviceReporter].
func (d devices) Devices() []bridge.DeviceStatus {
	return append(d.modbus.Devices(), d.mqtt.Devices()...)
}

// askable returns an error if only a sensor over MQTT is called so.
func (d devices) askable(what, device string) error {
	for _, known := range d.modbus.Devices() {
		if known.Device == device {
			return nil
		}
	}
	for _, known := range d.mqtt.Devices() {
		if known.Device == device {
			return bridge.Permanent(fmt.Errorf("%s %s: it is an MQTT sensor, which speaks by itself: "+
				"only devices on a Modbus bus can be asked", what, device))
		}
	}
	return nil
}
