package modbus

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/setup"
)

// TestEveryFifthRegister is the case that naive grouping reads in 200 requests.
func TestEveryFifthRegister(t *testing.T) {
	points := make(map[string]setup.Point)
	for i := range 200 {
		points[fmt.Sprintf("p%d", i)] = setup.Point{Holding: at(5 * i)}
	}
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
		Devices: map[string]setup.Device{"d": testDevice("plc", 1, points)}}
	plan := Plan(cfg)
	if n := len(plan[0].Blocks); n != 8 {
		t.Errorf("%d requests, want 8", n)
	}
	d := cfg.Devices["d"]
	d.MaxGap = at(3)
	cfg.Devices["d"] = d
	if n := len(Plan(cfg)[0].Blocks); n != 200 {
		t.Errorf("%d requests with max_gap 3, want 200", n)
	}
	d.MaxGap, d.MaxWords = nil, 50
	cfg.Devices["d"] = d
	if n := len(Plan(cfg)[0].Blocks); n != 20 {
		t.Errorf("%d requests with max_words 50, want 20", n)
	}
}

// firstRun is the modbus section of the first configuration that users see.
func firstRun(url string) setup.Config {
	bus := testBus("")
	bus.URL = url
	bus.Timeout = setting.Duration(5 * time.Second) // the machine may be busy
	d := testDevice("plc", 1, map[string]setup.Point{
		"supply_temp": {Input: at(0), Type: "float32", Unit: "°C"},
		"return_temp": {Input: at(2), Type: "int16", Scale: &bridge.Decimal{Coef: 1, Exp: -1}, Unit: "°C"},
		"energy": {Holding: at(100), Type: "uint32", Order: "CDAB", Scale: &bridge.Decimal{Coef: 1, Exp: -2},
			Unit: "kWh"},
		"running":   {Coil: at(3)},
		"door_open": {Discrete: at(7)},
		"fault":     {Holding: at(40), Bit: at(3)},
	})
	return setup.Config{Buses: map[string]setup.Bus{"plc": bus}, Devices: map[string]setup.Device{"boiler": d}}
}

func TestPlanOfFirstRun(t *testing.T) {
	got := Plan(firstRun("tcp://127.0.0.1:5020"))
	takes := func(words int) time.Duration {
		return (5 * time.Millisecond) + time.Duration(words)*(10*time.Microsecond)
	}
	block := func(table string, first, count int, takes time.Duration, points ...string) BlockPlan {
		return BlockPlan{Device: "boiler", UnitID: 1, Table: table, Address: first, Count: count, Points: points,
			Every: setting.Duration(time.Second), Takes: setting.Duration(takes)}
	}
	want := []BusPlan{{Bus: "plc", Link: "tcp://127.0.0.1:5020",
		Load: float64(4*(5*time.Millisecond)+67*(10*time.Microsecond)) / 1e9,
		Blocks: []BlockPlan{
			block("coil", 3, 1, takes(1), "running"),
			block("discrete", 7, 1, takes(1), "door_open"),
			block("input", 0, 3, takes(3), "supply_temp", "return_temp"),
			block("holding", 40, 62, takes(62), "fault", "energy"),
		}}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })); diff != "" {
		t.Error(diff)
	}
}

func TestScalePointStaysInItsBlock(t *testing.T) {
	d := testDevice("plc", 1, map[string]setup.Point{
		"sf": {Holding: at(100), Type: "int16"},
		"a":  {Holding: at(0), Type: "int16", ScalePoint: "sf"},
		"b":  {Holding: at(20), Type: "int16"},
	})
	zero := 0
	d.MaxGap = &zero
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
	blocks := Plan(cfg)[0].Blocks
	if len(blocks) != 1 || blocks[0].Address != 0 || blocks[0].Count != 101 {
		t.Errorf("%+v, want one block of 101 registers", blocks)
	}
}

func TestDevicesOfOneHostShareABus(t *testing.T) {
	own := testDevice("", 2, map[string]setup.Point{"a": {Input: at(0)}})
	own.URL = "tcp://PLC:502"
	alone := own
	alone.URL = "tcp://10.0.0.2"
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
		"a": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}}), "b": own, "c": alone}}
	plan := Plan(cfg)
	if len(plan) != 2 || plan[1].Bus != "plc" || len(plan[1].Blocks) != 2 || plan[0].Bus != "10.0.0.2:502" {
		t.Errorf("%+v", plan)
	}
}
