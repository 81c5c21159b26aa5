package modbus

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pulse"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// TestBusPulse: the watchdog hears of a bus whose loop stands still, and of none whose
// devices, host or configuration are as they may be.
func TestBusPulse(t *testing.T) {
	minutes := func(n int) setting.Duration { return setting.Duration(time.Duration(n) * time.Minute) }
	for name, tt := range map[string]struct {
		change func(b *setup.Bus, d *setup.Device)
		sim    func(*modbustest.Simulator) // nil: nobody is at that address
		silent bool                        // its host does not answer at all
		hangs  bool                        // whoever takes what is read
		late   string
	}{
		"all is well":           {sim: func(*modbustest.Simulator) {}},
		"nobody is there":       {},
		"a host that is silent": {silent: true},
		"a device that is silent": {sim: func(s *modbustest.Simulator) {
			s.Unit(1).Always(modbustest.Silence)
		}},
		"long timeouts": {
			change: func(b *setup.Bus, d *setup.Device) { b.Timeout = minutes(5); d.Retries = new(int); *d.Retries = 3 },
			sim: func(s *modbustest.Simulator) {
				s.Unit(1).Always(func(_ modbustest.Request, a *modbustest.Answer) { a.Delay = 4 * time.Minute })
			}},
		"long timeouts and a silent host": {change: func(b *setup.Bus, _ *setup.Device) { b.Timeout = minutes(5) },
			silent: true},
		"a long interval": {sim: func(*modbustest.Simulator) {},
			change: func(_ *setup.Bus, d *setup.Device) { d.Every = minutes(45) }},
		"what is read is not taken": {sim: func(*modbustest.Simulator) {}, hangs: true, late: "bus plc"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, d := testBus("plc"), testDevice("plc", 1, map[string]setup.Point{"a": {Holding: at(0)}})
				if tt.change != nil {
					tt.change(&b, &d)
				}
				cfg := setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{"d": d}}
				board := pulse.NewBoard()
				s, err := New(cfg, Options{Pulses: func(name string) bridge.Pulse { return board.Loop(name) }})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				s.dial = func(spec.Bus) func(context.Context) (wire.Stream, error) {
					return func(dctx context.Context) (wire.Stream, error) {
						switch {
						case tt.silent:
							<-dctx.Done()
							return nil, dctx.Err()
						case tt.sim == nil:
							return nil, errors.New("connection refused")
						}
						sim := modbustest.New()
						sim.Unit(1)
						tt.sim(sim)
						return sim.Dial(ctx)
					}
				}
				var emitted atomic.Int64
				over, ended := make(chan struct{}), make(chan struct{})
				emit := func(bridge.Batch, func(error)) {
					if emitted.Add(1); tt.hangs {
						<-over
					}
				}
				go func() {
					defer close(ended)
					_ = s.Run(ctx, emit)
				}()
				<-s.Polls()
				late := ""
				for range 2 * 60 {
					time.Sleep(time.Minute)
					if l := board.Late(); len(l) > 0 {
						late = l[0].Name
					}
				}
				if late != tt.late {
					t.Errorf("%q is late, want %q", late, tt.late)
				}
				if emitted.Load() == 0 {
					t.Error("nothing was read in two hours, well or badly")
				}
				cancel()
				close(over)
				<-ended
				if l := board.Late(); len(l) > 0 {
					t.Errorf("after its end it is late: %v", l)
				}
			})
		})
	}
}

// TestPollsAtOnce: no device, bus or network is a condition for READY, nor is there one
// without a bus.
func TestPollsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(setup.Config{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = s.Run(ctx, nil)
		}()
		<-s.Polls()
		cancel()
		<-ended
	})
}
