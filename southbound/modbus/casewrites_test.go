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

// touching makes a behaviour of some functions that touch an address.
func touching(address int, b modbustest.Behaviour, functions ...byte) modbustest.Behaviour {
	return func(r modbustest.Request, a *modbustest.Answer) {
		for _, f := range functions {
			if r.Function == f && r.Address <= address && address < r.Address+r.Count {
				b(r, a)
			}
		}
	}
}

// field runs one unit with points, polled each second, for some seconds.
func field(t *testing.T, points map[string]setup.Point,
	f func(t *testing.T, r *rig, u *modbustest.Unit, sim *modbustest.Simulator)) {
	t.Helper()
	fieldOfDevice(t, points, nil, f)
}

// fieldOfDevice is field with changes of the device.
func fieldOfDevice(t *testing.T, points map[string]setup.Point, device func(*setup.Device),
	f func(t *testing.T, r *rig, u *modbustest.Unit, sim *modbustest.Simulator)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		d := testDevice("plc", 1, points)
		if device != nil {
			device(&d)
		}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		f(t, r, u, sim)
	})
}

func (r *rig) set(t *testing.T, point string, v bridge.Value) bridge.Written {
	return r.source.Write(t.Context(), bridge.Command{Device: "d", Point: point, Value: v})
}

// wantWritten checks what became of a write.
func wantWritten(t *testing.T, is bridge.Written, outcome bridge.WriteOutcome, enough bool, text string) {
	t.Helper()
	if is.Outcome != outcome || is.Enough != enough || !strings.Contains(is.Text, text) || text == "" && is.Text != "" {
		t.Errorf("outcome %d, enough %v, %q; want %d, %v, %q", is.Outcome, is.Enough, is.Text, outcome, enough, text)
	}
}

// touches returns the requests of a function that touch an address.
func touches(u *modbustest.Unit, address int, functions ...byte) (n int) {
	for _, q := range u.Requests() {
		for _, f := range functions {
			if q.Function == f && q.Address <= address && address < q.Address+q.Count {
				n++
			}
		}
	}
	return n
}

// polled checks the last batch of the device.
func polled(t *testing.T, r *rig, want string) {
	t.Helper()
	all := r.of("d")
	if len(all) == 0 || values(all[len(all)-1]) != want {
		t.Errorf("polled %v, want %s", all, want)
	}
}

// lockedInverter is the device of cases F01 and F02: 6868 to 1536 unlocks 32.
func lockedInverter(u *modbustest.Unit) {
	u.Set(modbustest.Holding, 32, 100)
	u.Always(touching(0x600, modbustest.Exception(2), 3), func(r modbustest.Request, a *modbustest.Answer) {
		if r.Function == 6 && r.Address == 32 && u.Get(modbustest.Holding, 0x600, 1)[0] != 6868 {
			u.Set(modbustest.Holding, 32, 100)
			modbustest.Exception(4)(r, a)
		}
	})
}

func TestCaseF01(t *testing.T) {
	limit := &permit.Writable{Max: &bridge.Decimal{Coef: 100}}
	for access, want := range map[string]struct {
		lock   setup.Point
		enough bool
		text   string
	}{
		"writable": {setup.Point{Holding: at(0x600), Writable: &permit.Writable{}}, false,
			"written, but not read back: read d holding 1536+1"},
		"write": {setup.Point{Holding: at(0x600), Access: "write"}, true, "written, nothing is read back"},
	} {
		t.Run(access, func(t *testing.T) {
			field(t, map[string]setup.Point{"pv_limit": {Holding: at(32), Writable: limit}, "lock": want.lock},
				func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
					lockedInverter(u)
					time.Sleep(3500 * time.Millisecond)
					wantWritten(t, r.set(t, "pv_limit", bridge.Int(60)), bridge.Refused, false, "exception 4")
					wantWritten(t, r.set(t, "lock", bridge.Int(6868)), bridge.Unconfirmed, want.enough, want.text)
					wantWritten(t, r.set(t, "pv_limit", bridge.Int(60)), bridge.Done, false, "")
				})
		})
	}
}

