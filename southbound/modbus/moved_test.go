package modbus

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// lists are lists of models that a device may change to, and what comes then.
var lists = map[string]struct {
	base   int
	models []int
	want   string
}{
	"stays":             {40000, []int{1, 65, 103, 50, 160, 300}, movedValues},
	"a model grows":     {40000, []int{1, 66, 103, 50, 160, 300}, movedValues},
	"the last grows":    {40000, []int{1, 65, 103, 50, 160, 320}, movedValues},
	"another order":     {40000, []int{160, 300, 103, 50, 1, 65}, movedValues},
	"another base":      {50000, []int{1, 65, 103, 50, 160, 300}, movedValues},
	"another before":    {40000, []int{1, 65, 64900, 7, 103, 50, 160, 300}, movedValues},
	"another of a kind": {40000, []int{1, 65, 101, 50, 160, 300}, "serial=CD34 power=50 factor=-1 far=77 plain=9"},
	"one is gone": {40000, []int{1, 65, 160, 300},
		"serial=CD34 power=bad: given_up factor=bad: given_up far=77 plain=9"},
	"one is too short": {40000, []int{1, 65, 103, 12, 160, 300},
		"serial=CD34 power=bad: given_up factor=bad: given_up far=77 plain=9"},
	"all are gone": {0, nil,
		"serial=bad: given_up power=bad: given_up factor=bad: given_up far=bad: given_up plain=9"},
}

const movedValues = "serial=CD34 power=50 factor=-1 far=77 plain=9"

// relist gives a device a list of models with values, and garbage elsewhere.
func relist(u *modbustest.Unit, list string, serial string, power, far uint16) {
	garbage := make([]uint16, 1<<16)
	for i := range garbage {
		garbage[i] = 231
	}
	u.Set(modbustest.Holding, 0, garbage...)
	l := lists[list]
	if l.models == nil {
		return
	}
	where := listModels(u, l.base, l.models...)
	inverter := where[103] + where[101]
	u.Set(modbustest.Holding, where[1]+50, modbustest.Text(serial)...)
	u.Set(modbustest.Holding, where[1]+50+len(modbustest.Text(serial)), make([]uint16, 14)...)
	if inverter > 0 && list != "one is too short" {
		u.Set(modbustest.Holding, inverter+14, power, 0xffff)
	}
	u.Set(modbustest.Holding, where[160]+200, far)
}

// TestPilot1: whenever the list of a device changes, between whichever requests,
// no value of the old addresses is delivered, and soon all are right again.
func TestPilot1(t *testing.T) {
	ways := map[string]func(*setup.Bus, *setup.Device, *modbustest.Simulator){
		"one by one":     func(*setup.Bus, *setup.Device, *modbustest.Simulator) {},
		"at once":        func(b *setup.Bus, _ *setup.Device, _ *modbustest.Simulator) { b.Pipeline = 4 },
		"short requests": func(_ *setup.Bus, d *setup.Device, _ *modbustest.Simulator) { d.MaxWords = 20 },
		"no gaps":        func(_ *setup.Bus, d *setup.Device, _ *modbustest.Simulator) { d.MaxGap = new(int) },
		"on a line": func(b *setup.Bus, _ *setup.Device, sim *modbustest.Simulator) {
			b.URL, sim.Framing = "rtu:///dev/ttyS0", modbustest.RTU
		},
		"one a connection": func(_ *setup.Bus, _ *setup.Device, sim *modbustest.Simulator) {
			sim.Unit(1).Always(modbustest.CloseAfter)
		},
	}
	// Each list and way takes every fifteenth place, the next one the next.
	step := 15
	if thorough() {
		step = 1
	}
	for i, list := range slices.Sorted(maps.Keys(lists)) {
		for j, name := range slices.Sorted(maps.Keys(ways)) {
			t.Run(list+"/"+name, func(t *testing.T) {
				for after := 1 + (i+j)%step; after <= 30; after += step {
					synctest.Test(t, func(t *testing.T) { changeList(t, list, lists[list].want, ways[name], after) })
				}
			})
		}
	}
}

