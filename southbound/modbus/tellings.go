package modbus

import (
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/order"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
)

// tellings is what the cloud is told of points, by the first of them: the devices of a
// profile have their points in common, and what is told of these.
type tellings map[*point.Field]telling

type telling struct {
	fields []*point.Field
	points []bridge.PointInfo // sorted by name; read-only
}

// info is what the cloud is told of a device.
func (t tellings) info(spec setup.DeviceSpec, l plan.Learnt) bridge.DeviceInfo {
	d := bridge.DeviceInfo{Device: spec.Name, Labels: spec.Config.Labels}
	fields := append(l.Present(spec.Fields), l.Present(spec.Others)...)
	fields = slices.DeleteFunc(fields, (*point.Field).WriteOnly) // it has no readings
	if len(fields) == 0 {
		return d
	}
	if known := t[fields[0]]; slices.Equal(known.fields, fields) {
		d.Points = known.points
		return d
	}
	d.Points = make([]bridge.PointInfo, len(fields))
	for i, f := range fields {
		d.Points[i] = bridge.PointInfo{Name: f.Name, Type: f.TypeName, Unit: f.Unit, Enum: f.Enum,
			Places: f.Scaling.Places(), Delivery: f.Delivery, Thin: f.Thin}
	}
	order.By(d.Points, func(a, b bridge.PointInfo) int { return strings.Compare(a.Name, b.Name) })
	t[fields[0]] = telling{fields, d.Points}
	return d
}