// TestCaseF02: what is only written is never read, by no path.
func TestCaseF02(t *testing.T) {
	near := map[string]setup.Point{"before": {Holding: at(0x5ff)}, "after": {Holding: at(0x601)},
		"lock": {Holding: at(0x600), Access: "write"}}
	slow := func(d *setup.Device) { d.Every = setting.Duration(10 * time.Second) }
	fieldOfDevice(t, near, slow, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
		time.Sleep(3500 * time.Millisecond)
		wantWritten(t, r.set(t, "lock", bridge.Int(6868)), bridge.Unconfirmed, true, "written, nothing is read back")
		if _, err := r.source.ReadNow(t.Context(), "d", []string{"lock"}); !bridge.IsPermanent(err) {
			t.Errorf("asked for by name: %v", err)
		}
		if got, err := r.source.ReadNow(t.Context(), "d", nil); err != nil || len(got) != 2 {
			t.Errorf("all: %v, %v", got, err)
		}
		// It is not read either when the device is silent, found again and learnt anew.
		u.Always(modbustest.Silence)
		time.Sleep(time.Minute)
		u.Always(touching(0x5ff, modbustest.Exception(2), 3))
		time.Sleep(25 * time.Hour)
		if n := touches(u, 0x600, 1, 2, 3, 4); n != 0 {
			t.Errorf("%d reads touched 1536", n)
		}
		for _, b := range r.of("d") {
			if strings.Contains(values(b), "lock") {
				t.Fatalf("a reading of it: %s", values(b))
			}
		}
		if warned(r, "lock") {
			t.Errorf("health: %v", r.source.Health())
		}
	})
}

// TestUnpolled: a writable point need not be polled; it is read back, and when
// somebody asks for it.
func TestUnpolled(t *testing.T) {
	no := false
	field(t, map[string]setup.Point{"t": {Input: at(0)},
		"mode": {Holding: at(5), Writable: &permit.Writable{}, Poll: &no}},
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			time.Sleep(10 * time.Second)
			if n := touches(u, 5, 3); n != 0 {
				t.Errorf("polled %d times", n)
			}
			wantWritten(t, r.set(t, "mode", bridge.Int(3)), bridge.Done, false, "")
			got, err := r.source.ReadNow(t.Context(), "d", []string{"mode"})
			if err != nil || len(got) != 1 || got[0].Value != bridge.Uint(3) {
				t.Errorf("%v, %v", got, err)
			}
			if n := touches(u, 5, 3); n != 2 {
				t.Errorf("read %d times, want after the write and when asked", n)
			}
		})
}

// TestCaseF04: the value shows late, or not in time.
func TestCaseF04(t *testing.T) {
	second := setting.Duration(time.Second)
	for name, want := range map[string]struct {
		confirm *permit.Confirm
		outcome bridge.WriteOutcome
		text    string
	}{
		"default": {nil, bridge.Done, ""},
		"too short": {&permit.Confirm{Within: &second}, bridge.Unconfirmed,
			"write d mode: written, but the device has another value: 0"},
	} {
		t.Run(name, func(t *testing.T) {
			field(t, map[string]setup.Point{"mode": {Holding: at(41000), Writable: &permit.Writable{}, Confirm: want.confirm},
				"t": {Input: at(0)}},
				func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
					u.Always(touching(41000, func(modbustest.Request, *modbustest.Answer) {
						u.Set(modbustest.Holding, 41000, 0)
						time.AfterFunc(1500*time.Millisecond, func() { u.Set(modbustest.Holding, 41000, 3) })
					}, 6))
					time.Sleep(2500 * time.Millisecond)
					u.Forget()
					wantWritten(t, r.set(t, "mode", bridge.Int(3)), want.outcome, false, want.text)
					if n := touches(u, 41000, 6); n != 1 {
						t.Errorf("written %d times", n)
					}
					if n := touches(u, 0, 4); n < 1 {
						t.Error("no polls meanwhile")
					}
					time.Sleep(2 * time.Second)
				})
		})
	}
}

// TestCaseF05: a button that falls back by itself.
func TestCaseF05(t *testing.T) {
	for name, want := range map[string]struct {
		confirm *permit.Confirm
		outcome bridge.WriteOutcome
		enough  bool
		text    string
	}{
		"default":        {nil, bridge.Unconfirmed, false, "written, but the device has another value: false"},
		"echo":           {&permit.Confirm{By: "echo"}, bridge.Unconfirmed, true, "written, nothing is read back"},
		"another point":  {&permit.Confirm{Point: "running"}, bridge.Done, false, ""},
		"another number": {&permit.Confirm{Point: "state"}, bridge.Done, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			field(t, map[string]setup.Point{"start": {Coil: at(16), Writable: &permit.Writable{}, Confirm: want.confirm},
				"running": {Discrete: at(3)}, "state": {Input: at(4)}},
				func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
					u.Always(touching(16, func(modbustest.Request, *modbustest.Answer) {
						u.Set(modbustest.Coil, 16, 0)
						time.AfterFunc(time.Second, func() {
							u.SetBit(modbustest.Discrete, 3, true)
							u.Set(modbustest.Input, 4, 1)
						})
					}, 5))
					time.Sleep(1500 * time.Millisecond)
					wantWritten(t, r.set(t, "start", bridge.Bool(true)), want.outcome, want.enough, want.text)
				})
		})
	}
}

