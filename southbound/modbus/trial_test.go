package modbus

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// TestPilot11FirstStart: a hole costs no good point its first reading, and what is
// told at WARN is what stays wrong.
func TestPilot11FirstStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Only(modbustest.Holding, 0, 10)
		u.Only(modbustest.Holding, 12, 10)
		points := map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(9)}, "c": {Holding: at(12)},
			"d": {Holding: at(21)}}
		batches, _, log := study(t, u, sim, points, 4, nil)
		for i, b := range batches {
			if goodIn(b) != 4 {
				t.Errorf("cycle %d: %s", i, values(b))
			}
		}
		if strings.Contains(log, "block is bad") {
			t.Errorf("log:\n%s", log)
		}
		points["e"] = setup.Point{Holding: at(11)} // is not there
		u.Forget()
		batches, _, log = study(t, u, sim, points, 4, nil)
		for i, b := range batches {
			if goodIn(b) != 4 {
				t.Errorf("with a bad one, cycle %d: %s", i, values(b))
			}
		}
		if strings.Count(log, "block is bad") != 1 || !strings.Contains(log, "holding 11+1") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestF06HolesOfAnyCode: what a device refuses with a code of its own is found as
// with 2 and 3, where the rest of the block answers.
func TestF06HolesOfAnyCode(t *testing.T) {
	for _, code := range []byte{0, 2, 3, 4, 7, 9, 0x7f, 0x80, 0xff} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := modbustest.New()
				u := sim.Unit(1)
				u.Always(hole(5, code))
				batches, last, log := study(t, u, sim, row(10, 1), 5, nil)
				for i, b := range batches {
					if goodIn(b) != 9 || len(b.Readings) != 10 {
						t.Errorf("cycle %d: %s", i, values(b))
					}
				}
				if got := values(batches[0]); !strings.Contains(got, fmt.Sprintf("p005=bad: exception_%d", code)) {
					t.Errorf("at first %s", got)
				}
				if got := values(batches[4]); !strings.Contains(got, "p005=bad: given_up") || len(last) != 2 {
					t.Errorf("at last %d requests, %s\n%s", len(last), got, log)
				}
			})
		})
	}
}

// hole refuses requests that touch an address.
func hole(address int, code byte) modbustest.Behaviour {
	return func(r modbustest.Request, a *modbustest.Answer) {
		if r.Address <= address && address < r.Address+r.Count {
			modbustest.Exception(code)(r, a)
		}
	}
}

// TestPilot9RefusalTriedAgain: a point that a device refuses is asked for after a
// minute, ten, an hour, and then daily, alone; what it then allows is read.
func TestPilot9RefusalTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Always(hole(5, 2))
		d := testDevice("plc", 1, row(10, 1))
		d.Every = setting.Duration(10 * time.Second)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		time.Sleep(30 * time.Second)
		tried := func() int { return u.CountOf(modbustest.Request{Unit: 1, Function: 3, Address: 5, Count: 1}) }
		before := tried()
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{time.Minute, 1}, {9 * time.Minute, 1}, {2 * time.Minute, 2}, {55 * time.Minute, 2}, {10 * time.Minute, 3},
			{20 * time.Hour, 3}} {
			time.Sleep(step.after)
			synctest.Wait()
			if got := tried() - before; got != step.want {
				t.Errorf("after %v more tried %d times, want %d", step.after, got, step.want)
			}
		}
		r.of("d")
		u.Always()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		b := r.of("d")
		if got := b[len(b)-1]; goodIn(got) != 10 {
			t.Errorf("when it is there: %s", values(got))
		}
	})
}

// TestPilot9GoodBefore: a point that was good and is refused for a while is read
// within a minute of being there again, and never twice in a cycle.
func TestPilot9GoodBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"d": testDevice("plc", 1, row(10, 1))}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		time.Sleep(5 * time.Second)
		u.Always(hole(5, 2))
		time.Sleep(3 * time.Hour)
		u.Always()
		time.Sleep(time.Minute)
		synctest.Wait()
		b := r.of("d")
		for _, b := range b {
			if len(b.Readings) != 10 || goodIn(b) < 9 {
				t.Fatalf("%s", values(b))
			}
		}
		if got := b[len(b)-1]; goodIn(got) != 10 {
			t.Errorf("a minute later: %s", values(got))
		}
	})
}

// TestTrialsAfterRestart: what was learnt is kept over a restart, and its tries begin
// anew: a point that is there again is read a minute after the start.
func TestTrialsAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Always(hole(5, 2))
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"d": testDevice("plc", 1, row(10, 1))}}
		state := &memory{}
		r := newRigWith(t, cfg, map[string]*modbustest.Simulator{"plc": sim}, state)
		time.Sleep(20 * time.Minute)
		r.stop()
		u.Always()
		r = newRigWith(t, cfg, map[string]*modbustest.Simulator{"plc": sim}, state)
		defer r.stop()
		time.Sleep(5 * time.Second)
		if b := r.of("d"); goodIn(b[len(b)-1]) != 9 {
			t.Errorf("right after the start: %s", values(b[len(b)-1]))
		}
		time.Sleep(62 * time.Second)
		synctest.Wait()
		if b := r.of("d"); goodIn(b[len(b)-1]) != 10 {
			t.Errorf("a minute later: %s", values(b[len(b)-1]))
		}
	})
}
