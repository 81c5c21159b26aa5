package modbus

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// nowRig polls a boiler every hour, with a point every two, and a pump on the
// same bus every second.
func nowRig(t *testing.T, change func(*setup.Config)) (*rig, *modbustest.Simulator, setup.Config) {
	t.Helper()
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 7, 8, 9)
	sim.Unit(2).Set(modbustest.Holding, 0, 1)
	two := setting.Duration(2 * time.Hour)
	boiler := testDevice("plc", 1,
		map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(1)}, "slow": {Holding: at(2), Every: &two}})
	boiler.Every = setting.Duration(time.Hour)
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
		Devices: map[string]setup.Device{"boiler": boiler,
			"pump": testDevice("plc", 2, map[string]setup.Point{"on": {Holding: at(0)}})}}
	if change != nil {
		change(&cfg)
	}
	r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
	time.Sleep(time.Minute)
	synctest.Wait()
	r.of("boiler")
	return r, sim, cfg
}

func readingsText(all []bridge.Reading) string { return values(bridge.Batch{Readings: all}) }

func TestReadNow(t *testing.T) {
	for _, pipeline := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			r, sim, _ := nowRig(t, func(c *setup.Config) {
				plc := c.Buses["plc"]
				plc.Pipeline = pipeline
				c.Buses["plc"] = plc
			})
			defer r.stop()
			sim.Unit(1).Set(modbustest.Holding, 1, 80)
			begin := time.Now()
			got, err := r.source.ReadNow(t.Context(), "boiler", nil)
			if text := readingsText(got); err != nil || text != "a=7 b=80 slow=9" {
				t.Errorf("read %s, %v", text, err)
			}
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			if got, err = r.source.ReadNow(t.Context(), "boiler", []string{"slow", "a", "slow"}); err != nil ||
				readingsText(got) != "a=7 slow=9" {
				t.Errorf("some points: %s, %v", readingsText(got), err)
			}
			emitted := r.of("boiler")
			if len(emitted) != 2 || !emitted[0].Whole || values(emitted[0]) != "a=7 b=80 slow=9" {
				t.Errorf("emitted %v", emitted)
			}
			sim.Unit(1).Always(modbustest.Exception(4))
			if got, err = r.source.ReadNow(t.Context(), "boiler", []string{"b"}); err != nil ||
				readingsText(got) != "b=bad: exception_4" {
				t.Errorf("a bad point: %s, %v", readingsText(got), err)
			}
			for _, device := range [][]string{{"nobody"}, {"boiler", "nothing"}} {
				if _, err := r.source.ReadNow(t.Context(), device[0], device[1:]); !bridge.IsPermanent(err) ||
					!strings.Contains(err.Error(), "no such") {
					t.Errorf("%v: %v", device, err)
				}
			}
			for _, st := range r.source.Devices() {
				if st.Device == "boiler" && st.Good != 3 {
					t.Errorf("status %+v", st)
				}
			}
		})
	}
}

// TestReadNowAsksTheDead: a device that is given a rest is asked all the same,
// and so is a bus that is down.
func TestReadNowAsksTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sim, _ := nowRig(t, nil)
		defer r.stop()
		pump := func() string {
			got, err := r.source.ReadNow(t.Context(), "pump", nil)
			if err != nil {
				return err.Error()
			}
			return readingsText(got)
		}
		sim.Unit(2).Always(modbustest.Silence)
		time.Sleep(10 * time.Minute) // probed once a minute by now
		if got := pump(); got != "on=bad: timeout" {
			t.Errorf("silent: %s", got)
		}
		sim.Unit(2).Always()
		if got := pump(); got != "on=1" {
			t.Errorf("just switched on: %s", got)
		}
		sim.Refuse()
		time.Sleep(time.Minute)
		if got := pump(); got != "on=bad: refused" {
			t.Errorf("bus down: %s", got)
		}
		sim.Accept()
		if got := pump(); got != "on=1" {
			t.Errorf("bus just up: %s", got)
		}
	})
}

// TestReadNowEnds: with its context, with the source, and with the device.
func TestReadNowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sim, cfg := nowRig(t, func(c *setup.Config) {
			b := c.Buses["plc"]
			b.Timeout = setting.Duration(20 * time.Second)
			c.Buses["plc"] = b
		})
		sim.Unit(1).Always(modbustest.Silence)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.source.ReadNow(ctx, "boiler", nil); err == nil || bridge.IsPermanent(err) {
			t.Errorf("after its time: %v", err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := r.source.ReadNow(t.Context(), "boiler", nil)
			ended <- err
		}()
		time.Sleep(time.Second)
		left := setup.Config{Buses: cfg.Buses, Devices: map[string]setup.Device{"pump": cfg.Devices["pump"]}}
		if err := r.source.Apply(left); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Error("the device is gone, and the read is not told")
		}
		r.stop()
		if _, err := r.source.ReadNow(context.Background(), "pump", nil); err == nil {
			t.Error("a read after the end")
		}
	})
}
