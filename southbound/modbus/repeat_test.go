package modbus

import (
	"fieldbridge/southbound/modbus/permit"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// strings160 is a device whose inputs are blocks of model 160, and whose meters
// are models 203 and 201, all as often as the device has them.
func strings160(instances int) setup.Config {
	twenty := 20
	d := testDevice("plc", 1, map[string]setup.Point{
		"dc_sf":       {Holding: at(2), Type: "int16"},
		"pv{n}_power": {Holding: at(21), ScalePoint: "dc_sf", Repeat: &twenty},
		"state":       {Holding: at(27), Repeat: &twenty},
		"import":      {Holding: at(3), SunSpec: []int{203, 201}, ScalePoint: "import_sf"},
		"import_sf":   {Holding: at(4), SunSpec: []int{203, 201}, Type: "int16"},
	})
	d.SunSpec, d.Instances = []int{160}, instances
	return setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
		Devices: map[string]setup.Device{"inverter": d}}
}

// setStrings gives a model 160 at an address so many blocks.
func setStrings(u *modbustest.Unit, at, blocks int) {
	u.Set(modbustest.Holding, at+2, 0xffff) // tenths
	u.Set(modbustest.Holding, at+8, uint16(blocks))
	for n := range blocks {
		u.Set(modbustest.Holding, at+21+20*n, uint16(1000+n))
		u.Set(modbustest.Holding, at+27+20*n, uint16(4+n))
	}
}

// listOf writes a SunSpec list with models that may come more than once, and
// returns where each is.
func listOf(u *modbustest.Unit, models ...[2]int) (where []int) {
	at := 40002
	u.Set(modbustest.Holding, 40000, 0x5375, 0x6e53)
	for _, m := range models {
		where = append(where, at)
		u.Set(modbustest.Holding, at, uint16(m[0]), uint16(m[1]))
		at += 2 + m[1]
	}
	u.Set(modbustest.Holding, at, 0xffff, 0)
	u.Only(modbustest.Holding, 40000, at+2-40000)
	return where
}

func TestCopies(t *testing.T) {
	for _, tt := range []struct {
		name      string
		instances int
		blocks    int
		meters    []int
		want      string
	}{
		{"two blocks, one meter", 1, 2, []int{203},
			"dc_sf=-1 pv1_power=100 pv2_power=100.1 state_1=4 state_2=5 import=20 import_sf=1"},
		{"no block", 1, 0, []int{203}, "dc_sf=-1 import=20 import_sf=1"},
		{"second meter not asked for", 1, 0, []int{203, 203}, "dc_sf=-1 import=20 import_sf=1"},
		{"two meters of three", 3, 1, []int{203, 203},
			"dc_sf=-1 pv1_power=100 state_1=4 import=20 import_sf=1 import_2=30 import_sf_2=1"},
		{"meters of two kinds, the wanted one first", 2, 0, []int{201, 203},
			"dc_sf=-1 import=30 import_sf=1 import_2=20 import_sf_2=1"},
		{"no meter", 2, 0, nil, "dc_sf=-1 import=bad: given_up import_sf=bad: given_up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := modbustest.New()
				u := sim.Unit(1)
				models := [][2]int{{1, 66}, {160, 8 + 20*tt.blocks}}
				for _, id := range tt.meters {
					models = append(models, [2]int{id, 105})
				}
				where := listOf(u, models...)
				setStrings(u, where[1], tt.blocks)
				for i, at := range where[2:] {
					u.Set(modbustest.Holding, at+3, uint16(2+i), 1)
				}
				r := newRig(t, strings160(tt.instances), map[string]*modbustest.Simulator{"plc": sim})
				time.Sleep(5 * time.Second)
				expect(t, r, tt.want)
				r.stop()
			})
		})
	}
}