// changeList has a device change its list behind so many requests.
func changeList(t *testing.T, list, want string, way func(*setup.Bus, *setup.Device, *modbustest.Simulator),
	after int) {
	sim := modbustest.New()
	u := sim.Unit(1)
	u.Set(modbustest.Input, 7, 9)
	relist(u, "stays", "AB12", 812, 66)
	cfg := inverter()
	b, d := cfg.Buses["plc"], cfg.Devices["inverter"]
	d.Points["far"] = setup.Point{Holding: at(200), SunSpec: []int{160}, Every: new(setting.Duration(2e9))}
	way(&b, &d, sim)
	cfg.Buses["plc"], cfg.Devices["inverter"] = b, d
	changed := time.Time{}
	u.Next(make([]modbustest.Behaviour, after-1)...)
	u.Next(func(modbustest.Request, *modbustest.Answer) {
		changed = time.Now()
		relist(u, list, "CD34", 500, 77)
	})
	r := newRigDial(t, cfg, nil, func(ctx context.Context, _ spec.Bus) (wire.Stream, error) { return sim.Dial(ctx) })
	defer r.stop()
	time.Sleep(20 * time.Second)
	synctest.Wait()
	if changed.IsZero() {
		t.Fatal("nothing changed")
	}
	last := make(map[string]string)
	for _, batch := range r.of("inverter") {
		for _, reading := range batch.Readings {
			old := map[string]string{"serial": "AB12", "power": "81.2", "factor": "-1", "far": "66", "plain": "9"}[reading.Point]
			now := map[string]string{"serial": "CD34", "power": "50", "factor": "-1", "far": "77", "plain": "9"}[reading.Point]
			got := reading.Value.String()
			if reading.Value.Good() && got != now && (got != old || batch.At.After(changed)) {
				t.Fatalf("%s, changed %v ago: %s = %s", list, batch.At.Sub(changed), reading.Point, got)
			}
			last[reading.Point] = got
		}
	}
	got := ""
	for name, v := range last {
		got += " " + name + "=" + v
	}
	if !sameValues(got, want) {
		t.Errorf("%s: at last%s, want %s\n%s", list, got, want, r.logged())
	}
}

// TestPilot1Slow: a device that starts again between two slow polls, with another
// list, costs at most one cycle.
func TestPilot1Slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Set(modbustest.Input, 7, 9)
		relist(u, "stays", "AB12", 812, 66)
		cfg := inverter()
		d := cfg.Devices["inverter"]
		d.Every = setting.Duration(30 * time.Second)
		cfg.Devices["inverter"] = d
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		time.Sleep(90 * time.Second)
		expect(t, r, inverterValues)
		sim.Refuse() // the connection ends, and it is back before the next poll
		relist(u, "another order", "CD34", 500, 77)
		if err := sim.Accept(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		expect(t, r, "plain=9 serial=CD34 power=50 factor=-1")
		for _, b := range r.of("inverter") {
			if values(b) != "" && goodIn(b) < 4 {
				t.Logf("%v: %s", b.At, values(b))
			}
		}
	})
}

// TestPilot1Write: a command is not written to where the model was.
func TestPilot1Write(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		listModels(u, 40000, 1, 65, 123, 24)
		cfg := inverter()
		cfg.Devices["inverter"].Points["limit"] = setup.Point{Holding: at(5), SunSpec: []int{123},
			Writable: &permit.Writable{}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		time.Sleep(3*time.Second + 10*time.Millisecond)
		where := listModels(u, 40000, 1, 66, 123, 24)
		write := func() bool {
			return r.source.Write(t.Context(), bridge.Command{Device: "inverter", Point: "limit",
				Value: bridge.Int(70)}).Outcome == bridge.Done
		}
		if write() {
			t.Error("written while it is not known where the model is")
		}
		if got := u.Get(modbustest.Holding, where[123]+4, 1)[0]; got != 0 {
			t.Errorf("another register was set to %d", got)
		}
		time.Sleep(3 * time.Second)
		if !write() || u.Get(modbustest.Holding, where[123]+5, 1)[0] != 70 {
			t.Error("not written when the list was walked again")
		}
	})
}
