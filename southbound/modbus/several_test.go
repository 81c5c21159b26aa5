package modbus

import (
	"fieldbridge/southbound/modbus/permit"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// list makes settings of "a=1 b=2".
func list(text string) (all []bridge.Setting) {
	for _, one := range strings.Fields(text) {
		name, value, _ := strings.Cut(one, "=")
		all = append(all, bridge.Setting{Point: name, Value: setup.ParseValue(value)})
	}
	return all
}

// commandInterface is the device of F15: only function 16 with exactly three
// registers is a command, and its result is in 5375.
func commandInterface(u *modbustest.Unit) {
	u.Always(func(q modbustest.Request, a *modbustest.Answer) {
		switch {
		case q.Function == 3 && q.Address < 5374:
			modbustest.Exception(2)(q, a)
		case q.Function == 6:
			modbustest.Exception(1)(q, a)
		case q.Function == 16 && q.Address == 5249 && q.Count == 3:
			u.Set(modbustest.Holding, 5374, u.Get(modbustest.Holding, 5249, 1)[0], 0)
		case q.Function == 16:
			u.Set(modbustest.Holding, 5375, 3000)
		}
	})
}

// TestF15 is a command interface: three registers in one request.
func TestF15(t *testing.T) {
	for _, byAddress := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := testDevice("plc", 1, map[string]setup.Point{"command": {Holding: at(5249), Access: "write"},
				"p1": {Holding: at(5250), Access: "write"}, "p2": {Holding: at(5251), Access: "write"},
				"result": {Holding: at(5375)}})
			sim := modbustest.New()
			commandInterface(sim.Unit(1))
			r, tap, end := newTapped(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
				Devices: map[string]setup.Device{"meter": d}}, sim)
			defer end()
			time.Sleep(3 * time.Second)
			begin := time.Now()
			c := bridge.Command{Device: "meter", Set: list("command=2008 p1=0 p2=3"), ByAddress: byAddress}
			if byAddress {
				c.Set = list("p2=3 p1=0 command=2008")
			}
			if is := r.source.Write(t.Context(), c); is.Outcome != bridge.Unconfirmed || !is.Enough {
				t.Errorf("%+v", is)
			}
			if got, want := texts(tap.writes(begin)), "1: 10 14 81 00 03 06 07 d8 00 00 00 03"; got != want {
				t.Errorf("written: %q, want %q", got, want)
			}
			time.Sleep(3 * time.Second)
			batches := r.of("meter")
			if got := values(batches[len(batches)-1]); !strings.Contains(got, "result=0") {
				t.Errorf("the result is %s, want 0", got)
			}
			r.stop()
		})
	}
}

// TestSeveral: which requests a command of several points makes, and what becomes
// of it.
func TestSeveral(t *testing.T) {
	yes, whole := &permit.Writable{}, &permit.Writable{ReadModifyWrite: true}
	points := map[string]setup.Point{
		"a": {Holding: at(10), Writable: yes}, "b": {Holding: at(11), Type: "float32", Writable: yes},
		"c": {Holding: at(13), Writable: &permit.Writable{Max: &bridge.Decimal{Coef: 100},
			MaxStep: &bridge.Decimal{Coef: 10}}},
		"far": {Holding: at(20), Writable: yes},
		"day": {Holding: at(30), Bits: "0-4", Writable: yes}, "rest": {Holding: at(30), Bits: "5-15", Writable: yes},
		"hour": {Holding: at(31), Byte: "high", Type: "uint8", Writable: whole}, "next": {Holding: at(32), Writable: yes},
		"x": {Coil: at(3), Writable: yes}, "y": {Coil: at(4), Writable: yes}, "z": {Coil: at(5), Writable: yes},
		"sensor": {Input: at(0)},
	}
	for _, test := range []struct {
		name, way, set string
		behaviour      modbustest.Behaviour
		want           string // on the wire
		outcome        bridge.WriteOutcome
		text           string
	}{
		{name: "in one", set: "a=1 b=1.5 c=7", want: "10 00 0a 00 04 08 00 01 3f c0 00 00 00 07"},
		{name: "in the order given", set: "c=7 a=1", want: "06 00 0d 00 07|06 00 0a 00 01"},
		{name: "apart", set: "a=1 far=2", want: "06 00 0a 00 01|06 00 14 00 02"},
		{name: "coils", set: "x=true y=false z=true", want: "0f 00 03 00 03 01 05"},
		{name: "two tables", set: "x=true a=1", want: "05 00 03 ff 00|06 00 0a 00 01"},
		{name: "one at a time", way: "single", set: "a=1 c=7", want: "06 00 0a 00 01|06 00 0d 00 07"},
		{name: "all bits of a register", set: "day=3 rest=1 hour=5 next=9",
			want: "10 00 1e 00 03 06 00 23 05 99 00 09"},
		{name: "some bits", set: "day=3 next=9", want: "16 00 1e ff e0 00 03|06 00 20 00 09"},
		{name: "of one", set: "a=1", want: "06 00 0a 00 01"},
		{name: "no such point", set: "a=1 q=2", outcome: bridge.Refused, text: "write d: q: the device has no such point"},
		{name: "read-only", set: "a=1 sensor=2", outcome: bridge.Refused, text: "write d: sensor: not writable"},
		{name: "above the limit", set: "a=1 c=101", outcome: bridge.Refused, text: "c: 101 is above max 100"},
		{name: "too large a step", set: "a=1 c=50", outcome: bridge.Refused, text: "more than max_step 10"},
		{name: "refused", set: "a=1 far=2", behaviour: func(q modbustest.Request, a *modbustest.Answer) {
			if q.Function == 6 {
				modbustest.Exception(3)(q, a)
			}
		}, want: "06 00 0a 00 01", outcome: bridge.Refused, text: "a: exception 3"},
		{name: "refused in part", set: "a=1 far=2 x=true", behaviour: func(q modbustest.Request, a *modbustest.Answer) {
			if q.Function == 6 && q.Address == 20 {
				modbustest.Exception(3)(q, a)
			}
		}, want: "06 00 0a 00 01|06 00 14 00 02", outcome: bridge.Failed,
			text: "1 of 3 points were written: far: exception 3"},
		{name: "without an answer", set: "a=1 far=2", behaviour: func(q modbustest.Request, a *modbustest.Answer) {
			if q.Function == 6 {
				modbustest.Silence(q, a)
			}
		}, want: "06 00 0a 00 01", outcome: bridge.Failed, text: "no answer in time"},
		{name: "not taken", set: "a=1 b=2", behaviour: func(q modbustest.Request, a *modbustest.Answer) {
			if q.Function == 3 && q.Address == 10 {
				a.PDU[3] = 0x55 // a
			}
		}, want: "10 00 0a 00 03 06 00 01 40 00 00 00", outcome: bridge.Unconfirmed,
			text: "a: written, but the device has another value: 85"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := modbustest.New()
				u := sim.Unit(1)
				u.Set(modbustest.Holding, 31, 0x7799)
				d := testDevice("plc", 1, points)
				d.Every, d.Retries = setting.Duration(time.Hour), new(int)
				if test.way != "" {
					d.Write = test.way
				}
				r, tap, end := newTapped(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
					Devices: map[string]setup.Device{"d": d}}, sim)
				defer end()
				time.Sleep(time.Second)
				if test.behaviour != nil {
					u.Always(test.behaviour)
				}
				begin := time.Now()
				is := r.source.Write(t.Context(), bridge.Command{Device: "d", Set: list(test.set)})
				want := test.outcome
				if test.outcome == bridge.Failed && test.text == "" {
					want = bridge.Done
				}
				if is.Outcome != want || !strings.Contains(is.Text, test.text) {
					t.Errorf("%+v, want %d %q", is, want, test.text)
				}
				var got []string
				for _, f := range tap.writes(begin) {
					got = append(got, fmt.Sprintf("% x", f.pdu))
				}
				if all := strings.Join(got, "|"); all != test.want {
					t.Errorf("on the wire %s, want %s", all, test.want)
				}
				r.stop()
			})
		})
	}
}

