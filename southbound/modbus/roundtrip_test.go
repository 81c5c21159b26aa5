package modbus

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// TestTrip: a device that is far away is read in fewer requests, from the next
// plan on; the plan does not swing with the network.
func TestTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Always(modbustest.Late(40 * time.Millisecond))
		state := &memory{}
		points := map[string]Point{"a": {Holding: at(0)}}
		cfg := Config{Buses: map[string]Bus{"plc": testBus("plc")},
			Devices: map[string]Device{"far": testDevice("plc", 1, points)}}
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
		if want := got + tcpWord; takes != want {
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
		points := map[string]Point{"a": {Holding: at(0)}}
		r := newRigWith(t, Config{Buses: map[string]Bus{"plc": testBus("plc")},
			Devices: map[string]Device{"far": testDevice("plc", 1, points)}},
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

func TestTripSteps(t *testing.T) {
	d := newDevice(deviceSpec{}, plan.Cost{})
	blk := &block{Block: plan.Block{Count: 1}}
	if d.clock(time.Second, blk); d.learnt.Trip != 0 {
		t.Error("a serial line has a round trip")
	}
	d.cost = busSpec{}.cost(0)
	for _, step := range []struct {
		took time.Duration
		want time.Duration
	}{
		{300 * time.Microsecond, time.Millisecond},
		{1500 * time.Microsecond, time.Millisecond}, // not yet
		{1900 * time.Microsecond, 2 * time.Millisecond},
		{1400 * time.Microsecond, 2 * time.Millisecond}, // still
		{90 * time.Millisecond, 64 * time.Millisecond},
		{time.Hour, maxTrip},
		{time.Millisecond, time.Millisecond},
	} {
		for range 200 {
			d.clock(step.took, blk)
		}
		if d.learnt.Trip != step.want {
			t.Errorf("%v is taken for %v, want %v", step.took, d.learnt.Trip, step.want)
		}
	}
	d.learnt.Trip = 40 * time.Millisecond
	if got := d.price().Request; got != 40*time.Millisecond {
		t.Errorf("a request costs %v", got)
	}
}

// TestTripJoins: far away, one long request is cheaper than two short ones.
func TestTripJoins(t *testing.T) {
	far := newDevice(deviceSpec{limits: plan.Limits{Words: 2000, Gap: -1}, fields: []*point.Field{
		{Name: "a", Address: 0, Words: 1, Every: time.Second, Table: 3, Special: point.Plain},
		{Name: "b", Address: 900, Words: 1, Every: time.Second, Table: 3, Special: point.Plain}}}, busSpec{}.cost(0))
	for trip, want := range map[time.Duration]int{0: 2, time.Millisecond: 2, 64 * time.Millisecond: 1} {
		far.learnt.Trip = trip
		if far.jobs[0].plan(); len(far.jobs[0].blocks) != want {
			t.Errorf("%v away: %d requests, want %d", trip, len(far.jobs[0].blocks), want)
		}
	}
}
