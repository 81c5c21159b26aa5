package modbus

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// TestPipeline: eight requests of 100 ms, four at a time over a link of that
// round trip, take two round trips.
func TestPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Latency = 100 * time.Millisecond
		sim.Parallel = true
		sim.Unit(1)
		b := testBus("plc")
		b.Pipeline = 4
		b.Timeout *= 2
		d := testDevice("plc", 1, row(8, 1000))
		d.Every *= 2
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{"d": d}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		batches := r.of("d")
		for i, b := range batches[1:] { // the first cycle connects
			if goodIn(b) != 8 {
				t.Errorf("batch %d: %s", i, values(b))
			}
			r.mu.Lock()
			took := r.arrived[i+1].Sub(b.At)
			r.mu.Unlock()
			if took != 100*time.Millisecond {
				t.Errorf("batch %d took %v after its first block, want one more round trip", i, took)
			}
		}
		if n := sim.Unit(1).Count(); n != 5*8 {
			t.Errorf("%d requests in 5 cycles, want 40", n)
		}
		r.stop()
	})
}

// TestPipelineWithDeadUnit: a unit that is silent spoils nothing of the others.
func TestPipelineWithDeadUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Parallel = true
		sim.Unit(1)
		sim.Unit(2).Always(modbustest.Silence)
		sim.Unit(3).Only(modbustest.Holding, 0, 1)
		b := testBus("plc")
		b.Pipeline = 4
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{
			"a": testDevice("plc", 1, row(3, 1000)), "b": testDevice("plc", 2, row(3, 1000)),
			"c": testDevice("plc", 3, row(3, 1000))}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		good := 0
		for _, b := range r.of("a") {
			good += goodIn(b)
		}
		if good != 20*3 {
			t.Errorf("%d good readings of the healthy one in 20 cycles, want 60", good)
		}
		for _, b := range r.of("b") {
			if goodIn(b) != 0 {
				t.Errorf("the dead one: %s", values(b))
			}
		}
		c := r.of("c")
		if got := values(c[len(c)-1]); got != "p000=0 p001=bad: given_up p002=bad: given_up" {
			t.Errorf("the one with holes: %s", got)
		}
		r.stop()
		if n := strings.Count(r.logged(), "does not answer"); n != 1 {
			t.Errorf("log:\n%s", r.logged())
		}
	})
}
