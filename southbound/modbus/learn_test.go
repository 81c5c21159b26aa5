package modbus

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// memory is a Notebook in memory.
type memory struct {
	mu   sync.Mutex
	data map[string][]byte
	puts int
}

func (m *memory) Get(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[key], nil
}

func (m *memory) Put(key string, value []byte) error { return m.Note(key, value) }

func (m *memory) Note(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		m.data = make(map[string][]byte)
	}
	m.data[key] = value
	m.puts++
	return nil
}

// row returns n points in a row of holding registers, step apart.
func row(n, step int) map[string]setup.Point {
	points := make(map[string]setup.Point)
	for i := range n {
		points[fmt.Sprintf("p%03d", i)] = setup.Point{Holding: at(i * step)}
	}
	return points
}

// study polls a device of these points for a number of cycles and returns its
// batches and the requests of the last cycle.
func study(t *testing.T, unit *modbustest.Unit, sim *modbustest.Simulator, points map[string]setup.Point, cycles int,
	state bridge.Notebook) (batches []bridge.Batch, last []modbustest.Request, log string) {
	t.Helper()
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
		Devices: map[string]setup.Device{"Boiler": testDevice("plc", 1, points)}}
	r := newRigWith(t, cfg, map[string]*modbustest.Simulator{"plc": sim}, state)
	time.Sleep(time.Duration(cycles-1) * time.Second)
	synctest.Wait()
	before := unit.Count()
	time.Sleep(time.Second)
	synctest.Wait()
	requests := unit.Requests()
	last = requests[len(requests)-(unit.Count()-before):]
	return r.stop(), last, r.logged()
}

// goodIn counts the good readings of a batch.
func goodIn(b bridge.Batch) int {
	n := 0
	for _, r := range b.Readings {
		if r.Value.Good() {
			n++
		}
	}
	return n
}

func TestLearnsAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Only(modbustest.Holding, 0, 10)
		u.Only(modbustest.Holding, 20, 10)
		points := map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(9)}, "c": {Holding: at(20)},
			"d": {Holding: at(29)}}
		state := &memory{}
		batches, last, log := study(t, u, sim, points, 5, state)
		for i, b := range batches {
			if goodIn(b) != 4 {
				t.Errorf("cycle %d: %s", i, values(b))
			}
		}
		if len(last) != 2 || last[0].Count != 10 || last[1].Count != 10 {
			t.Errorf("at last asked %+v, want two requests of 10", last)
		}
		if n := strings.Count(log, "learnt"); n != 1 {
			t.Errorf("log:\n%s", log)
		}
		u.Forget()
		if _, last, _ = study(t, u, sim, points, 3, state); u.Count() != 2*3 || len(last) != 2 {
			t.Errorf("%d requests in 3 cycles after a restart, want 6", u.Count())
		}
	})
}

func TestFindsTheBadPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Only(modbustest.Holding, 0, 77)
		u.Only(modbustest.Holding, 78, 22)
		batches, last, _ := study(t, u, sim, row(100, 1), 6, nil)
		for i, b := range batches {
			if goodIn(b) != 99 || len(b.Readings) != 100 {
				t.Errorf("cycle %d: %d good of %d", i, goodIn(b), len(b.Readings))
			}
		}
		want := bridge.Bad(bridge.ReasonGivenUp)
		if got := batches[5].Readings[99]; got.Point != "p077" || got.Value != want {
			t.Errorf("at last %v", got)
		}
		if len(last) != 2 {
			t.Errorf("at last %d requests a cycle, want 2", len(last))
		}
		if n := u.Count(); n > 2*18+4*2 {
			t.Errorf("%d requests in all: not few", n)
		}
	})
}

// TestFindsTheLongestRequest: the device takes at most 50 registers.
func TestFindsTheLongestRequest(t *testing.T) {
	for _, most := range []int{1, 16, 50, 60, 100, 124} {
		for _, step := range []int{1, 2} {
			synctest.Test(t, func(t *testing.T) {
				sim := modbustest.New()
				u := sim.Unit(1)
				u.Always(modbustest.AtMost(most))
				batches, last, log := study(t, u, sim, row(250/step, step), 20, nil)
				for i, b := range batches {
					if goodIn(b) != 250/step {
						t.Fatalf("most %d: cycle %d: %d good", most, i, goodIn(b))
					}
				}
				longest := 0
				for _, r := range last {
					longest = max(longest, r.Count)
				}
				if longest > most || longest < most-step {
					t.Errorf("most %d, step %d: at last asks for %d\n%s", most, step, longest, log)
				}
			})
		}
	}
}

// TestOneErrorTeachesNothing: a refusal that does not come again is forgotten.
func TestOneErrorTeachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Next(nil, modbustest.Exception(2), modbustest.Exception(2))
		_, last, log := study(t, u, sim, row(100, 1), 5, nil)
		if len(last) != 1 || strings.Contains(log, "learnt") {
			t.Errorf("at last %d requests a cycle, want 1; log:\n%s", len(last), log)
		}
	})
}

func TestTriesAgainDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Only(modbustest.Holding, 0, 10)
		d := testDevice("plc", 1, map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(10)}})
		d.Every *= 60
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(time.Hour)
		synctest.Wait()
		b := r.of("d")
		if got := values(b[len(b)-1]); got != "a=0 b=bad: given_up" {
			t.Errorf("%s", got)
		}
		u.Only(modbustest.Holding, 10, 1) // its firmware was mended
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		b = r.of("d")
		if got := values(b[len(b)-1]); got != "a=0 b=0" {
			t.Errorf("a day later: %s", got)
		}
		r.stop()
	})
}

// TestStrictDevice has nothing but its points: whatever else is touched is
// refused.
func TestStrictDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		for i := range 40 {
			u.Only(modbustest.Holding, 5*i, 1)
		}
		batches, last, log := study(t, u, sim, row(40, 5), 40, nil)
		for i, b := range batches {
			if goodIn(b) != 40 {
				t.Fatalf("cycle %d: %d good", i, goodIn(b))
			}
		}
		if len(last) != 40 {
			t.Errorf("at last %d requests a cycle, want 40\n%s", len(last), log)
		}
		if n := u.Count(); n > 40*40+500 {
			t.Errorf("%d requests in 40 cycles", n)
		}
	})
}

// TestTheOnlyPoint: a point that is alone in its block and refused is asked for
// twice, each time with a register more, too, as some devices want it, and then
// left alone.
func TestTheOnlyPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Only(modbustest.Holding, 0, 1)
		batches, last, _ := study(t, u, sim, map[string]setup.Point{"a": {Holding: at(7)}}, 6, nil)
		if n := u.Count(); n != 4 || len(last) != 0 {
			t.Errorf("%d requests in 6 cycles, want 4", n)
		}
		if got := values(batches[len(batches)-1]); got != "a=bad: given_up" {
			t.Errorf("at last %s", got)
		}
	})
}
