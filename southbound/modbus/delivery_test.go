package modbus

import (
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/setup"
)

func TestDelivery(t *testing.T) {
	no := false
	minute := setting.Duration(time.Minute)
	d := testDevice("plc", 1, map[string]setup.Point{
		"a": {Input: at(0)},
		"b": {Input: at(1), OnChange: &no},
		"c": {Input: at(2), Deadband: &setup.Deadband{Value: bridge.Decimal{Coef: 1}, Percent: true}, Heartbeat: &minute},
		"d": {Input: at(3), OnChange: &no, Report: &setup.Report{Every: minute, As: []string{"mean", "max"}}},
	})
	d.OnChange, d.Heartbeat = true, setting.Duration(10*time.Minute)
	d.Labels = map[string]string{"area": "boiler-house"}
	c := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
	var catalogue bridge.Catalogue
	if _, err := New(c, Options{Catalogue: &catalogue}); err != nil {
		t.Fatal(err)
	}
	devices, _, _ := catalogue.Snapshot()
	want := map[string]*bridge.Delivery{
		"a":      {OnChange: true, Heartbeat: 10 * time.Minute},
		"c":      {OnChange: true, Deadband: 1, Percent: true, Heartbeat: time.Minute},
		"b":      nil,
		"d_mean": nil, // the catalogue has what is delivered
		"d_max":  nil,
	}
	if len(devices) != 1 || devices[0].Labels["area"] != "boiler-house" || len(devices[0].Points) != len(want) {
		t.Fatalf("%+v", devices)
	}
	for _, p := range devices[0].Points {
		if w, ok := want[p.Name]; !ok || w != nil && *w != *p.Delivery {
			t.Errorf("%s: %+v, want %+v", p.Name, p.Delivery, w)
		}
	}
	var band setup.Deadband
	for _, text := range []string{"", "x", "-1", "1%%"} {
		if band.UnmarshalText([]byte(text)) == nil {
			t.Errorf("deadband %q was taken", text)
		}
	}
}
