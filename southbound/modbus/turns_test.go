package modbus

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/turn"
)

// TestTurnsOfDevices: devices that are due at one instant are polled one after the
// other if they are fast, with all of a device's requests in a row; slow ones beside
// each other; and one that dies holds the others up for a moment.
func TestTurnsOfDevices(t *testing.T) {
	var names []string
	for i := 0; len(names) < 4; i++ {
		if name := fmt.Sprintf("d%d", i); phase(name) == 200*time.Millisecond {
			names = append(names, name)
		}
	}
	points := make(map[string]setup.Point)
	for i := range 1000 {
		points[fmt.Sprintf("r%d", i)] = setup.Point{Holding: at(i)}
	}
	// cycles returns when each device's last cycle of some seconds began and ended, from
	// the instant on, in the order of their begins.
	cycles := func(t *testing.T, latency time.Duration, dies string) (begun, ended []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			sims := make(map[string]*modbustest.Simulator)
			cfg := setup.Config{Buses: map[string]setup.Bus{}, Devices: map[string]setup.Device{}}
			for _, name := range names {
				sims[name] = modbustest.New()
				sims[name].Latency = latency
				sims[name].Unit(1).Set(modbustest.Holding, 0, make([]uint16, 1000)...)
				cfg.Buses[name], cfg.Devices[name] = testBus(name), testDevice(name, 1, points)
			}
			r := newRig(t, cfg, sims)
			time.Sleep(5 * time.Second)
			if dies != "" {
				sims[dies].Freeze()
			}
			synctest.Wait()
			r.mu.Lock()
			before := len(r.batches)
			r.mu.Unlock()
			from := time.Now()
			time.Sleep(900 * time.Millisecond) // one cycle of each
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			instant := from.Add(200*time.Millisecond - time.Duration(from.UnixNano())%time.Second)
			for i := before; i < len(r.batches); i++ {
				if r.batches[i].Device != dies {
					begun = append(begun, r.batches[i].At.Sub(instant)-latency) // the first answer is there
					ended = append(ended, r.arrived[i].Sub(instant))
				}
			}
			go r.stop()
		})
		return begun, ended
	}
	begun, ended := cycles(t, 100*time.Microsecond, "")
	for i := range begun {
		if want := time.Duration(i) * 800 * time.Microsecond; begun[i] != want || ended[i] != want+800*time.Microsecond {
			t.Errorf("fast devices begin at %v and end at %v: not one after the other", begun, ended)
			break
		}
	}
	if begun, _ := cycles(t, 2*time.Millisecond, ""); slices.Max(begun) != 0 || len(begun) != 4 {
		t.Errorf("slow devices begin at %v", begun)
	}
	// The one that dies is the first, the second or a later one, and holds up those behind it.
	if begun, _ := cycles(t, 100*time.Microsecond, names[0]); len(begun) != 3 ||
		slices.Max(begun) > turn.Hold+2*800*time.Microsecond {
		t.Errorf("beside one that died the others begin at %v", begun)
	}
}
