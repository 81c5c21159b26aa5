package modbus

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
)

// unsupported makes a unit that does not know a function.
func unsupported(functions ...byte) modbustest.Behaviour {
	return func(r modbustest.Request, a *modbustest.Answer) {
		for _, f := range functions {
			if r.Function == f {
				modbustest.Exception(1)(r, a)
			}
		}
	}
}

func TestWrite(t *testing.T) {
	yes := &Writable{}
	limits := &Writable{Min: &bridge.Decimal{Coef: 20}, Max: &bridge.Decimal{Coef: 85}, MaxStep: &bridge.Decimal{Coef: 10}}
	points := map[string]Point{
		"pump":     {Coil: at(3), Writable: yes},
		"speed":    {Holding: at(10), Scale: &bridge.Decimal{Coef: 1, Exp: -1}, Writable: yes},
		"setpoint": {Holding: at(20), Type: "float32", Order: "CDAB", Writable: limits},
		"flag":     {Holding: at(30), Bit: at(3), Writable: yes},
		"stage":    {Holding: at(31), Bits: "4-7", Writable: &Writable{ReadModifyWrite: true}},
		"sensor":   {Input: at(0)},
		"mode":     {Holding: at(40), Enum: map[int64]string{0: "off", 1: "heating"}, Writable: yes},
	}
	tests := []struct {
		name      string
		write     string // of the device
		unit      []modbustest.Behaviour
		point     string
		value     bridge.Value
		err       string
		permanent bool
		requests  string // functions that the unit saw for the write
		holding   [2]int // address, value afterwards
	}{
		{name: "coil", point: "pump", value: bridge.Bool(true), requests: "[5 1]"},
		{name: "coil, multiple", write: "multiple", point: "pump", value: bridge.Bool(true), requests: "[15 1]"},
		{name: "register", point: "speed", value: bridge.Float64(21.3), requests: "[6 3]", holding: [2]int{10, 213}},
		{name: "register, multiple", write: "multiple", point: "speed", value: bridge.Int(2), requests: "[16 3]",
			holding: [2]int{10, 20}},
		{name: "two registers", point: "setpoint", value: bridge.Int(30), requests: "[3 16 3]", holding: [2]int{21, 0x41f0}},
		{name: "two registers, single", write: "single", point: "setpoint", value: bridge.Int(30), requests: "[3 6 6 3]",
			holding: [2]int{21, 0x41f0}},
		{name: "enum", point: "mode", value: bridge.String("heating"), requests: "[6 3]", holding: [2]int{40, 1}},
		{name: "bit", point: "flag", value: bridge.Bool(true), requests: "[22 3]", holding: [2]int{30, 0xf008}},
		{name: "bit without function 22", unit: []modbustest.Behaviour{unsupported(22)}, point: "flag",
			value: bridge.Bool(true),
			err:   "the device cannot write a part of a register", permanent: true, requests: "[22]"},
		{name: "bits, written back", unit: []modbustest.Behaviour{unsupported(22)}, point: "stage", value: bridge.Int(5),
			requests: "[22 3 6 3]", holding: [2]int{31, 0xf05f}},
		{name: "no such point", point: "spede", err: "the device has no such point", permanent: true, requests: "[]"},
		{name: "read-only", point: "sensor", value: bridge.Int(1), err: "not writable: add writable: true", permanent: true,
			requests: "[]"},
		{name: "below min", point: "setpoint", value: bridge.Int(19), err: "19 is below min 20", permanent: true,
			requests: "[]"},
		{name: "above max", point: "setpoint", value: bridge.Float64(85.1), err: "85.1 is above max 85", permanent: true,
			requests: "[]"},
		{name: "too large a step", point: "setpoint", value: bridge.Int(36), err: "from 25 to 36 is more than max_step 10",
			permanent: true, requests: "[3]"},
		{name: "does not fit", point: "speed", value: bridge.Int(7000), err: "7000 does not fit in uint16", permanent: true,
			requests: "[]"},
		{name: "refused", unit: []modbustest.Behaviour{unsupported(6)}, point: "speed", value: bridge.Int(1),
			err: "illegal function", permanent: true, requests: "[6]"},
		{name: "silent", unit: []modbustest.Behaviour{modbustest.Silence}, point: "speed", value: bridge.Int(1),
			err: "no answer in time", requests: "[6]"},
		{name: "not taken", unit: []modbustest.Behaviour{func(r modbustest.Request, a *modbustest.Answer) {
			if r.Function == 3 {
				a.PDU[3] = 7
			}
		}}, point: "speed", value: bridge.Int(1), err: "written, but the device has another value: 0.7", requests: "[6 3]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := modbustest.New()
				u := sim.Unit(1)
				u.Set(modbustest.Holding, 20, 0, 0x41c8) // 25, CDAB
				u.Set(modbustest.Holding, 30, 0xf000, 0xf00f)
				d := testDevice("plc", 1, points)
				d.Every = setting.Duration(time.Hour)
				d.Retries = new(int)
				if test.write != "" {
					d.Write = test.write
				}
				cfg := Config{Buses: map[string]Bus{"plc": testBus("plc")}, Devices: map[string]Device{"boiler": d}}
				r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
				defer r.stop()
				time.Sleep(time.Minute)
				u.Forget()
				u.Always(test.unit...)
				err := r.source.Write(t.Context(), bridge.Command{Device: "boiler", Point: test.point, Value: test.value})
				if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
					t.Errorf("%v, want %q", err, test.err)
				}
				if bridge.IsPermanent(err) != test.permanent {
					t.Errorf("permanent: %v, want %v", !test.permanent, test.permanent)
				}
				functions := []int{}
				for _, q := range u.Requests() {
					functions = append(functions, int(q.Function))
				}
				if got := fmt.Sprint(functions); got != test.requests {
					t.Errorf("functions %s, want %s", got, test.requests)
				}
				if h := test.holding; h[0] != 0 {
					if got := u.Get(modbustest.Holding, h[0], 1)[0]; int(got) != h[1] {
						t.Errorf("holding %d is %#x, want %#x", h[0], got, h[1])
					}
				}
			})
		})
	}
}

// TestWritesLeaveTimeForReads: however many writes wait, polls go on, and a
// write waits for one request at most.
func TestWritesLeaveTimeForReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Latency = 5 * time.Millisecond
		sim.Unit(1)
		points := row(8, 1000)
		points["w"] = Point{Holding: at(9), Writable: &Writable{}}
		cfg := Config{Buses: map[string]Bus{"plc": testBus("plc")},
			Devices: map[string]Device{"d": testDevice("plc", 1, points)}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		longest := time.Duration(0)
		for i := 0; ctx.Err() == nil; i++ {
			begin := time.Now()
			if err := r.source.Write(ctx, bridge.Command{Device: "d", Point: "w",
				Value: bridge.Int(int64(i % 100))}); err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
			longest = max(longest, time.Since(begin))
		}
		synctest.Wait()
		n := 0
		for _, b := range r.of("d") {
			n += goodIn(b)
		}
		if n < 9*10 {
			t.Errorf("%d readings in 10s under writes, want 90", n)
		}
		if n := sim.Accepted(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		if longest > 15*time.Millisecond+time.Millisecond {
			t.Errorf("a write took %v, want two requests and one that was under way", longest)
		}
		r.stop()
		if err := r.source.Write(context.Background(),
			bridge.Command{Device: "d", Point: "w", Value: bridge.Int(1)}); err == nil {
			t.Error("a write after the end was carried out")
		}
	})
}
