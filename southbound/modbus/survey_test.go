package modbus

import (
	"fieldbridge/southbound/modbus/permit"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/setup"
)

// listModels writes a SunSpec list of pairs of id and length, and returns where
// each id is. What lies outside of the list is refused.
func listModels(u *modbustest.Unit, base int, models ...int) map[int]int {
	at := base + 2
	where := make(map[int]int)
	u.Set(modbustest.Holding, base, 0x5375, 0x6e53)
	for i := 0; i < len(models); i += 2 {
		where[models[i]] = at
		u.Set(modbustest.Holding, at, uint16(models[i]), uint16(models[i+1]))
		at += 2 + models[i+1]
	}
	u.Set(modbustest.Holding, at, 0xffff, 0)
	return where
}

// inverter is a device with points in models, one of which is counted as the
// device's and one as its own.
func inverter() setup.Config {
	d := testDevice("plc", 1, map[string]setup.Point{
		"power":  {Holding: at(14), Type: "int16", ScalePoint: "factor"},
		"factor": {Holding: at(15), Type: "int16"},
		"serial": {Holding: at(50), Type: "string", Length: 32, SunSpec: []int{1}},
		"plain":  {Input: at(7)},
	})
	d.SunSpec = []int{101, 102, 103}
	return setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
		Devices: map[string]setup.Device{"inverter": d}}
}

const inverterValues = "plain=9 power=81.2 serial=AB12 factor=-1"

// setInverter gives the points of inverter their values.
func setInverter(u *modbustest.Unit, where map[int]int) {
	u.Set(modbustest.Input, 7, 9)
	u.Set(modbustest.Holding, where[1]+50, modbustest.Text("AB12")...)
	u.Set(modbustest.Holding, where[103]+14, 812, 0xffff)
}

// sameValues tells whether two lists of values are the same but for their order.
func sameValues(a, b string) bool {
	left := strings.Fields(a)
	for _, v := range strings.Fields(b) {
		if !strings.Contains(" "+a+" ", " "+v+" ") {
			return false
		}
	}
	return len(left) == len(strings.Fields(b))
}

func lastValues(t *testing.T, r *rig) string {
	t.Helper()
	synctest.Wait()
	batches := r.of("inverter")
	if len(batches) == 0 {
		t.Fatalf("no batch: %s", r.logged())
	}
	return values(batches[len(batches)-1])
}

func expect(t *testing.T, r *rig, want string) {
	t.Helper()
	if got := lastValues(t, r); !sameValues(got, want) {
		t.Errorf("read %s, want %s\n%s", got, want, r.logged())
	}
}

func warned(r *rig, text string) bool {
	for _, c := range r.source.Health() {
		if strings.Contains(c.Text, text) {
			return true
		}
	}
	return false
}

func TestSurvey(t *testing.T) {
	for _, base := range plan.SunSpecBases {
		for _, common := range []int{65, 66} {
			for _, pipeline := range []int{1, 4} {
				for _, vendor := range []bool{false, true} {
					t.Run(fmt.Sprint(base, common, pipeline, vendor), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							sim := modbustest.New()
							u := sim.Unit(1)
							models := []int{1, common}
							if vendor {
								models = append(models, 64900, 7)
							}
							where := listModels(u, base, append(models, 103, 50)...)
							u.Only(modbustest.Holding, base, where[103]+54-base)
							setInverter(u, where)
							cfg := inverter()
							b := cfg.Buses["plc"]
							b.Pipeline = pipeline
							cfg.Buses["plc"] = b
							r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
							time.Sleep(3 * time.Second)
							expect(t, r, inverterValues)
							walk := u.CountOf(modbustest.Request{Unit: 1, Function: 3, Address: base, Count: 2})
							time.Sleep(3 * time.Second)
							if again := u.CountOf(modbustest.Request{Unit: 1, Function: 3, Address: base, Count: 2}); walk != 2 ||
								again != 2 {
								t.Errorf("the list was walked %d, then %d times, want twice", walk, again)
							}
							if len(r.source.Health()) > 0 {
								t.Errorf("health: %v", r.source.Health())
							}
							r.stop()
						})
					})
				}
			}
		}
	}
}

