package control

import (
	"context"
	"fmt"

	"fieldbridge/southbound/mqtt"
)

// ForgetSensor names a device over MQTT that is to be forgotten.
type ForgetSensor struct {
	Device string `json:"device"`
}

// ForgetPage is answered when it is forgotten.
const ForgetPage Page[ForgetSensor, string] = "/sensors/forget"

// Do forgets the device.
func (f ForgetSensor) Do(_ context.Context, source *mqtt.Source) (string, error) {
	if !source.Forget(f.Device) {
		return "", fmt.Errorf("no device over MQTT is called %q: 'fieldbridge status' lists them", f.Device)
	}
	return f.Device, nil
}
