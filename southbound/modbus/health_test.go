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

// TestHealthAdvisesByCause: what to check of a device that does not answer as it
// should is what can be the cause: its unit id is none where something else listens.
func TestHealthAdvisesByCause(t *testing.T) {
	for name, tt := range map[string]struct {
		framing modbustest.Framing
		act     modbustest.Behaviour
		want    []string
	}{
		"silent": {modbustest.TCP, modbustest.Silence,
			[]string{"no answer in time", "its unit id is right, and that it is Modbus/TCP"}},
		"web server": {modbustest.TCP, modbustest.Noise("HTTP/1.1 400 Bad", ""),
			[]string{`"HTTP/1"`, "address and port", "rtu+tcp"}},
		"RTU frames":  {modbustest.TCP, modbustest.Noise("\x01\x03\x02\x00\x05", ""), []string{"01 03 02 00 05", "rtu+tcp"}},
		"other speed": {modbustest.RTU, modbustest.CRCError, []string{"baud and parity"}},
		"no route":    {modbustest.TCP, modbustest.Exception(10), []string{"exception 10", "no way to this unit id"}},
		"line dead":   {modbustest.TCP, modbustest.Exception(11), []string{"exception 11", "behind the Modbus gateway"}},
		"another unit": {modbustest.TCP, modbustest.WrongUnit,
			[]string{"from unit 2 in place of 1", "always answers as unit 2 has unit_id: 2"}},
		"no ids": {modbustest.TCP, func(_ modbustest.Request, a *modbustest.Answer) { a.Transaction = 0 },
			[]string{"transaction id 0", "ignore_transaction_ids: true"}},
		"wrong count": {modbustest.TCP, modbustest.WrongByteCount, []string{"byte count 4", "it breaks the protocol"}},
		"thrown out":  {modbustest.TCP, modbustest.Restart, []string{"disconnected", "other programs have them"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := modbustest.New()
				sim.Framing = tt.framing
				sim.Unit(1).Always(tt.act)
				bus := testBus("plc")
				bus.URL = carriers[tt.framing]
				cfg := setup.Config{Buses: map[string]setup.Bus{"plc": bus},
					Devices: map[string]setup.Device{
						"boiler": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}})}}
				r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
				defer r.stop()
				time.Sleep(20 * time.Second)
				synctest.Wait()
				text := ""
				for _, c := range r.source.Health() {
					if c.Code == "device_down" {
						text = c.Text
					}
				}
				for _, want := range tt.want {
					if !strings.Contains(text, want) {
						t.Errorf("%q does not say %q", text, want)
					}
				}
				if name != "silent" && name != "line dead" && strings.Contains(text, "unit id is right") {
					t.Errorf("%q has somebody look for the unit id", text)
				}
			})
		})
	}
}

// TestHealthOfAllBad: a device that answers, and of whose points none is good, is told
// with what can be the cause; not before it had time, not where its bus is down, and not
// any more when one of them is good.
func TestHealthOfAllBad(t *testing.T) {
	nan := func(u *modbustest.Unit) { u.Set(modbustest.Input, 0, 0x7fc0, 0) }
	refuse := func(code byte) func(*modbustest.Unit) {
		return func(u *modbustest.Unit) { u.Always(modbustest.Exception(code)) }
	}
	for name, tt := range map[string]struct {
		spoil func(*modbustest.Unit)
		want  string
	}{
		"another device": {refuse(2), "(exception_2): see whether it is the device that is meant"},
		"own fault":      {refuse(4), "(exception_4): it reports a fault of its own"},
		"broken sensor":  {nan, "(not_a_number): it says itself that it has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := modbustest.New()
				u := sim.Unit(1)
				cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
					"boiler": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0), Type: "float32"}})}}
				r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
				defer r.stop()
				time.Sleep(5 * time.Second)
				tt.spoil(u)
				time.Sleep(8 * time.Second)
				synctest.Wait()
				wantHealth(t, r, "", "")
				time.Sleep(5 * time.Second)
				synctest.Wait()
				wantHealth(t, r, "device_bad", "device boiler: it answers, and none of its points has been good since "+
					"2000-01-01 00:00 UTC "+tt.want)
				sim.Refuse()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				wantHealth(t, r, "bus_down", "bus plc")
				sim.Accept()
				u.Always()
				u.Set(modbustest.Input, 0, 0, 0)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				wantHealth(t, r, "", "")
			})
		})
	}
}
