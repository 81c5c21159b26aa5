package modbus

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

func TestIntervalForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := nowRig(t, nil)
		defer r.stop()
		in := func(d time.Duration) int {
			t.Helper()
			r.of("boiler")
			time.Sleep(d)
			synctest.Wait()
			return len(r.of("boiler"))
		}
		set := func(every, length time.Duration) {
			t.Helper()
			if err := r.source.SetInterval(t.Context(), "boiler", every, length); err != nil {
				t.Fatal(err)
			}
		}
		r.of("pump")
		set(time.Second, time.Minute)
		if n := in(30 * time.Second); n != 30 {
			t.Errorf("%d batches in 30s", n)
		}
		now := r.source.Intervals()
		if len(now) != 1 || now[0].Device != "boiler" || now[0].Every != time.Second || now[0].Usual != time.Hour ||
			time.Until(now[0].Until) != 30*time.Second {
			t.Errorf("intervals %+v", now)
		}
		// A reload that leaves the device as it is leaves its interval, too.
		other := testDevice("plc", 3, map[string]setup.Point{"x": {Holding: at(0)}})
		cfg.Devices["other"] = other
		if err := r.source.Apply(cfg); err != nil {
			t.Fatal(err)
		}
		if n := in(30 * time.Second); n < 29 || n > 30 {
			t.Errorf("%d batches in the next 30s", n)
		}
		if n := in(30 * time.Minute); n > 2 || r.source.Intervals() != nil {
			t.Errorf("%d batches in 30m afterwards, %v", n, r.source.Intervals())
		}
		if n := in(2 * time.Hour); n < 2 || n > 4 {
			t.Errorf("%d batches in 2h afterwards", n)
		}
		set(time.Second, time.Hour)
		in(time.Minute)
		set(0, 0)
		if n := in(30 * time.Minute); n > 2 || r.source.Intervals() != nil {
			t.Errorf("%d batches in 30m after it was taken back, %v", n, r.source.Intervals())
		}
		// A longer one, and another configuration of the device.
		if err := r.source.SetInterval(t.Context(), "pump", time.Minute, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		r.of("pump")
		time.Sleep(5 * time.Minute)
		if n := len(r.of("pump")); n < 4 || n > 6 {
			t.Errorf("%d batches of the pump in 5m, every minute", n)
		}
		time.Sleep(5*time.Minute + 10*time.Second)
		if n := len(r.of("pump")); n < 13 || n > 16 {
			t.Errorf("%d batches of the pump in 5m every minute and 10s every second", n)
		}
	})
}

func TestIntervalsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := setting.Duration(time.Minute)
		r, sim, _ := nowRig(t, func(c *setup.Config) {
			c.Devices["own"] = testDevice("plc", 4, map[string]setup.Point{"x": {Holding: at(0), Every: &own}})
			// Many requests a cycle.
			points := make(map[string]setup.Point)
			for i := range 10 {
				points["p"+string(rune('a'+i))] = setup.Point{Holding: at(1000 * i)}
			}
			far := testDevice("plc", 5, points)
			far.Every = setting.Duration(10 * time.Second)
			c.Devices["far"] = far
		})
		defer r.stop()
		sim.Unit(4)
		sim.Unit(5).Always(modbustest.Late(50 * time.Millisecond))
		time.Sleep(time.Minute)
		for _, tt := range []struct {
			device        string
			every, length time.Duration
			text          string
		}{
			{"nobody", time.Second, time.Minute, "no such device"},
			{"boiler", time.Millisecond, time.Minute, "1ms is out of bounds: 100ms to 24h"},
			{"boiler", -time.Second, time.Minute, "out of bounds"},
			{"boiler", 48 * time.Hour, time.Minute, "out of bounds"},
			{"boiler", time.Second, 25 * time.Hour, "for 25h0m0s is out of bounds: 1s to 24h"},
			{"boiler", time.Second, 0, "for 0s is out of bounds"},
			{"own", time.Second, time.Minute, "an interval of its own"},
			{"far", 200 * time.Millisecond, time.Minute, "% of the time of bus plc"},
		} {
			err := r.source.SetInterval(t.Context(), tt.device, tt.every, tt.length)
			if !bridge.IsPermanent(err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s every %v for %v: %v", tt.device, tt.every, tt.length, err)
			}
		}
		if got := r.source.Intervals(); got != nil {
			t.Errorf("intervals %v", got)
		}
		if err := r.source.SetInterval(t.Context(), "far", 2*time.Second, time.Minute); err != nil {
			t.Errorf("what the bus can do: %v", err)
		}
	})
}
