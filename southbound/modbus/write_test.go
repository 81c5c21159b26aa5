package modbus

import (
	"context"
	"fieldbridge/southbound/modbus/permit"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
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
	yes := &permit.Writable{}
	limits := &permit.Writable{Min: &bridge.Decimal{Coef: 20}, Max: &bridge.Decimal{Coef: 85},
		MaxStep: &bridge.Decimal{Coef: 10}}
	points := map[string]setup.Point{
		"pump":     {Coil: at(3), Writable: yes},
		"speed":    {Holding: at(10), Scale: &bridge.Decimal{Coef: 1, Exp: -1}, Writable: yes},
		"setpoint": {Holding: at(20), Type: "float32", Order: "CDAB", Writable: limits},
		"flag":     {Holding: at(30), Bit: at(3), Writable: yes},
		"stage":    {Holding: at(31), Bits: "4-7", Writable: &permit.Writable{ReadModifyWrite: true}},
		"sensor":   {Input: at(0)},
		"mode":     {Holding: at(40), Enum: map[int64]string{0: "off", 1: "heating"}, Writable: yes},
	}
	tests := []struct {
		name     string
		write    string // of the device
		unit     []modbustest.Behaviour
		point    string
		value    bridge.Value
		text     string
		outcome  bridge.WriteOutcome
		requests string // functions that the unit saw for the write
		holding  [2]int // address, value afterwards
	}{
		{name: "coil", point: "pump", value: bridge.Bool(true), outcome: bridge.Done, requests: "[5 1]"},
		{name: "coil, multiple", write: "multiple", point: "pump", value: bridge.Bool(true), outcome: bridge.Done,
			requests: "[15 1]"},
		{name: "register", point: "speed", value: bridge.Float64(21.3), outcome: bridge.Done, requests: "[6 3]",
			holding: [2]int{10, 213}},
		{name: "register, multiple", write: "multiple", point: "speed", value: bridge.Int(2), outcome: bridge.Done,
			requests: "[16 3]",
			holding:  [2]int{10, 20}},
		{name: "two registers", point: "setpoint", value: bridge.Int(30), outcome: bridge.Done, requests: "[3 16 3]",
			holding: [2]int{21, 0x41f0}},
		{name: "two registers, single", write: "single", point: "setpoint", value: bridge.Int(30), outcome: bridge.Done,
			requests: "[3 6 6 3]",
			holding:  [2]int{21, 0x41f0}},
		{name: "enum", point: "mode", value: bridge.String("heating"), outcome: bridge.Done, requests: "[6 3]",
			holding: [2]int{40, 1}},
		{name: "bit", point: "flag", value: bridge.Bool(true), outcome: bridge.Done, requests: "[22 3]",
			holding: [2]int{30, 0xf008}},
		{name: "bit without function 22", unit: []modbustest.Behaviour{unsupported(22)}, point: "flag",
			value: bridge.Bool(true),
			text:  "the device cannot write a part of a register", outcome: bridge.Refused, requests: "[22]"},
		{name: "bits, written back", unit: []modbustest.Behaviour{unsupported(22)}, point: "stage", value: bridge.Int(5),
			outcome: bridge.Done, requests: "[22 3 6 3]", holding: [2]int{31, 0xf05f}},
		{name: "no such point", point: "spede", text: "the device has no such point", outcome: bridge.Refused,
			requests: "[]"},
		{name: "read-only", point: "sensor", value: bridge.Int(1), text: "not writable: add writable: true",
			outcome:  bridge.Refused,
			requests: "[]"},
		{name: "below min", point: "setpoint", value: bridge.Int(19), text: "19 is below min 20", outcome: bridge.Refused,
			requests: "[]"},
		{name: "above max", point: "setpoint", value: bridge.Float64(85.1), text: "85.1 is above max 85",
			outcome:  bridge.Refused,
			requests: "[]"},
		{name: "too large a step", point: "setpoint", value: bridge.Int(36), text: "from 25 to 36 is more than max_step 10",
			outcome: bridge.Refused, requests: "[3]"},
		{name: "does not fit", point: "speed", value: bridge.Int(7000), text: "7000 does not fit in uint16",
			outcome:  bridge.Refused,
			requests: "[]"},
		{name: "refused", unit: []modbustest.Behaviour{unsupported(6)}, point: "speed", value: bridge.Int(1),
			text: "illegal function", outcome: bridge.Refused, requests: "[6]"},
		{name: "silent", unit: []modbustest.Behaviour{modbustest.Silence}, point: "speed", value: bridge.Int(1),
			text: "no answer in time, and not read back", requests: "[6 3 3]"},
		{name: "not taken", unit: []modbustest.Behaviour{func(r modbustest.Request, a *modbustest.Answer) {
			if r.Function == 3 {
				a.PDU[3] = 7
			}
		}}, point: "speed", value: bridge.Int(1), text: "written, but the device has another value: 0.7",
			outcome:  bridge.Unconfirmed,
			requests: "[6 3 3 3 3 3 3 3 3]"},
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
				cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
					Devices: map[string]setup.Device{"boiler": d}}
				r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
				defer r.stop()
				time.Sleep(time.Minute)
				u.Forget()
				u.Always(test.unit...)
				is := r.source.Write(t.Context(), bridge.Command{Device: "boiler", Point: test.point, Value: test.value})
				if is.Outcome != test.outcome || (is.Text == "") != (test.text == "") || !strings.Contains(is.Text, test.text) {
					t.Errorf("%+v, want %d, %q", is, test.outcome, test.text)
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
		points["w"] = setup.Point{Holding: at(9), Writable: &permit.Writable{}}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"d": testDevice("plc", 1, points)}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		longest := time.Duration(0)
		for i := 0; ctx.Err() == nil; i++ {
			begin := time.Now()
			if is := r.source.Write(ctx, bridge.Command{Device: "d", Point: "w",
				Value: bridge.Int(int64(i % 100))}); is.Outcome != bridge.Done && ctx.Err() == nil {
				t.Fatal(is)
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
		if is := r.source.Write(context.Background(),
			bridge.Command{Device: "d", Point: "w", Value: bridge.Int(1)}); is.Outcome != bridge.Failed {
			t.Error("a write after the end was carried out")
		}
	})
}

// TestWriteAtTheFirstReading: who hears of a first reading finds the bus that it came
// from, however long others take to begin.
func TestWriteAtTheFirstReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := setup.Config{Buses: make(map[string]setup.Bus), Devices: make(map[string]setup.Device)}
		for i := range 3 {
			host := fmt.Sprint("plc", i)
			cfg.Buses[host] = testBus(host)
			cfg.Devices[host] = testDevice(host, 1, row(1, 1))
		}
		sim := modbustest.New()
		sim.Refuse()
		var mu sync.Mutex
		late, heard := 0, 0
		source, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		source.dial = func(spec.Bus) func(context.Context) (wire.Stream, error) {
			time.Sleep(2 * time.Second) // a bus takes its time, and the others could begin
			return func(ctx context.Context) (wire.Stream, error) { return sim.Dial(ctx) }
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_ = source.Run(ctx, func(b bridge.Batch, _ func(error)) {
				_, _, err := source.onBus(b.Device)
				mu.Lock()
				defer mu.Unlock()
				if heard++; err != nil {
					late++
				}
			})
		})
		time.Sleep(20 * time.Second)
		cancel()
		all.Wait()
		if late > 0 || heard < 3 {
			t.Errorf("at %d of %d first readings a write would have found no bus", late, heard)
		}
	})
}