// TestCaseF06: an exception of a vendor's own is a refusal with its number, for
// writes and reads, and costs no connection.
func TestCaseF06(t *testing.T) {
	field(t, map[string]setup.Point{"power": {Holding: at(32064), Type: "int32"},
		"max_charge": {Holding: at(47075), Type: "uint32", Writable: &permit.Writable{}},
		"derating":   {Holding: at(40126), Type: "uint32"}},
		func(t *testing.T, r *rig, u *modbustest.Unit, sim *modbustest.Simulator) {
			u.Set(modbustest.Holding, 32064, 0, 3500)
			no := modbustest.Exception(0x80)
			u.Always(touching(40126, no, 3), touching(47075, no, 6, 16))
			time.Sleep(5 * time.Second)
			wantWritten(t, r.set(t, "max_charge", bridge.Int(2500)), bridge.Refused, false,
				"write d max_charge: exception 128")
			time.Sleep(time.Minute)
			seen := ""
			for _, b := range r.of("d") {
				seen += values(b) + "\n"
			}
			if !strings.Contains(seen, "power=3500") || !strings.Contains(seen, "derating=bad: exception_128") {
				t.Error(seen)
			}
			if n := sim.Accepted(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
}

// TestExceptionsOfWrites: each of the 256 is the device's refusal with its number,
// but for those that say something else.
func TestExceptionsOfWrites(t *testing.T) {
	field(t, map[string]setup.Point{"w": {Holding: at(1), Writable: &permit.Writable{},
		Confirm: &permit.Confirm{By: "echo"}}},
		func(t *testing.T, r *rig, u *modbustest.Unit, sim *modbustest.Simulator) {
			time.Sleep(time.Second)
			for code := range 256 {
				u.Always(touching(1, modbustest.Exception(byte(code)), 6))
				want, enough := bridge.Refused, false
				switch code {
				case 5: // accepted, and takes long
					want, enough = bridge.Unconfirmed, true
				case 11: // a gateway had no answer
					want = bridge.Failed
				}
				wantWritten(t, r.set(t, "w", bridge.Int(1)), want, enough, fmt.Sprintf("exception %d,", code))
			}
			if n := sim.Accepted(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
}

// TestCaseF17: eight relays that answer only as a whole.
func TestCaseF17(t *testing.T) {
	whole := func(r modbustest.Request, a *modbustest.Answer) {
		if r.Function == 1 && (r.Address != 0 || r.Count != 8) {
			modbustest.Silence(r, a)
		}
	}
	all := make(map[string]setup.Point)
	for i := range 8 {
		all[fmt.Sprint("r", i)] = setup.Point{Coil: at(i), Writable: &permit.Writable{}}
	}
	for name, points := range map[string]map[string]setup.Point{
		"eight points": all,
		"one point":    {"r3": {Coil: at(3), Writable: &permit.Writable{}, Together: "0-7"}},
		"and others": {"r3": {Coil: at(3), Writable: &permit.Writable{}, Together: "0-7"}, "r9": {Coil: at(19)},
			"r2": {Coil: at(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			field(t, points, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
				u.Always(whole)
				time.Sleep(3500 * time.Millisecond)
				wantWritten(t, r.set(t, "r3", bridge.Bool(true)), bridge.Done, false, "")
				if got := u.Get(modbustest.Coil, 0, 8); fmt.Sprint(got) != "[0 0 0 1 0 0 0 0]" {
					t.Errorf("coils %v", got)
				}
				time.Sleep(time.Second)
				last := r.of("d")
				if got := values(last[len(last)-1]); !strings.Contains(got, "r3=true") {
					t.Errorf("polled: %s", got)
				}
			})
		})
	}
}

// TestWholeIsWritten: a device that is written only as a whole keeps what is
// beside the point.
func TestWholeIsWritten(t *testing.T) {
	back := &permit.Writable{ReadModifyWrite: true}
	field(t, map[string]setup.Point{"r3": {Coil: at(3), Writable: back, Together: "0-7"},
		"w": {Holding: at(11), Writable: back, Together: "10-12"},
		"b": {Holding: at(21), Bit: at(2), Writable: back, Together: "20-21"}},
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			u.Set(modbustest.Coil, 0, 1, 0, 1, 0, 1, 0, 1, 0)
			u.Set(modbustest.Holding, 10, 7, 8, 9)
			u.Set(modbustest.Holding, 20, 0xaaaa, 0xf0f0)
			u.Always(func(q modbustest.Request, a *modbustest.Answer) {
				if q.Function == 5 || q.Function == 6 || q.Function == 22 || q.Function == 15 && q.Count != 8 {
					t.Errorf("written by %+v", q)
				}
			})
			time.Sleep(1500 * time.Millisecond)
			wantWritten(t, r.set(t, "r3", bridge.Bool(true)), bridge.Done, false, "")
			wantWritten(t, r.set(t, "w", bridge.Int(1)), bridge.Done, false, "")
			wantWritten(t, r.set(t, "b", bridge.Bool(true)), bridge.Done, false, "")
			if got := u.Get(modbustest.Coil, 0, 8); fmt.Sprint(got) != "[1 0 1 1 1 0 1 0]" {
				t.Errorf("coils %v", got)
			}
			if got := u.Get(modbustest.Holding, 10, 3); fmt.Sprint(got) != "[7 1 9]" {
				t.Errorf("registers %v", got)
			}
			if got := u.Get(modbustest.Holding, 20, 2); got[0] != 0xaaaa || got[1] != 0xf0f4 {
				t.Errorf("registers %x", got)
			}
		})
}

// TestCaseF18: a contact that is closed at rest, in all the ways that a bool is.
func TestCaseF18(t *testing.T) {
	for name, p := range map[string]setup.Point{
		"coil": {Coil: at(1001)}, "bit": {Holding: at(1001), Bit: at(4)}, "register": {Holding: at(1001), Type: "bool"},
	} {
		t.Run(name, func(t *testing.T) {
			p.Invert, p.Writable = true, &permit.Writable{}
			field(t, map[string]setup.Point{"alarm": p},
				func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
					one := uint16(1)
					if p.Bit != nil {
						one = 1 << *p.Bit
					}
					table := modbustest.Holding
					if p.Coil != nil {
						table = modbustest.Coil
					}
					u.Set(table, 1001, one)
					time.Sleep(1500 * time.Millisecond)
					polled(t, r, "alarm=false")
					wantWritten(t, r.set(t, "alarm", bridge.Bool(true)), bridge.Done, false, "")
					if got := u.Get(table, 1001, 1)[0]; got != 0 {
						t.Errorf("on the wire %#x", got)
					}
					time.Sleep(time.Second)
					polled(t, r, "alarm=true")
				})
		})
	}
}

// TestCaseF22: the function that writes is said by the point.
func TestCaseF22(t *testing.T) {
	for _, test := range []struct {
		point    setup.Point
		function int
		value    bridge.Value
		seen     string
	}{
		{setup.Point{Coil: at(1)}, 5, bridge.Bool(true), "[5 1]"},
		{setup.Point{Coil: at(1)}, 15, bridge.Bool(true), "[15 1]"},
		{setup.Point{Holding: at(1)}, 6, bridge.Int(7), "[6 3]"},
		{setup.Point{Holding: at(1)}, 16, bridge.Int(7), "[16 3]"},
		{setup.Point{Holding: at(1)}, 22, bridge.Int(7), "[22 3]"},
		{setup.Point{Holding: at(1), Type: "uint32"}, 6, bridge.Int(7), "[6 6 3]"},
		{setup.Point{Holding: at(1), Type: "uint32"}, 16, bridge.Int(7), "[16 3]"},
		{setup.Point{Holding: at(1), Bit: at(3)}, 22, bridge.Bool(true), "[22 3]"},
		{setup.Point{Holding: at(1), Bit: at(3), Writable: &permit.Writable{ReadModifyWrite: true}}, 6, bridge.Bool(true),
			"[3 6 3]"},
		{setup.Point{Holding: at(1), Bit: at(3), Writable: &permit.Writable{ReadModifyWrite: true}}, 16, bridge.Bool(true),
			"[3 16 3]"},
	} {
		p := test.point
		if p.Writable == nil {
			p.Writable = &permit.Writable{}
		}
		hour := setting.Duration(time.Hour)
		p.WriteFunction, p.Every = &test.function, &hour
		field(t, map[string]setup.Point{"w": p}, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			time.Sleep(1500 * time.Millisecond)
			u.Forget()
			wantWritten(t, r.set(t, "w", test.value), bridge.Done, false, "")
			var seen []int
			for _, q := range u.Requests() {
				seen = append(seen, int(q.Function))
			}
			if got := fmt.Sprint(seen); got != test.seen {
				t.Errorf("function %d: %s, want %s", test.function, got, test.seen)
			}
		})
	}
}
