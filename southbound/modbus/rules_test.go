package modbus

import (
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// TestRelayOfOtherNumbers: relays that want 1 in place of 0xFF00, or that toggle by
// 0x5500, are written by function 5 with that; a register that is 0xAA or 0x55 is a
// bool.
func TestRelayOfOtherNumbers(t *testing.T) {
	word := func(n uint16) *uint16 { return &n }
	field(t, map[string]setup.Point{
		"one":    {Coil: at(3), TrueIs: word(1), Writable: &permit.Writable{}},
		"toggle": {Coil: at(4), TrueIs: word(0x5500), Access: permit.Write},
		"fan": {Holding: at(10), Type: "bool", TrueIs: word(0xaa), FalseIs: word(0x55),
			Writable: &permit.Writable{}},
	}, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
		u.Set(modbustest.Holding, 10, 0x55)
		var sent []uint16
		u.Always(func(q modbustest.Request, a *modbustest.Answer) {
			if q.Function == 5 {
				number := uint16(a.PDU[3])<<8 | uint16(a.PDU[4])
				sent = append(sent, number)
				u.SetBit(modbustest.Coil, q.Address, number == 1)
			}
		})
		time.Sleep(2500 * time.Millisecond)
		polled(t, r, "one=false fan=false")
		wantWritten(t, r.set(t, "one", bridge.Bool(true)), bridge.Done, false, "")
		wantWritten(t, r.set(t, "one", bridge.Bool(false)), bridge.Done, false, "")
		wantWritten(t, r.set(t, "toggle", bridge.Bool(true)), bridge.Unconfirmed, true, "written, nothing is read back")
		wantWritten(t, r.set(t, "fan", bridge.Bool(true)), bridge.Done, false, "")
		if want := []uint16{1, 0, 0x5500}; len(sent) != 3 || [3]uint16(sent) != [3]uint16(want) {
			t.Errorf("function 5 wrote %x, want %x", sent, want)
		}
		if got := u.Get(modbustest.Holding, 10, 1)[0]; got != 0xaa {
			t.Errorf("the fan has %#x", got)
		}
		u.Set(modbustest.Holding, 10, 7)
		time.Sleep(2 * time.Second)
		polled(t, r, "one=false fan=bad: out_of_range")
	})
}

// TestLimitsWithHoles: a wallbox takes 0, or 6 to 32 in steps of 2; 0 is no step.
func TestLimitsWithHoles(t *testing.T) {
	limits := &permit.Writable{Min: &bridge.Decimal{Coef: 6}, Max: &bridge.Decimal{Coef: 32},
		MaxStep: &bridge.Decimal{Coef: 8}, MultipleOf: &bridge.Decimal{Coef: 2}, Also: []bridge.Decimal{{}}}
	field(t, map[string]setup.Point{"amps": {Holding: at(1), Writable: limits}},
		func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			u.Set(modbustest.Holding, 1, 32)
			time.Sleep(1500 * time.Millisecond)
			wantWritten(t, r.set(t, "amps", bridge.Int(7)), bridge.Refused, false, "7 is not a multiple of 2")
			wantWritten(t, r.set(t, "amps", bridge.Int(4)), bridge.Refused, false, "4 is below min 6")
			wantWritten(t, r.set(t, "amps", bridge.Int(6)), bridge.Refused, false, "from 32 to 6 is more than max_step 8")
			wantWritten(t, r.set(t, "amps", bridge.Int(0)), bridge.Done, false, "")
			wantWritten(t, r.set(t, "amps", bridge.Int(32)), bridge.Done, false, "")
		})
}

// TestScalePointOfDecimalsAndCodes: a scale point may be a number of decimals, have a
// bias, or be a code for a unit, also of what is written.
func TestScalePointOfDecimalsAndCodes(t *testing.T) {
	decimals, bias := &bridge.Decimal{Coef: -1}, &bridge.Decimal{Coef: -4}
	units := &setup.Table{Raw: []bridge.Decimal{{}, {Coef: 1}, {Coef: 2}},
		Value: []bridge.Decimal{{}, {Coef: 3}, {Coef: 6}},
		Codes: true}
	field(t, map[string]setup.Point{
		"temp": {Holding: at(0), Type: "int16", ScalePoint: "decimals", Writable: &permit.Writable{}},
		"volt": {Holding: at(2), ScalePoint: "dpt"}, "power": {Holding: at(4), ScalePoint: "unit"},
		"decimals": {Holding: at(1), Scale: decimals}, "dpt": {Holding: at(3), Type: "uint8", Byte: "high", Offset: bias},
		"unit": {Holding: at(5), Table: units},
	}, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
		u.Set(modbustest.Holding, 0, 0xffe2, 1, 2200, 0x0305, 42, 2)
		time.Sleep(1500 * time.Millisecond)
		polled(t, r, "temp=-3 decimals=-1 volt=220 dpt=-1 power=42000000 unit=6")
		wantWritten(t, r.set(t, "temp", bridge.Float64(21.5)), bridge.Done, false, "")
		if got := u.Get(modbustest.Holding, 0, 1)[0]; got != 215 {
			t.Errorf("the device has %d", got)
		}
		u.Set(modbustest.Holding, 5, 7)
		time.Sleep(2 * time.Second)
		polled(t, r, "temp=21.5 decimals=-1 volt=220 dpt=-1 power=bad: out_of_range unit=bad: out_of_range")
	})
}

// TestKeepFollowsTheDevice: a device that wants its own counter and one more, and its
// bit of life turned round, has them; where it has none nothing is written.
func TestKeepFollowsTheDevice(t *testing.T) {
	fieldOfDevice(t, map[string]setup.Point{
		"counter":  {Input: at(0), Invalid: []setup.Raw{rawNumber(t, "0xffff")}},
		"answer":   {Holding: at(10), Type: "uint8", Keep: &setup.Keep{Follow: "counter", Add: 1, Every: seconds(1)}},
		"life":     {Coil: at(1)},
		"opposite": {Coil: at(2), Invert: true, Keep: &setup.Keep{Follow: "life", Every: seconds(1)}},
	}, func(d *setup.Device) { d.Every = seconds(60) },
		func(t *testing.T, _ *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
			for _, test := range []struct {
				counter uint16
				life    bool
				answer  uint16
			}{{7, true, 8}, {254, false, 255}, {255, true, 0}, {0xffff, false, 0}, {300, true, 45}} {
				u.Set(modbustest.Input, 0, test.counter)
				u.SetBit(modbustest.Coil, 1, test.life)
				time.Sleep(2500 * time.Millisecond)
				if got := u.Get(modbustest.Holding, 10, 1)[0]; got != test.answer {
					t.Errorf("counter %d: the device was given %d, want %d", test.counter, got, test.answer)
				}
				if got := u.Get(modbustest.Coil, 2, 1)[0] != 0; got == test.life {
					t.Errorf("life %v: the opposite is %v", test.life, got)
				}
			}
		})
}

func rawNumber(t *testing.T, text string) (r setup.Raw) {
	t.Helper()
	if err := r.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return r
}
