package modbus

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// only has a unit answer the requests that fit alone, and others with a behaviour.
func only(fits func(first, count int) bool, else_ modbustest.Behaviour) modbustest.Behaviour {
	return func(r modbustest.Request, a *modbustest.Answer) {
		if !fits(r.Address, r.Count) {
			else_(r, a)
		}
	}
}

// rule is a device that answers some requests alone.
type rule struct {
	points map[string]setup.Point
	bad    int // points that it has not
	fits   func(first, count int) bool
	most   int    // requests in a cycle once it is known
	known  string // of what was learnt
}

// rules are devices of the field.
func rules() map[string]rule {
	wide := make(map[string]setup.Point) // values of two registers and of one
	values := map[[2]int]bool{}
	for i, at0 := 0, 0; i < 12; i++ {
		p, n := setup.Point{Holding: at(at0)}, 1
		if i%3 == 0 {
			p.Type, n = "uint32", 2
		}
		wide[fmt.Sprintf("p%02d", i)] = p
		values[[2]int{at0, n}] = true
		at0 += n
	}
	coils := make(map[string]setup.Point)
	for i := range 8 {
		coils[fmt.Sprintf("r%d", i)] = setup.Point{Coil: at(i)}
	}
	delete(coils, "r0")
	within := func(tables ...int) func(first, count int) bool { // the ends of tables
		return func(first, count int) bool {
			for _, end := range tables {
				if first < end {
					return first+count <= end
				}
			}
			return false
		}
	}
	return map[string]rule{
		"one register": {row(10, 1), 0, func(_, count int) bool { return count == 1 }, 10, "at most 1 registers"},
		"one value": {wide, 0, func(first, count int) bool { return values[[2]int{first, count}] }, 12,
			"one value in a request"},
		"its tables":           {row(40, 1), 0, within(13, 30, 100), 3, "holding 12|13, holding 29|30"},
		"even lengths":         {row(9, 1), 0, func(_, count int) bool { return count%2 == 0 }, 1, "an even number"},
		"even lengths, spread": {row(9, 20), 0, func(_, count int) bool { return count%2 == 0 && count < 12 }, 9, "even"},
		"eight coils (F17)": {coils, 0, func(first, count int) bool { return first == 0 && count == 8 }, 1,
			"whole eights"},
		"one of eight coils (F17)": {map[string]setup.Point{"r7": {Coil: at(7)}}, 0,
			func(first, count int) bool { return first == 0 && count == 8 }, 1, "whole eights"},
		"a hole":     {row(20, 1), 1, func(first, count int) bool { return first > 7 || first+count <= 7 }, 2, "holding 7+1"},
		"a gap":      {row(20, 3), 0, func(first, count int) bool { return first > 7 || first+count <= 7 }, 2, "holding 7+2"},
		"at most 10": {row(60, 1), 0, func(_, count int) bool { return count <= 10 }, 6, "at most 10"},
	}
}

// TestRequestsOfSomeLengths: devices that refuse, or do not answer, all but some
// requests are read whole. Where they say so, in each cycle from the first on.
func TestRequestsOfSomeLengths(t *testing.T) {
	acts := map[string]modbustest.Behaviour{"exception 2": modbustest.Exception(2),
		"exception 4": modbustest.Exception(4), "exception 1": modbustest.Exception(1),
		"exception 5": modbustest.Exception(5),
		"exception 6": modbustest.Exception(6), "exception 11": modbustest.Exception(11), "silence": modbustest.Silence}
	for i, name := range slices.Sorted(maps.Keys(rules())) {
		rule := rules()[name]
		for j, how := range slices.Sorted(maps.Keys(acts)) {
			act := acts[how]
			for framing := range carriers {
				if !thorough() && (i+j+int(framing))%len(carriers) != 0 {
					continue // each rule with each act, and with each carrier
				}
				t.Run(fmt.Sprintf("%s, %s, %d", name, how, framing), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { rule.try(t, framing, act, how == "silence" || how == "exception 11") })
				})
			}
		}
	}
}

