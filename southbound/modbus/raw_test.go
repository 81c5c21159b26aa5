package modbus

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// TestRaw: what stands in the registers is there for good and bad values, and not
// for what was not read.
func TestRaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Set(modbustest.Holding, 0, 0xfff6, 0x8000)
		u.Set(modbustest.Holding, 2, modbustest.Float32(71.5)...)
		u.Set(modbustest.Holding, 4, 0x1a, 0x4142)
		u.SetBit(modbustest.Coil, 9, true)
		u.Only(modbustest.Holding, 0, 6)
		var none setup.Raw
		if err := none.UnmarshalText([]byte("0x8000")); err != nil {
			t.Fatal(err)
		}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"boiler": testDevice("plc", 1,
				map[string]setup.Point{"t": {Holding: at(0), Type: "int16"}, "none": {Holding: at(1), Invalid: []setup.Raw{none}},
					"f": {Holding: at(2), Type: "float32"}, "bcd": {Holding: at(4), Type: "bcd16"},
					"s": {Holding: at(5), Type: "string", Length: 2}, "c": {Coil: at(9)}, "lost": {Holding: at(100)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		want := map[string]string{"t": "fff6 = -10", "none": "8000 = 32768", "f": "428f 0000 = 71.5", "bcd": "001a",
			"s": "4142", "c": "1"}
		if diff := cmp.Diff(want, r.source.Raw("boiler")); diff != "" {
			t.Error(diff)
		}
		u.Always(modbustest.Silence)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff(map[string]string{}, r.source.Raw("boiler")); diff != "" {
			t.Errorf("silent: %s", diff)
		}
		if raw := r.source.Raw("another"); raw != nil {
			t.Errorf("a device that is not there: %v", raw)
		}
		r.stop()
	})
}
