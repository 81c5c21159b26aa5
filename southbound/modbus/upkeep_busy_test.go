package modbus

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// TestOffWhileTheLineIsBusy: what cannot be written within a second of the switch is
// not written any more, not even a stop value.
func TestOffWhileTheLineIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := watchdog(setup.Keep{Value: val(bridge.Int(1)), Every: seconds(20), Stop: val(bridge.Int(0))})
		cfg.Devices["dead"] = testDevice("plc", 2,
			map[string]setup.Point{"x": {Holding: at(0), Writable: &permit.Writable{}}})
		bus := cfg.Buses["plc"]
		bus.Timeout = seconds(3)
		cfg.Buses["plc"] = bus
		sim := modbustest.New()
		sim.Unit(1)
		r, tap, end := newTapped(t, cfg, sim)
		defer end()
		time.Sleep(time.Minute)
		done := make(chan bridge.Written)
		go func() {
			done <- r.source.Write(t.Context(), bridge.Command{Device: "dead", Point: "x", Value: bridge.Int(1)})
		}()
		time.Sleep(time.Second) // the line waits for the dead device
		off := time.Now()
		r.source.SetOff(true)
		time.Sleep(time.Minute)
		if got := texts(tap.writes(off)); got != "" {
			t.Errorf("written after the switch: %q", got)
		}
		if is := <-done; is.Outcome != bridge.Failed {
			t.Errorf("the command: %+v", is)
		}
		r.stop()
	})
}

// TestKeepBesideCommands: a command to a device that is off does not cost a watchdog
// its rhythm.
func TestKeepBesideCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := watchdog(setup.Keep{Value: val(bridge.Int(1)), Every: seconds(5)})
		dead := testDevice("plc", 2, map[string]setup.Point{"x": {Holding: at(0), Writable: &permit.Writable{}}})
		dead.Retries = new(int)
		cfg.Devices["dead"] = dead
		bus := cfg.Buses["plc"]
		bus.Timeout = seconds(1)
		cfg.Buses["plc"] = bus
		sim := modbustest.New()
		sim.Unit(1)
		r, tap, end := newTapped(t, cfg, sim)
		defer end()
		begin := time.Now()
		time.Sleep(time.Minute)
		for range 50 {
			r.source.Write(t.Context(), bridge.Command{Device: "dead", Point: "x", Value: bridge.Int(1)})
			time.Sleep(700 * time.Millisecond)
		}
		keeps := slices.DeleteFunc(tap.writes(begin), func(f tapped) bool { return f.unit != 1 })
		if most := longest(keeps); most > 5*time.Second {
			t.Errorf("%v between two keeps, want 5s at most", most)
		}
		r.stop()
	})
}

// TestLockedDevice: without what goes before it a command is not written, and
// nothing but an exception to it is a refusal.
func TestLockedDevice(t *testing.T) {
	for name, test := range map[string]struct {
		lock modbustest.Behaviour
		want bridge.WriteOutcome
	}{"refused": {modbustest.Exception(4), bridge.Refused}, "silent": {modbustest.Silence, bridge.Failed}} {
		synctest.Test(t, func(t *testing.T) {
			d := testDevice("plc", 1, map[string]setup.Point{"limit": {Holding: at(32), Writable: &permit.Writable{}}})
			d.BeforeWrite = []setup.Step{{Holding: at(0x600), Value: val(bridge.Int(6868))}}
			sim := modbustest.New()
			sim.Unit(1).Always(func(q modbustest.Request, a *modbustest.Answer) {
				if q.Address == 0x600 {
					test.lock(q, a)
				}
			})
			r, tap, end := newTapped(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
				Devices: map[string]setup.Device{"d": d}}, sim)
			defer end()
			begin := time.Now()
			time.Sleep(5 * time.Second)
			is := r.source.Write(t.Context(), bridge.Command{Device: "d", Point: "limit", Value: bridge.Int(60)})
			if is.Outcome != test.want || !strings.Contains(is.Text, "before_write, holding 1536: ") {
				t.Errorf("%s: %+v", name, is)
			}
			if got := texts(tap.writes(begin)); got != "1: 06 06 00 1a d4" {
				t.Errorf("%s: written %q", name, got)
			}
			r.stop()
		})
	}
}