// try polls a device that follows the rule for a minute, and then once more after
// a restart.
func (r rule) try(t *testing.T, framing modbustest.Framing, act modbustest.Behaviour, silent bool) {
	sim := modbustest.New()
	sim.Framing = framing
	u := sim.Unit(1)
	for a := range 200 { // RTU asks again for what is equal to the last answer
		u.Set(modbustest.Holding, a, uint16(1000+a))
	}
	u.Always(only(r.fits, act))
	state := &memory{}
	bus := testBus("plc")
	bus.URL = carriers[framing]
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": bus},
		Devices: map[string]setup.Device{"Boiler": testDevice("plc", 1, r.points)}}
	rig := newRigWith(t, cfg, map[string]*modbustest.Simulator{"plc": sim}, state)
	time.Sleep(59 * time.Second)
	synctest.Wait()
	before := u.Count()
	time.Sleep(time.Second)
	asked := u.Count() - before
	want := len(r.points) - r.bad
	late := 0
	good := make(map[int64]int)
	all := rig.stop()
	// A cycle begins at the device's phase of the second, which the last, calm one tells.
	phase := time.Duration(all[len(all)-1].At.Nanosecond())
	for _, b := range all {
		good[b.At.Add(-phase).Unix()] += goodIn(b)
	}
	settled := 1
	if silent {
		settled = 35
	}
	for second, n := range good {
		if at := int(second - 946684800); n < want && at >= settled {
			late++
			t.Logf("cycle %d: %d good", at, n)
		}
	}
	if late > 0 || asked > r.most {
		t.Errorf("%d cycles without all %d points, %d requests at last, want %d", late, want, asked, r.most)
	}
	if known := recall(state, "Boiler", time.Now()).String(); !strings.Contains(known, r.known) {
		t.Errorf("learnt %q, want %q", known, r.known)
	}
	if t.Failed() {
		t.Log(rig.logged())
	}
	before = u.Count()
	again := newRigWith(t, cfg, map[string]*modbustest.Simulator{"plc": sim}, state)
	time.Sleep(time.Second - time.Millisecond)
	synctest.Wait()
	if asked := u.Count() - before; asked > r.most {
		t.Errorf("after a restart %d requests, want %d", asked, r.most)
	}
	again.stop()
}

// TestSilentHoleAtTheStart: where a device answers something else, silence on a
// hole costs the points beside it no reading, not even the first.
func TestSilentHoleAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Always(only(func(first, count int) bool { return first > 7 || first+count <= 7 }, modbustest.Silence))
		points := row(20, 1)
		points["far"] = setup.Point{Holding: at(5000)}
		device := testDevice("plc", 1, points)
		device.Every = setting.Duration(10 * time.Second)
		r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"Boiler": device}},
			map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(55 * time.Second) // between two cycles: one cut short emits a part
		seen, bad := 0, make(map[string]int)
		for _, b := range r.stop() {
			seen += goodIn(b)
			for _, reading := range b.Readings {
				if !reading.Value.Good() {
					bad[reading.Point]++
				}
			}
		}
		if len(bad) != 1 || bad["p007"] == 0 || seen != 20*bad["p007"] {
			t.Errorf("%d good readings, bad %v\n%s", seen, bad, r.logged())
		}
	})
}

// TestLostAnswersTeachNothing: a line that loses one answer in ten is no device that
// refuses something.
func TestLostAnswersTeachNothing(t *testing.T) {
	for framing := range carriers {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = framing
			chance := rand.New(rand.NewPCG(1, uint64(framing)))
			sim.Unit(1).Always(func(r modbustest.Request, a *modbustest.Answer) {
				if chance.IntN(10) == 0 {
					modbustest.Silence(r, a)
				}
			})
			bus := testBus("plc")
			bus.URL = carriers[framing]
			points := row(20, 1)
			points["far"] = setup.Point{Holding: at(5000)}
			state := &memory{}
			r := newRigWith(t, setup.Config{Buses: map[string]setup.Bus{"plc": bus},
				Devices: map[string]setup.Device{"Boiler": testDevice("plc", 1, points)}},
				map[string]*modbustest.Simulator{"plc": sim}, state)
			if time.Sleep(20 * time.Minute); thorough() {
				time.Sleep(time.Hour)
			}
			r.stop()
			if l := recall(state, "Boiler", time.Now()); l.Known() {
				t.Errorf("by %s it learnt that it %v\n%s", carriers[framing], l, r.logged())
			}
		})
	}
}

// TestLengthsAreSaid: a device of which the file says it is asked in such lengths
// from the first request on.
func TestLengthsAreSaid(t *testing.T) {
	for word, want := range map[string]modbustest.Request{
		"even":   {Unit: 1, Function: 3, Address: 8, Count: 2},
		"eights": {Unit: 1, Function: 1, Address: 8, Count: 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Unit(1).Set(modbustest.Holding, 8, 4711)
			sim.Unit(1).SetBit(modbustest.Coil, 11, true)
			device := testDevice("plc", 1, map[string]setup.Point{"p": {Holding: at(8)}})
			if word == "eights" {
				device.Points = map[string]setup.Point{"p": {Coil: at(11)}}
			}
			device.Lengths = word
			r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
				Devices: map[string]setup.Device{"d": device}},
				map[string]*modbustest.Simulator{"plc": sim})
			time.Sleep(time.Second)
			synctest.Wait()
			batches := r.stop()
			if got := sim.Unit(1).Requests()[0]; got != want {
				t.Errorf("%s: asked %+v, want %+v", word, got, want)
			}
			if got := values(batches[0]); got != "p=4711" && got != "p=true" {
				t.Errorf("%s: %s", word, got)
			}
		})
	}
}
