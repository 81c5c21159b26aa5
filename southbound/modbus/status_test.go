package modbus

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// TestUnread: points are unread until the first cycle of their interval is done,
// whether it went well or not, and again when their device is begun anew.
func TestUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Holding, 0, 7)
		slow := setting.Duration(5 * time.Second)
		points := map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(1), Every: &slow},
			"c": {Holding: at(2), Access: "write"}}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc"), "gone": testBus("gone")},
			Devices: map[string]setup.Device{"Boiler": testDevice("plc", 1, points), "Dead": testDevice("gone", 1, points)}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		unread := func(device int) int { return r.source.Devices()[device].Unread }
		synctest.Wait()
		if boiler, dead := unread(0), unread(1); boiler != 2 || dead != 2 {
			t.Errorf("at the start %d and %d points are unread, want 2", boiler, dead)
		}
		time.Sleep(30 * time.Second)
		if boiler, dead := unread(0), unread(1); boiler != 0 || dead != 0 {
			t.Errorf("after 30 s %d and %d points are unread", boiler, dead)
		}
		points["d"] = setup.Point{Holding: at(4)}
		if err := r.source.Apply(cfg); err != nil {
			t.Fatal(err)
		}
		if boiler := unread(0); boiler != 3 {
			t.Errorf("begun anew with %d points unread, want 3", boiler)
		}
		time.Sleep(30 * time.Second)
		if s := r.source.Devices()[0]; s.Unread != 0 || s.Good != 3 {
			t.Errorf("%+v", s)
		}
		r.stop()
	})
}