// TestSurveyAfterAbsence: another list may be there when a device comes back;
// and what is at the old addresses must not be taken for its values.
func TestSurveyAfterAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		setInverter(u, listModels(u, 40000, 1, 65, 103, 50))
		r := newRig(t, inverter(), map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(3 * time.Second)
		expect(t, r, inverterValues)
		u.Always(modbustest.Silence)
		time.Sleep(10 * time.Second)
		where := listModels(u, 40000, 1, 66, 103, 50)
		setInverter(u, where)
		u.Set(modbustest.Holding, where[103]+14, 500)
		u.Always()
		time.Sleep(30 * time.Second)
		expect(t, r, strings.Replace(inverterValues, "81.2", "50", 1))
		r.stop()
	})
}

// TestSurveyMissing: a model that a device lacks makes its points bad, with a
// text that says what it has; when the device is told to have it they are good.
func TestSurveyMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		setInverter(u, listModels(u, 40000, 1, 65, 113, 60))
		r := newRig(t, inverter(), map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(3 * time.Second)
		expect(t, r, "plain=9 serial=AB12 power=bad: given_up factor=bad: given_up")
		if !warned(r, "no SunSpec model 101 or 102 or 103, it has 1, 113") {
			t.Errorf("health: %v", r.source.Health())
		}
		is := r.source.Write(t.Context(), bridge.Command{Device: "inverter", Point: "power"})
		if is.Outcome != bridge.Refused {
			t.Error("a point that is nowhere was written")
		}
		setInverter(u, listModels(u, 40000, 1, 65, 103, 50))
		time.Sleep(10*time.Minute + 3*time.Second)
		expect(t, r, inverterValues)
		if len(r.source.Health()) > 0 {
			t.Errorf("health: %v", r.source.Health())
		}
		r.stop()
	})
}

// TestSurveyNoList: a device without a list is one whose SunSpec is switched
// off; one whose first answer is late is looked at again.
func TestSurveyNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Set(modbustest.Input, 7, 9)
		r := newRig(t, inverter(), map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(3 * time.Second)
		expect(t, r, "plain=9 serial=bad: given_up power=bad: given_up factor=bad: given_up")
		if !warned(r, "SunSpec is switched on") {
			t.Errorf("health: %v", r.source.Health())
		}
		r.stop()
		u.Next(modbustest.Silence, modbustest.Silence, modbustest.Silence)
		setInverter(u, listModels(u, 0, 1, 65, 103, 50))
		u.Set(modbustest.Input, 7, 9)
		r = newRig(t, inverter(), map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10 * time.Second)
		expect(t, r, inverterValues)
		r.stop()
	})
}

// TestSurveyAfterRefusal: an address that is refused, long after the walk, may
// mean that the list is another.
func TestSurveyAfterRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		setInverter(u, listModels(u, 40000, 1, 65, 103, 50))
		r := newRig(t, inverter(), map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10*time.Minute + 3*time.Second)
		expect(t, r, inverterValues)
		u.Set(modbustest.Holding, 40000, 0, 0)
		setInverter(u, listModels(u, 50000, 1, 65, 103, 50))
		u.Only(modbustest.Holding, 50000, 200)
		time.Sleep(5 * time.Second)
		expect(t, r, inverterValues)
		r.stop()
	})
}

func TestSurveyIsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		where := listModels(u, 40000, 1, 65, 103, 50)
		setInverter(u, where)
		state := &memory{}
		before := Plan(inverter())[0].Blocks
		got := fmt.Sprint(before[0].Models, before[0].Address, before[1].Models, before[1].Address, before[2].Models,
			before[2].Address)
		if want := "[] 7 [1] 50 [101 102 103] 14"; len(before) != 3 || got != want {
			t.Errorf("planned %s before the walk, want %s", got, want)
		}
		r := newRigWith(t, inverter(), map[string]*modbustest.Simulator{"plc": sim}, state)
		time.Sleep(3 * time.Second)
		r.stop()
		after := PlanLearnt(inverter(), state)[0].Blocks
		if len(after) != 2 || after[1].Models != nil || after[1].Address != where[1] || len(after[1].Points) != 3 {
			t.Errorf("planned %+v after the walk", after)
		}
	})
}

func TestSurveyWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		where := listModels(u, 40000, 1, 65, 123, 24)
		cfg := inverter()
		cfg.Devices["inverter"].Points["limit"] = setup.Point{Holding: at(5), SunSpec: []int{123},
			Writable: &permit.Writable{}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(3 * time.Second)
		if is := r.source.Write(t.Context(),
			bridge.Command{Device: "inverter", Point: "limit", Value: bridge.Int(70)}); is.Outcome != bridge.Done {
			t.Errorf("%+v", is)
		}
		if got := u.Get(modbustest.Holding, where[123]+5, 1)[0]; got != 70 {
			t.Errorf("wrote %d", got)
		}
		r.stop()
	})
}
