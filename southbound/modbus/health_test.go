package modbus

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// wantHealth checks the only thing that is wrong, "" is nothing.
func wantHealth(t *testing.T, r *rig, code, text string) {
	t.Helper()
	h := r.source.Health()
	switch {
	case code == "" && len(h) == 0:
	case len(h) != 1 || h[0].Code != code || !strings.Contains(h[0].String(), text):
		t.Errorf("health %v, want %s: %s", h, code, text)
	}
}

// TestHealthNamesThePoints: what is not there is named with its address, whatever
// else the device refuses.
func TestHealthNamesThePoints(t *testing.T) {
	for absent, want := range map[string]string{
		"a":         "device boiler: a (holding 0) is not there: check address and table in its manual",
		"a c":       "device boiler: a (holding 0) and c (holding 20) are not there: check",
		"a b c d e": "device boiler: a (holding 0), b (holding 10), c (holding 20) and 2 more points are not there",
	} {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			u, points := sim.Unit(1), map[string]setup.Point{"there": {Input: at(0)}}
			for i, name := range strings.Split("abcdef", "") {
				points[name] = setup.Point{Holding: at(10 * i)}
				if !strings.Contains(absent, name) {
					u.Only(modbustest.Holding, 10*i, 1)
				}
			}
			cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
				Devices: map[string]setup.Device{"boiler": testDevice("plc", 1, points)}}
			r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
			time.Sleep(20 * time.Second)
			synctest.Wait()
			wantHealth(t, r, "points_given_up", want)
			r.stop()
		})
	}
}

// TestHealthSaysByWhat: an exception of another kind, or silence, is not told as that
// an address is not there.
func TestHealthSaysByWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u, points := sim.Unit(1), map[string]setup.Point{"there": {Holding: at(0)}, "absent": {Holding: at(1)},
			"faulty": {Holding: at(2)}, "mute": {Holding: at(3)}, "last": {Holding: at(4)}, "far": {Input: at(0)}}
		u.Always(touching(1, modbustest.Exception(2), 3), touching(2, modbustest.Exception(4), 3),
			touching(3, modbustest.Silence, 3))
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"boiler": testDevice("plc", 1, points)}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantHealth(t, r, "points_given_up", "device boiler: absent (holding 1) is not there; "+
			"faulty (holding 2) is refused by exception 4, device failure; "+
			"mute (holding 3) gets no answer, while others of the device do: check address and table")
		r.stop()
	})
}

// TestHealthOfASilentBlock: some points get no answer while others of the device
// do.
func TestHealthOfASilentBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Always(func(r modbustest.Request, a *modbustest.Answer) {
			if r.Function == 3 {
				a.Copies = 0
			}
		})
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"boiler": testDevice("plc", 1,
				map[string]setup.Point{"there": {Input: at(0)}, "a": {Holding: at(0)}, "b": {Holding: at(1)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(time.Minute)
		synctest.Wait()
		wantHealth(t, r, "points_silent",
			"device boiler: a (holding 0) and b (holding 1) get no answer, while others of the device do")
		u.Always()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantHealth(t, r, "", "")
		r.stop()
	})
}

// TestHealthOfASilentLine: where no unit of a line answers, it is hardly the units;
// a unit that is alone in it is.
func TestHealthOfASilentLine(t *testing.T) {
	for units, want := range map[int]string{
		1: "bus hall-a: its only unit, 1, does not answer at 9600 baud 8N1: check baud and parity",
		5: "bus hall-a: none of its 5 units answers at 9600 baud 8N1: check baud and parity ('fieldbridge modbus scan " +
			"--line rtu:///dev/ttyUSB0'",
	} {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = modbustest.RTU
			cfg := serialLine(9600, units, 2*time.Second, map[string]setup.Point{"a": {Holding: at(0)}})
			for i := range units {
				sim.Unit(byte(i + 1)).Always(modbustest.Silence)
			}
			r := overSlowLine(t, cfg, sim)
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			found, devices := "", 0
			for _, h := range r.source.Health() {
				switch h.Code {
				case "bus_silent":
					found = h.String()
				case "device_down":
					devices++
				}
			}
			if !strings.HasPrefix(found, want) || !strings.Contains(found, "termination") || devices != units {
				t.Errorf("%d units: %q and %d devices are down, want %q", units, found, devices, want)
			}
			if st := r.source.Buses()[0]; st.Silent.IsZero() {
				t.Errorf("the bus is not marked: %+v", st)
			}
			sim.Unit(1).Always()
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if got := fmt.Sprint(r.source.Health()); strings.Contains(got, "bus hall-a") {
				t.Errorf("unit 1 answers, and still: %s", got)
			}
			r.stop()
		})
	}
}
