package modbus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// The cases that were right from the beginning, and stay so.

// readings runs one unit with the changes of a device and compares what is polled.
func readings(t *testing.T, points map[string]setup.Point, want string, device func(*setup.Device),
	unit func(*modbustest.Unit)) {
	t.Helper()
	fieldOfDevice(t, points, device, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
		unit(u)
		time.Sleep(3500 * time.Millisecond)
		polled(t, r, want)
	})
}

// exact is a decimal of a configuration.
func exact(t *testing.T, s string) *bridge.Decimal {
	t.Helper()
	var d bridge.Decimal
	if err := d.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return &d
}

// TestP01: a date in packed words, as six numbers.
func TestP01(t *testing.T) {
	number := func(address int, bits string) setup.Point { return setup.Point{Holding: &address, Bits: bits} }
	year := number(0, "0-6")
	year.Offset = exact(t, "2000")
	readings(t, map[string]setup.Point{"a_year": year, "b_month": number(1, "8-11"), "c_day": number(1, "0-4"),
		"d_hour": number(2, "8-12"), "e_minute": number(2, "0-5"), "f_second": {Holding: at(3), Scale: exact(t, "0.001")}},
		"a_year=2026 b_month=11 c_day=28 d_hour=13 e_minute=45 f_second=30.5", nil,
		func(u *modbustest.Unit) { u.Set(modbustest.Holding, 0, 0x001a, 0x0bdc, 0x0d2d, 0x7724) })
}

// TestP02: 0x8000 where a value is missing, addresses that count from 1.
func TestP02(t *testing.T) {
	var missing setup.Raw
	if err := missing.UnmarshalText([]byte("0x8000")); err != nil {
		t.Fatal(err)
	}
	temperature := func(address int) setup.Point {
		return setup.Point{Input: &address, Type: "int16", Scale: exact(t, "0.1"), Invalid: []setup.Raw{missing}}
	}
	readings(t, map[string]setup.Point{"a": temperature(501), "b": temperature(502), "c": temperature(503)},
		"a=21.5 b=bad: sentinel c=-1.5", func(d *setup.Device) { d.Base = 1 },
		func(u *modbustest.Unit) { u.Set(modbustest.Input, 500, 215, 0x8000, 0xfff1) })
}

// TestP03: a coil that commands beside one that tells, at another address.
func TestP03(t *testing.T) {
	field(t, map[string]setup.Point{"command": {Coil: at(10), Writable: &permit.Writable{}}, "state": {Coil: at(20)}},
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			u.Always(touching(10, func(modbustest.Request, *modbustest.Answer) {
				time.AfterFunc(10*time.Second, func() { u.SetBit(modbustest.Coil, 20, true) })
			}, 5))
			time.Sleep(1500 * time.Millisecond)
			wantWritten(t, r.set(t, "command", bridge.Bool(true)), bridge.Done, false, "")
			time.Sleep(2 * time.Second)
			polled(t, r, "command=true state=false")
			time.Sleep(10 * time.Second)
			polled(t, r, "command=true state=true")
		})
}

// TestP04: CDAB of a device swaps words of numbers, not of texts, and nothing in one
// register.
func TestP04(t *testing.T) {
	readings(t, map[string]setup.Point{"energy": {Holding: at(0), Type: "float32"}, "name": {Holding: at(2),
		Type: "string", Length: 8}, "short": {Holding: at(6), Type: "int16"}},
		"energy=71.5 name=plenti short=-2", func(d *setup.Device) { d.Order = "CDAB" }, func(u *modbustest.Unit) {
			number := modbustest.Float32(71.5)
			u.Set(modbustest.Holding, 0, number[1], number[0])
			u.Set(modbustest.Holding, 2, 0x706c, 0x656e, 0x7469, 0, 0xfffe)
		})
}

// TestP05: texts, floats and negative int64 of a meter whose manual counts from 1.
func TestP05(t *testing.T) {
	readings(t, map[string]setup.Point{"model": {Holding: at(50), Type: "string", Length: 12}, "volts": {Holding: at(3028),
		Type: "float32"}, "energy": {Holding: at(3204), Type: "int64"}},
		"model=PM5310 volts=230.5 energy=-123456789012", func(d *setup.Device) { d.Base = 1 }, func(u *modbustest.Unit) {
			u.Set(modbustest.Holding, 49, 0x504d, 0x3533, 0x3130, 0, 0, 0)
			u.Set(modbustest.Holding, 3027, modbustest.Float32(230.5)...)
			energy := uint64(1<<64 - 123456789012)
			u.Set(modbustest.Holding, 3203, uint16(energy>>48), uint16(energy>>32&0xffff), uint16(energy>>16&0xffff),
				uint16(energy&0xffff))
		})
}

// TestP06: points of SunSpec models that the device has not are given up, and what it
// has is told.
func TestP06(t *testing.T) {
	fieldOfDevice(t, map[string]setup.Point{"power": {Holding: at(14), Type: "int16"}},
		func(d *setup.Device) { d.SunSpec = []int{101, 102, 103} },
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			listModels(u, 40000, 1, 66, 701, 153)
			time.Sleep(10 * time.Second)
			polled(t, r, "power=bad: given_up")
			if !warned(r, "it has 1, 701: name one of these, or another profile") {
				t.Errorf("health: %v", r.source.Health())
			}
		})
}

