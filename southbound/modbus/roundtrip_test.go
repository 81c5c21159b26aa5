package modbus

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// TestTrip: a device that is far away is read in fewer requests, from the next
// plan on; the plan does not swing with the network.
func TestTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Always(modbustest.Late(40 * time.Millisecond))
		state := &memory{}
		points := map[string]setup.Point{"a": {Holding: at(0)}}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"far": testDevice("plc", 1, points)}}
		r := newRigWith(t, cfg, map[string]*modbustest.Simulator{"plc": sim}, state)
		time.Sleep(20 * time.Second)
		r.stop()
		got := recall(state, "far", time.Now()).Trip
		if got != 32*time.Millisecond {
			t.Fatalf("the round trip of 40ms is taken for %v", got)
		}
		if old := recall(state, "far", time.Now().Add(30*24*time.Hour)).Trip; old != got {
			t.Errorf("a month later it is %v", old)
		}
		takes := PlanLearnt(cfg, state)[0].Blocks[0].Takes
		if want := got + 10*time.Microsecond; takes.D() != want {
			t.Errorf("a request is planned to take %v, want %v", takes, want)
		}
	})
}

// TestTripIsKept: a network that swings does not wear the disk.
func TestTripIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		state := &memory{}
		points := map[string]setup.Point{"a": {Holding: at(0)}}
		r := newRigWith(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"far": testDevice("plc", 1, points)}},
			map[string]*modbustest.Simulator{"plc": sim}, state)
		for _, late := range []time.Duration{10, 80, 10, 80} {
			u.Always(modbustest.Late(late * time.Millisecond))
			time.Sleep(time.Minute)
		}
		state.mu.Lock()
		puts := state.puts
		state.mu.Unlock()
		if puts != 1 {
			t.Errorf("written %d times, want once", puts)
		}
		r.stop()
		if got := recall(state, "far", time.Now()).Trip; got != 64*time.Millisecond || state.puts != 2 {
			t.Errorf("after the stop %v is kept in %d writes", got, state.puts)
		}
	})
}
