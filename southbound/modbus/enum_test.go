package modbus

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// TestF07UnknownEnum (F07): a number that the enum does not name arrives, and is told
// once.
func TestF07UnknownEnum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Set(modbustest.Input, 3000, 1, 7)
		points := map[string]setup.Point{
			"status": {Input: at(3000), Enum: map[int64]string{0: "waiting", 3: "fault"}},
			"strict": {Input: at(3001), Enum: map[int64]string{0: "off"}, EnumStrict: true},
		}
		r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"b": testBus("plc")},
			Devices: map[string]setup.Device{"d": testDevice("b", 1, points)}}, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(5 * time.Second)
		u.Set(modbustest.Input, 3000, 2)
		time.Sleep(5 * time.Second)
		seen := make(map[string]bool)
		for _, b := range r.stop() {
			for _, reading := range b.Readings {
				seen[reading.Point+" "+reading.Value.String()] = true
			}
		}
		for _, want := range []string{"status 1", "status 2", "strict " + bridge.Bad(bridge.ReasonOutOfRange).String()} {
			if !seen[want] {
				t.Errorf("no %q, got %v", want, seen)
			}
		}
		log := r.logged()
		if n := strings.Count(log, "enum does not name"); n != 2 || !strings.Contains(log, "point=status number=2") {
			t.Errorf("told %d times, want 2:\n%s", n, log)
		}
	})
}
