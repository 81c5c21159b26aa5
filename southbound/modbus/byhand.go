package modbus

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/setup"
)

// ByHand returns a device of a valid configuration as it is asked by hand, and the
// key of its bus, by which a running gateway knows it.
func ByHand(c setup.Config, device string) (d commission.Device, bus string, err error) {
	if _, ok := c.Devices[device]; !ok {
		names := slices.Sorted(maps.Keys(c.Devices))
		return d, "", fmt.Errorf("there is no Modbus device %q: %s", device,
			setting.Meant(device, names, "the devices are "+strings.Join(names, ", ")))
	}
	r := setup.Resolve(setup.Config{Buses: c.Buses, Devices: map[string]setup.Device{device: c.Devices[device]}})
	spec := r.Devices[device]
	on := r.Buses[spec.Bus]
	spec.Exchange = nil // what is asked by hand does not write unasked
	d = commission.Device{Unit: spec.Unit, Place: on.Place, Way: spec.Way, Limits: spec.Limits,
		Cost: on.Cost(spec.Pause), Fields: spec.Fields, Others: spec.Others}
	if spec.Upkeep != nil {
		for _, w := range spec.Upkeep.BeforeWrite {
			d.Before = append(d.Before, commission.Step{Field: w.Field, Value: w.Value})
		}
	}
	return d, spec.Bus, nil
}