// TestF14 is a setpoint whose power of ten is in another register: it is read in
// the turn that writes, whatever it was before.
func TestF14(t *testing.T) {
	limits := &permit.Writable{Min: &bridge.Decimal{Coef: -100}, Max: &bridge.Decimal{Coef: 100}}
	points := map[string]setup.Point{
		"in_rate": {Holding: at(40355), Type: "int16", ScalePoint: "rate_sf", Writable: limits},
		"rate_sf": {Holding: at(40368), Type: "int16"},
		"step": {Holding: at(40356), Type: "int16", ScalePoint: "rate_sf",
			Writable: &permit.Writable{MaxStep: &bridge.Decimal{Coef: 2}}},
	}
	for _, test := range []struct {
		factor  int16
		point   string
		value   float64
		want    string // on the wire
		outcome bridge.WriteOutcome
		text    string
	}{
		{-2, "in_rate", 55.5, "06 9d a3 15 ae", bridge.Done, ""},
		{-1, "in_rate", -55.5, "06 9d a3 fd d5", bridge.Done, ""},
		{0, "in_rate", 55, "06 9d a3 00 37", bridge.Done, ""},
		{1, "in_rate", 50, "06 9d a3 00 05", bridge.Done, ""},
		{-3, "in_rate", 55.5, "", bridge.Refused, "55.5 does not fit in int16"},
		{-32768, "in_rate", 55.5, "", bridge.Failed, "its scale point rate_sf is -32768, which is no power of ten"},
		{-2, "in_rate", 101, "", bridge.Refused, "101 is above max 100"},
		{-2, "step", 11.5, "06 9d a4 04 7e", bridge.Done, ""},
		{-2, "step", 12.5, "", bridge.Refused, "from 10 to 12.5 is more than max_step 2"},
	} {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			u := sim.Unit(1)
			u.Set(modbustest.Holding, 40355, 10000, 1000)
			d := testDevice("plc", 1, points)
			d.Every = setting.Duration(time.Hour)
			r, tap, end := newTapped(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
				Devices: map[string]setup.Device{"inverter": d}}, sim)
			defer end()
			time.Sleep(time.Second)
			u.Set(modbustest.Holding, 40368, uint16(test.factor)) // since the last poll
			begin := time.Now()
			is := r.source.Write(t.Context(), bridge.Command{Device: "inverter", Point: test.point,
				Value: bridge.Float64(test.value)})
			if is.Outcome != test.outcome || !strings.Contains(is.Text, test.text) {
				t.Errorf("%v by 10^%d: %+v, want %d %q", test.value, test.factor, is, test.outcome, test.text)
			}
			var got []string
			for _, f := range tap.writes(begin) {
				got = append(got, fmt.Sprintf("% x", f.pdu))
			}
			if all := strings.Join(got, "|"); all != test.want {
				t.Errorf("%v by 10^%d: on the wire %s, want %s", test.value, test.factor, all, test.want)
			}
			r.stop()
		})
	}
}