// TestCopiesAreTold: the catalogue has the points that the device has, and
// follows it; while nothing is known of the device nothing is made up.
func TestCopiesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Always(modbustest.Silence)
		r := newRig(t, strings160(2), map[string]*modbustest.Simulator{"plc": sim})
		names := func() string {
			devices, _, _ := r.source.o.Catalogue.Snapshot()
			var all []string
			for _, p := range devices[0].Points {
				all = append(all, p.Name)
			}
			return strings.Join(all, " ")
		}
		time.Sleep(5 * time.Second)
		expect(t, r, "dc_sf=bad: timeout pv1_power=bad: timeout state_1=bad: timeout import=bad: timeout import_sf=bad: "+
			"timeout")
		if got := names(); got != "dc_sf import import_sf pv1_power state_1" {
			t.Errorf("at first there are %s", got)
		}
		where := listOf(u, [2]int{1, 66}, [2]int{160, 48}, [2]int{203, 105}, [2]int{203, 105})
		setStrings(u, where[1], 2)
		u.Always()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := names(); got != "dc_sf import import_2 import_sf import_sf_2 pv1_power pv2_power state_1 state_2" {
			t.Errorf("then there are %s", got)
		}
		r.stop()
	})
}

// TestCopiesTooFar: a block so far from its scale point that no request has room
// for both is bad, and tears nothing else down.
func TestCopiesTooFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		where := listOf(u, [2]int{1, 66}, [2]int{160, 8 + 8*20}, [2]int{203, 105})
		setStrings(u, where[1], 8)
		r := newRig(t, strings160(1), map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(5 * time.Second)
		got := lastValues(t, r)
		for _, want := range []string{"pv6_power=100.5", "pv7_power=bad: given_up", "pv8_power=bad: given_up", "state_8=11"} {
			if !strings.Contains(" "+got+" ", " "+want+" ") {
				t.Errorf("%s is not in %s", want, got)
			}
		}
		r.stop()
	})
}

func TestCopiesProblems(t *testing.T) {
	twenty, none := 20, 0
	for name, tt := range map[string]struct {
		points map[string]setup.Point
		want   string
	}{
		"outside of models": {map[string]setup.Point{"a": {Input: at(1), Repeat: &twenty}},
			"points/a/repeat: a block that repeats outside of a SunSpec model"},
		"no stride": {map[string]setup.Point{"a": {Holding: at(1), Repeat: &none}},
			"points/a/repeat: a block of 0 registers"},
		"a name twice": {map[string]setup.Point{"a": {Holding: at(1), Repeat: &twenty}, "a_2": {Holding: at(9)}},
			"points/a_2: its copy is called a_2, as another point is"},
		"a mark without blocks": {map[string]setup.Point{"a{n}": {Holding: at(1)}},
			`points/a{n}: "a{n}" cannot name a point`},
	} {
		d := testDevice("plc", 1, tt.points)
		d.SunSpec = []int{160}
		_, problems := setup.Fields(d)
		if len(problems) != 1 {
			t.Errorf("%s: %d problems: %v", name, len(problems), problems)
			continue
		}
		if got := strings.Join(problems[0].Path, "/") + ": " + problems[0].Text; got != tt.want {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
}

// TestCopiesWrite: a copy that the device lacks cannot be written.
func TestCopiesWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		where := listOf(u, [2]int{1, 66}, [2]int{160, 48}, [2]int{203, 105})
		setStrings(u, where[1], 2)
		cfg := strings160(1)
		state := cfg.Devices["inverter"].Points["state"]
		state.Writable = &permit.Writable{}
		cfg.Devices["inverter"].Points["state"] = state
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(5 * time.Second)
		for point, want := range map[string]bool{"state_2": true, "state_3": false} {
			is := r.source.Write(t.Context(), bridge.Command{Device: "inverter", Point: point, Value: bridge.Uint(7)})
			if (is.Outcome == bridge.Done) != want {
				t.Errorf("write %s: %+v", point, is)
			}
		}
		if got := u.Get(modbustest.Holding, where[1]+47, 1); !slices.Equal(got, []uint16{7}) {
			t.Error(fmt.Sprint("written ", got))
		}
		r.stop()
	})
}
