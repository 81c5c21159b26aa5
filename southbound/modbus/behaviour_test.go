package modbus

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// TestTenDevices: a thousand registers each, every fifth used, 5 ms a request,
// on one bus.
func TestTenDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Latency = 5 * time.Millisecond
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: make(map[string]setup.Device)}
		for i := range 10 {
			sim.Unit(byte(i + 1))
			cfg.Devices[fmt.Sprintf("d%d", i)] = testDevice("plc", i+1, row(200, 5))
		}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(time.Minute)
		synctest.Wait()
		late := r.source.running()[0].Status().Late
		good := 0
		for _, b := range r.stop() {
			good += goodIn(b)
		}
		for i := range 10 {
			if n := sim.Unit(byte(i + 1)).Count(); n > 8*60 {
				t.Errorf("device %d: %d requests in 60 cycles, want 480", i, n)
			}
		}
		if late != 0 || good < 10*200*59 {
			t.Errorf("%d late cycles, %d good readings, want none and 120000", late, good)
		}
	})
}

// TestRetries: one lost answer is not a bad reading.
func TestRetries(t *testing.T) {
	for _, retries := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			u := sim.Unit(1)
			u.Next(nil, modbustest.Silence, modbustest.Silence)
			d := testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}})
			d.Retries = &retries
			cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
			r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
			time.Sleep(10 * time.Second)
			bad := 0
			for _, b := range r.stop() {
				bad += len(b.Readings) - goodIn(b)
			}
			if want := max(0, 2-retries); (bad == 0) != (want == 0) {
				t.Errorf("%d retries: %d bad readings", retries, bad)
			}
		})
	}
}

// TestBusyDevice: a device that is busy is asked again, and then its readings
// are bad with that reason.
func TestBusyDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Next(nil, modbustest.Exception(6), nil, modbustest.Exception(6), modbustest.Exception(6))
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"d": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(4 * time.Second)
		var got []string
		for _, b := range r.stop() {
			got = append(got, values(b))
		}
		if want := []string{"a=0", "a=0", "a=bad: exception_6", "a=0"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

func TestIdleClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1)
		b := testBus("plc")
		b.IdleClose = setting.Duration(30 * time.Second)
		d := testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}, "b": {Input: at(1)}})
		d.Every = setting.Duration(time.Minute)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{"d": d}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for _, b := range r.of("d") {
			if goodIn(b) != 2 {
				t.Errorf("%s", values(b))
			}
		}
		if n := sim.Accepted(); n < 10 || n > 12 {
			t.Errorf("%d connections in 10 cycles, want one each", n)
		}
		r.stop()
	})
}

// TestOwnPauseAndTimeout: a device may need more of both than its bus.
func TestOwnPauseAndTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Latency = 150 * time.Millisecond
		sim.Unit(1)
		d := testDevice("plc", 1, row(4, 1000))
		timeout, pause := setting.Duration(200*time.Millisecond), setting.Duration(50*time.Millisecond)
		d.Timeout, d.Pause = &timeout, &pause
		d.Every = setting.Duration(10 * time.Second)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(15 * time.Second)
		synctest.Wait()
		batches := r.of("d")
		if len(batches) == 0 || goodIn(batches[0]) != 4 {
			t.Fatalf("%v", batches)
		}
		r.mu.Lock()
		took := r.arrived[0].Sub(batches[0].At)
		r.mu.Unlock()
		if want := 3 * 200 * time.Millisecond; took != want {
			t.Errorf("three more requests took %v, want %v", took, want)
		}
		r.stop()
	})
}

// TestFits: check says what a line can do.
func TestFits(t *testing.T) {
	cfg := serialLine(9600, 30, time.Second, map[string]setup.Point{"a": {Holding: at(0), Type: "string", Length: 40}})
	p := Plan(cfg)[0]
	if p.Load < 1.4 || p.Load > 3 || p.Fits.D() < time.Second || p.Link != "rtu:///dev/ttyUSB0, 9600 baud 8N1" {
		t.Fatalf("load %v, fits at %v, %s", p.Load, p.Fits, p.Link)
	}
	for name, d := range cfg.Devices {
		d.Every = p.Fits
		cfg.Devices[name] = d
	}
	if p = Plan(cfg)[0]; p.Load > 1 || p.Load < 0.9 || p.Fits != 0 {
		t.Errorf("at %v: load %v, fits at %v", cfg.Devices["unit-a0"].Every, p.Load, p.Fits)
	}
}
