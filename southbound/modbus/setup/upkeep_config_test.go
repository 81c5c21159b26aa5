package setup

import (
	"fieldbridge/southbound/modbus/permit"
	"strings"
	"testing"

	"fieldbridge/bridge"
)

// TestValidateUpkeep: what the gateway is to write by itself is checked as far as
// it can be known.
func TestValidateUpkeep(t *testing.T) {
	one := val(bridge.Int(1))
	keep := func(k Keep) Config {
		return withDevice(func(d *Device) { d.Points = map[string]Point{"x": {Holding: at(0), Keep: &k}} })
	}
	steps := func(s ...Step) Config { return withDevice(func(d *Device) { d.OnConnect = s }) }
	for _, test := range []struct {
		name string
		c    Config
		want string
	}{
		{"constant", keep(Keep{Value: one, Every: seconds(5), Stop: val(bridge.Int(0))}), ""},
		{"too often", keep(Keep{Value: one, Every: seconds(0.01)}), "devices.d.points.x.keep.every: kept each 10ms"},
		{"without every", keep(Keep{Value: one}), "devices.d.points.x.keep.every: kept each 0s"},
		{"nothing", keep(Keep{Every: seconds(5)}), "devices.d.points.x.keep: nothing to keep: give value"},
		{"end of a constant", keep(Keep{Value: one, Every: seconds(5), For: seconds(60)}),
			"devices.d.points.x.keep.for: an end of a constant"},
		{"too large", keep(Keep{Value: val(bridge.Int(70000)), Every: seconds(5)}),
			"devices.d.points.x.keep.value: 70000 does not fit in uint16"},
		{"in turn", keep(Keep{Values: []Value{one, val(bridge.Int(0))}, Every: seconds(5)}), ""},
		{"in turn, too large", keep(Keep{Values: []Value{one, val(bridge.Int(70000))}, Every: seconds(5)}),
			"devices.d.points.x.keep.values.1: 70000 does not fit in uint16"},
		{"one in turn", keep(Keep{Values: []Value{one}, Every: seconds(5)}),
			"devices.d.points.x.keep.values: 1 values that follow one another"},
		{"value and values", keep(Keep{Value: one, Values: []Value{one, one}, Every: seconds(5)}),
			"devices.d.points.x.keep.values: value and values together"},
		{"follows a counter", withDevice(func(d *Device) {
			d.Points = map[string]Point{"x": {Holding: at(0), Keep: &Keep{Follow: "y", Add: 1, Every: seconds(5)}},
				"y": {Input: at(0)}}
		}), ""},
		{"follows an unknown point", keep(Keep{Follow: "y", Every: seconds(5)}),
			`devices.d.points.x.keep.follow: "y" is not a point of this device`},
		{"follows itself", keep(Keep{Follow: "x", Every: seconds(5)}),
			"devices.d.points.x.keep.follow: x cannot be followed"},
		{"follows and has a value", withDevice(func(d *Device) {
			d.Points = map[string]Point{"x": {Holding: at(0), Keep: &Keep{Follow: "y", Value: one, Every: seconds(5)}},
				"y": {Input: at(0)}}
		}), "devices.d.points.x.keep.follow: follow beside value or values"},
		{"a register follows a bit", withDevice(func(d *Device) {
			d.Points = map[string]Point{"x": {Holding: at(0), Keep: &Keep{Follow: "y", Every: seconds(5)}},
				"y": {Coil: at(0)}}
		}), "devices.d.points.x.keep.follow: y, a bool, for a uint16"},
		{"follows a scaled one", withDevice(func(d *Device) {
			d.Points = map[string]Point{"x": {Holding: at(0), Keep: &Keep{Follow: "y", Every: seconds(5)}},
				"y": {Input: at(0), Scale: &bridge.Decimal{Coef: 1, Exp: -1}}}
		}), "devices.d.points.x.keep.follow: y, a uint16, for a uint16"},
		{"more than a bit", withDevice(func(d *Device) {
			d.Points = map[string]Point{"x": {Coil: at(1), Keep: &Keep{Follow: "y", Add: 1, Every: seconds(5)}},
				"y": {Coil: at(0)}}
		}), "devices.d.points.x.keep.add: add to a bool"},
		{"more than nothing", keep(Keep{Value: one, Add: 1, Every: seconds(5)}),
			"devices.d.points.x.keep.add: add without follow"},
		{"what is read follows", withDevice(func(d *Device) {
			d.Points = map[string]Point{"x": {Input: at(1), Keep: &Keep{Follow: "y", Every: seconds(5)}},
				"y": {Input: at(0)}}
		}), "devices.d.points.x: a value for what can only be read: input"},
		{"stop too large", keep(Keep{Value: one, Every: seconds(5), Stop: val(bridge.Int(-1))}),
			"devices.d.points.x.keep.stop: -1 does not fit in uint16"},
		{"a command would be overwritten", withPoint(Point{Holding: at(0), Writable: &permit.Writable{},
			Keep: &Keep{Value: one, Every: seconds(5)}}), "devices.d.points.x.writable: a point that commands set"},
		{"a command without end", withPoint(
			Point{Holding: at(0), Writable: &permit.Writable{}, Keep: &Keep{Every: seconds(5)}}),
			"devices.d.points.x.keep: the value of a command, kept for 0s"},
		{"an input", withPoint(Point{Input: at(0), Keep: &Keep{Value: one, Every: seconds(5)}}),
			"devices.d.points.x: a value for what can only be read: input"},
		{"slower than a silent device", keep(Keep{Value: one, Every: seconds(0.15)}),
			"warning: devices.d.points.x.keep.every: kept each 150ms, and a device that falls silent takes the line for 200ms"},
		{"scaled", withPoint(Point{Holding: at(0), Scale: &bridge.Decimal{Coef: 1, Exp: -1},
			Keep: &Keep{Value: val(bridge.Float64(21.3)), Every: seconds(5)}}), ""},
		{"step", steps(Step{Holding: at(5), Value: one}), ""},
		{"step of a point", withDevice(func(d *Device) {
			d.Points = map[string]Point{"c": {Coil: at(0)}}
			d.BeforeWrite = []Step{{Point: "c", Value: val(bridge.Bool(true))}}
		}), ""},
		{"step nowhere", steps(Step{Value: one}), "devices.d.on_connect.0: nowhere to write"},
		{"step twice", steps(Step{Point: "x", Holding: at(5), Value: one}), "devices.d.on_connect.0.point: a point beside"},
		{"step of nothing", steps(Step{Holding: at(5)}), "devices.d.on_connect.0: nothing to write: give value"},
		{"step of a misspelt point", steps(Step{Point: "y", Value: one}),
			`devices.d.on_connect.0.point: "y" is not a point of this device`},
		{"step of text", steps(Step{Holding: at(5), Value: val(bridge.String("on"))}),
			"devices.d.on_connect.0.value: on is not a number"},
		{"step of an input", steps(Step{Ref: "30001", Value: one}), "devices.d.on_connect.0"},
	} {
		var got []string
		for _, p := range test.c.Validate() {
			got = append(got, show(p))
		}
		if all := strings.Join(got, "\n"); test.want == "" && all != "" || !strings.HasPrefix(all, test.want) ||
			len(got) > 1 {
			t.Errorf("%s: got %s, want %s", test.name, all, test.want)
		}
	}
	for text, want := range map[string]bridge.Value{"0x1AD4": bridge.Int(6868), "-5": bridge.Int(-5),
		"true": bridge.Bool(true), "0": bridge.Int(0), "0.5": bridge.Float64(0.5), "auto": bridge.String("auto")} {
		var v Value
		if err := v.UnmarshalText([]byte(text)); err != nil || v.Value != want {
			t.Errorf("%s: %v, %v", text, v, err)
		}
	}
	if err := new(Value).UnmarshalText([]byte("0123")); err == nil {
		t.Error("0123 was taken: it is 83 to some")
	}
}
