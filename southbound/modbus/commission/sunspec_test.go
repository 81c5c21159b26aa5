package commission

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/plan"
)

func TestSunSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, base := range plan.SunSpecBases {
			sim := modbustest.New()
			u := sim.Unit(1)
			u.Only(modbustest.Holding, base, 200)
			u.Set(modbustest.Holding, base, 0x5375, 0x6e53, 1, 66)
			u.Set(modbustest.Holding, base+70, 103, 50)
			u.Set(modbustest.Holding, base+122, 64001, 3)
			u.Set(modbustest.Holding, base+127, 0xffff, 0)
			m := testMaster(t, sim, 5*time.Second, Options{})
			models, err := m.SunSpec(t.Context(), 1)
			if err != nil || len(models) != 3 ||
				models[1] != (plan.SunSpecModel{ID: 103, Name: "three-phase inverter", Address: base + 70, Length: 50}) {
				t.Errorf("base %d: %v, %v", base, models, err)
			}
			u.Set(modbustest.Holding, base+127, 7, 60000) // a list that leads nowhere
			if _, err := m.SunSpec(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "SunSpec list") {
				t.Errorf("a broken list: %v", err)
			}
			u.Set(modbustest.Holding, base, 0, 0)
			if _, err := m.SunSpec(t.Context(), 1); !errors.Is(err, ErrNoSunSpec) {
				t.Errorf("no list: %v", err)
			}
		}
	})
}

// TestSunSpecListWithoutEnd: models of no length must not keep us for ever.
func TestSunSpecListWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Holding, 40000, 0x5375, 0x6e53)
		m := testMaster(t, sim, 5*time.Second, Options{})
		if models, err := m.SunSpec(t.Context(), 1); err == nil || len(models) != plan.SunSpecMost {
			t.Errorf("%d models, %v", len(models), err)
		}
	})
}
