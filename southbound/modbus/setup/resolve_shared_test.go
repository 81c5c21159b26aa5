package setup

import (
	"fmt"
	"runtime"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/poll"
)

// profiled returns devices of one profile of 1,000 points, each with points of its
// own as the YAML gives it.
func profiled(devices int) Config {
	cfg := Config{Buses: map[string]Bus{"plc": testBus("plc")}, Devices: map[string]Device{}}
	for i := range devices {
		points := make(map[string]Point)
		for k := range 1000 {
			points[fmt.Sprintf("p%04d", k)] = Point{Holding: at(k), Type: "int16", Scale: &bridge.Decimal{Coef: 1, Exp: -1}}
		}
		d := testDevice("plc", i+1, points)
		d.Labels = map[string]string{"hall": fmt.Sprint(i)}
		cfg.Devices[fmt.Sprintf("d%d", i)] = d
	}
	return cfg
}

// heldBy returns how many bytes the devices of cfg hold, ready to be polled.
func heldBy(cfg Config) uint64 {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	r := Resolve(cfg)
	var devices []*poll.Device
	for _, d := range r.Devices {
		devices = append(devices, poll.NewDevice(d.Device, r.Buses[d.Bus].Cost(0), plan.Learnt{}))
	}
	held := heap() - before
	runtime.KeepAlive(devices)
	runtime.KeepAlive(r)
	runtime.KeepAlive(cfg)
	return held
}

// TestProfileIsResolvedOnce: ten devices of a profile hold its points once.
func TestProfileIsResolvedOnce(t *testing.T) {
	one, ten := heldBy(profiled(1)), heldBy(profiled(10))
	if one < 100_000 || ten > one+9*5000 {
		t.Errorf("one device of 1,000 points holds %d bytes, ten hold %d: want hardly more", one, ten)
	}
	t.Logf("one device holds %d bytes, ten hold %d", one, ten)
}

// TestOwnPointsAreNotShared: a device whose points differ in anything has its own.
func TestOwnPointsAreNotShared(t *testing.T) {
	for name, change := range map[string]func(*Device){
		"every":     func(d *Device) { d.Every *= 2 },
		"base":      func(d *Device) { d.Base = 1 },
		"order":     func(d *Device) { d.Order = "DCBA" },
		"heartbeat": func(d *Device) { d.OnChange, d.Heartbeat = true, 60e9 },
		"a unit":    func(d *Device) { d.Points["p0500"] = Point{Holding: at(500), Type: "int16", Unit: "kV"} },
		"no point":  func(d *Device) { delete(d.Points, "p0500") },
	} {
		cfg := profiled(3)
		d := cfg.Devices["d1"]
		change(&d)
		cfg.Devices["d1"] = d
		r := Resolve(cfg)
		own, a, b := r.Devices["d1"].Fields, r.Devices["d0"].Fields, r.Devices["d2"].Fields
		if &a[0] != &b[0] {
			t.Errorf("another %s of d1: d0 and d2 do not share their points", name)
		}
		if &own[0] == &a[0] {
			t.Errorf("another %s: the points are shared all the same", name)
		}
	}
}
