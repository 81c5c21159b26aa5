package setup

import (
	"fieldbridge/southbound/modbus/permit"
	"testing"

	"fieldbridge/bridge"
)

// TestSame: a change of any kind makes another device, and nothing else does.
func TestSame(t *testing.T) {
	build := func(change func(*Device, *Point)) DeviceSpec {
		p := Point{Holding: at(1), Type: "int16", Unit: "V", Enum: map[int64]string{1: "on"}}
		d := testDevice("plc", 1, nil)
		change(&d, &p)
		d.Points = map[string]Point{"p": p, "text": {Holding: at(9), Type: "string", Length: 4},
			"power": {Input: at(4), ScalePoint: "exponent"}, "exponent": {Input: at(5)}}
		return Resolve(Config{Buses: map[string]Bus{"plc": testBus("plc")}, Devices: map[string]Device{"d": d}}).Devices["d"]
	}
	plain := build(func(*Device, *Point) {})
	for _, f := range plain.Fields {
		f.Decode([]byte("abcdefghij")) // what was read does not count
	}
	if !plain.Same(build(func(*Device, *Point) {})) {
		t.Error("the same device is another one")
	}
	var tenth bridge.Decimal
	if err := tenth.UnmarshalText([]byte("0.1")); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Device, *Point){
		"unit_id": func(d *Device, _ *Point) { d.UnitID = 2 },
		"every":   func(d *Device, _ *Point) { d.Every *= 2 },
		"labels":  func(d *Device, _ *Point) { d.Labels = map[string]string{"a": "b"} },
		"address": func(_ *Device, p *Point) { p.Holding = at(2) },
		"table":   func(_ *Device, p *Point) { p.Holding, p.Input = nil, at(1) },
		"type":    func(_ *Device, p *Point) { p.Type = "uint16" },
		"unit":    func(_ *Device, p *Point) { p.Unit = "kV" },
		"enum":    func(_ *Device, p *Point) { p.Enum = map[int64]string{1: "off"} },
		"scale":   func(_ *Device, p *Point) { p.Enum, p.Scale = nil, &tenth },
		"invalid": func(_ *Device, p *Point) { p.Invalid = []Raw{{bits: 3}} },
		"write":   func(_ *Device, p *Point) { p.Writable = &permit.Writable{} },
		"heart":   func(_ *Device, p *Point) { yes := true; p.OnChange = &yes },
		"report":  func(_ *Device, p *Point) { p.Enum, p.Report = nil, &Report{Every: 60e9, As: []string{"mean"}} },
		"factor":  func(_ *Device, p *Point) { p.Enum, p.ScalePoint = nil, "exponent" },
		"order":   func(_ *Device, p *Point) { p.Order = "BA" },
	} {
		if plain.Same(build(change)) {
			t.Errorf("another %s makes no other device", name)
		}
	}
}