// TestP07: a device that cuts what is set to its own limit is not told as done.
func TestP07(t *testing.T) {
	field(t, map[string]setup.Point{"power": {Holding: at(1), Writable: &permit.Writable{}}},
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			u.Always(touching(1, func(modbustest.Request, *modbustest.Answer) { u.Set(modbustest.Holding, 1, 4600) }, 6))
			time.Sleep(1500 * time.Millisecond)
			wantWritten(t, r.set(t, "power", bridge.Int(5000)), bridge.Unconfirmed, false, "the device has another value: 4600")
		})
}

// TestP08: half a register is set by function 22, and the other half stays.
func TestP08(t *testing.T) {
	field(t, map[string]setup.Point{"high": {Holding: at(1), Type: "uint8", Byte: "high", Writable: &permit.Writable{}}},
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			u.Set(modbustest.Holding, 1, 0x1234)
			time.Sleep(1500 * time.Millisecond)
			wantWritten(t, r.set(t, "high", bridge.Int(0xab)), bridge.Done, false, "")
			if got := u.Get(modbustest.Holding, 1, 1)[0]; got != 0xab34 || touches(u, 1, 22) != 1 || touches(u, 1, 6, 16) != 0 {
				t.Errorf("the register is %#x", got)
			}
		})
}

// TestP09: a wallbox that gives one value of two registers a request.
func TestP09(t *testing.T) {
	readings(t, map[string]setup.Point{"a": {Holding: at(1000), Type: "uint32"}, "b": {Holding: at(1002), Type: "uint32"},
		"c": {Holding: at(1004), Type: "uint32"}}, "a=1 b=2 c=3", func(d *setup.Device) { d.MaxWords = 2 },
		func(u *modbustest.Unit) {
			u.Set(modbustest.Holding, 1000, 0, 1, 0, 2, 0, 3)
			u.Always(func(r modbustest.Request, a *modbustest.Answer) {
				if r.Count != 2 {
					t.Errorf("asked for %+v", r)
				}
			})
		})
}

// TestP10: max_gap 0 keeps requests apart.
func TestP10(t *testing.T) {
	readings(t, map[string]setup.Point{"a": {Input: at(1)}, "b": {Input: at(2)}, "c": {Input: at(4)}}, "a=10 b=20 c=40",
		func(d *setup.Device) { d.MaxGap = new(int) }, func(u *modbustest.Unit) {
			u.Set(modbustest.Input, 1, 10, 20, 30, 40)
			u.Always(touching(3, func(r modbustest.Request, _ *modbustest.Answer) { t.Errorf("asked for %+v", r) }, 4))
		})
}

// TestP11: exception 4 while a device is locked is told as it is, and over at once.
func TestP11(t *testing.T) {
	field(t, map[string]setup.Point{"limit": {Holding: at(32), Writable: &permit.Writable{}},
		"lock": {Holding: at(0x600), Access: permit.Write}},
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			lockedInverter(u)
			time.Sleep(1500 * time.Millisecond)
			is := r.set(t, "limit", bridge.Int(60))
			wantWritten(t, is, bridge.Refused, false, "exception 4")
			if !strings.Contains(is.Text, "device failure") {
				t.Errorf("its text is %q", is.Text)
			}
			wantWritten(t, r.set(t, "lock", bridge.Int(6868)), bridge.Unconfirmed, true, "written")
			wantWritten(t, r.set(t, "limit", bridge.Int(60)), bridge.Done, false, "")
			if got := fmt.Sprint(u.Get(modbustest.Holding, 32, 1)); got != "[60]" {
				t.Errorf("the register is %s", got)
			}
		})
}

// TestPilot7FunctionLacks: a device that lacks the function of a write has perhaps the
// other one, and it is said which key takes it.
func TestPilot7FunctionLacks(t *testing.T) {
	for function, want := range map[byte]string{
		5:  "illegal function 5: if it has another, add to the device write: multiple, or to the point write_function: 15",
		6:  "illegal function 6: if it has another, add to the device write: multiple, or to the point write_function: 16",
		15: "illegal function 15: if it has another, add to the device write: single, or to the point write_function: 5",
		16: "illegal function 16: if it has another, add to the device write: single, or to the point write_function: 6",
	} {
		p, value, by := setup.Point{Holding: at(1), Writable: &permit.Writable{}}, bridge.Int(1), int(function)
		if p.WriteFunction = &by; function == 5 || function == 15 {
			p.Holding, p.Coil, value = nil, at(1), bridge.Bool(true)
		}
		field(t, map[string]setup.Point{"w": p}, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			u.Always(unsupported(function))
			time.Sleep(1500 * time.Millisecond)
			wantWritten(t, r.set(t, "w", value), bridge.Refused, false, want)
		})
	}
}
