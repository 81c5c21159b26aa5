package modbus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// disk is a [bridge.Notebook] in memory.
type disk struct {
	mu     sync.Mutex
	values map[string][]byte
	broken error
}

func (d *disk) Get(key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.values[key], nil
}

func (d *disk) Put(key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	if d.values == nil {
		d.values = make(map[string][]byte)
	}
	d.values[key] = value
	return nil
}

func (d *disk) Note(key string, value []byte) error { return d.Put(key, value) }

// copied is what a kill leaves of d.
func (d *disk) copied() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &disk{values: make(map[string][]byte)}
	for key, value := range d.values {
		c.values[key] = value
	}
	return c
}

// gate runs a device with a coil that opens a gate by a pulse of 500 ms.
func gate(t *testing.T, saved *disk, change func(*setup.Point)) (*rig, *modbustest.Unit) {
	t.Helper()
	sim := modbustest.New()
	u := sim.Unit(1)
	return gateOn(t, sim, saved, change), u
}

func gateOn(t *testing.T, sim *modbustest.Simulator, saved *disk, change func(*setup.Point)) *rig {
	t.Helper()
	return newRigDial(t, gateConfig(change), saved, func(ctx context.Context, _ spec.Bus) (wire.Stream, error) {
		return sim.Dial(context.WithoutCancel(ctx)) // it is there while the source stops
	})
}

func gateConfig(change func(*setup.Point)) setup.Config {
	half := setting.Duration(500 * time.Millisecond)
	p := setup.Point{Coil: at(16), Writable: &permit.Writable{}, Pulse: &half}
	if change != nil {
		change(&p)
	}
	d := testDevice("plc", 1, map[string]setup.Point{"open": p, "running": {Discrete: at(3)}})
	return setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"d": d}}
}

// edges records when a coil is written, from now on: "on", "500ms off".
type edges struct {
	mu   sync.Mutex
	last time.Time
	seen []string
}

func (e *edges) behaviour(u *modbustest.Unit) modbustest.Behaviour {
	return func(r modbustest.Request, _ *modbustest.Answer) {
		if r.Function != 5 {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		what := "off"
		if u.Get(modbustest.Coil, r.Address, 1)[0] != 0 {
			what = "on"
		}
		if !e.last.IsZero() {
			what = time.Since(e.last).Round(10*time.Millisecond).String() + " " + what
		}
		e.last = time.Now()
		e.seen = append(e.seen, what)
	}
}

func (e *edges) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.seen, ", ")
}

func TestPulse(t *testing.T) {
	for name, test := range map[string]struct {
		value   bridge.Value
		change  func(*setup.Point)
		unit    modbustest.Behaviour
		outcome bridge.WriteOutcome
		enough  bool
		text    string
		edges   string
	}{
		"pulse":       {value: bridge.Bool(true), outcome: bridge.Done, edges: "on, 500ms off"},
		"a number":    {value: bridge.Int(1), outcome: bridge.Done, edges: "on, 500ms off"},
		"off by hand": {value: bridge.Bool(false), outcome: bridge.Done, edges: "off"},
		"by echo": {value: bridge.Bool(true), change: func(p *setup.Point) { p.Confirm = &permit.Confirm{By: "echo"} },
			outcome: bridge.Unconfirmed, enough: true, text: "nothing is read back", edges: "on, 500ms off"},
		"shown elsewhere": {value: bridge.Bool(true),
			change: func(p *setup.Point) { p.Confirm = &permit.Confirm{Point: "running"} }, unit: nil,
			outcome: bridge.Unconfirmed,
			text:    "running has another value: false", edges: "on, 500ms off"},
		"refused": {value: bridge.Bool(true), unit: touching(16, modbustest.Exception(4), 5), outcome: bridge.Refused,
			text: "exception 4", edges: "on"},
		"never answered": {value: bridge.Bool(true), unit: touching(16, modbustest.Silence, 5), outcome: bridge.Failed,
			text: "its off is not taken: no answer in time; that is tried until it is", edges: "on, 500ms off"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				saved, e := &disk{}, &edges{}
				r, u := gate(t, saved, test.change)
				time.Sleep(2200 * time.Millisecond)
				u.Always(e.behaviour(u))
				if test.unit != nil {
					u.Always(e.behaviour(u), test.unit)
				}
				wantWritten(t, r.set(t, "open", test.value), test.outcome, test.enough, test.text)
				if got := e.String(); !strings.HasPrefix(got, test.edges) || test.outcome != bridge.Failed && got != test.edges {
					t.Errorf("on the wire: %s, want %s", got, test.edges)
				}
				r.stop()
				if left := string(saved.values["modbus.pulses"]); test.outcome != bridge.Failed && left != "[]" && left != "" {
					t.Errorf("owed after the stop: %s", left)
				}
			})
		})
	}
}

// TestPulseEnds: a stop, a reload, an end of the command and the switch on the
// machine bring its off at once.
func TestPulseEnds(t *testing.T) {
	long := func(p *setup.Point) { ten := setting.Duration(10 * time.Second); p.Pulse = &ten }
	for name, end := range map[string]func(r *rig, cancel func()){
		"stop":   func(r *rig, _ func()) { r.stop() },
		"cancel": func(_ *rig, cancel func()) { cancel() },
		"off":    func(r *rig, _ func()) { r.source.SetOff(true) },
		"reload": func(r *rig, _ func()) {
			cfg := gateConfig(long)
			d := cfg.Devices["d"]
			delete(d.Points, "open")
			if err := r.source.Apply(cfg); err != nil {
				panic(err)
			}
		},
		"the device leaves": func(r *rig, _ func()) {
			if err := r.source.Apply(setup.Config{}); err != nil {
				panic(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &edges{}
				r, u := gate(t, &disk{}, long)
				time.Sleep(2200 * time.Millisecond)
				u.Always(e.behaviour(u))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan bridge.Written, 1)
				go func() {
					done <- r.source.Write(ctx, bridge.Command{Device: "d", Point: "open", Value: bridge.Bool(true)})
				}()
				time.Sleep(time.Second)
				end(r, cancel)
				time.Sleep(time.Second)
				if got := e.String(); got != "on, 1s off" {
					t.Errorf("on the wire: %s", got)
				}
				if is := <-done; is.Outcome == bridge.Refused {
					t.Errorf("%+v", is)
				}
				r.stop()
			})
		})
	}
}

// TestPulseAfterAKill: the first request of the next start is the off, and then
// none is owed.
func TestPulseAfterAKill(t *testing.T) {
	for _, killed := range []time.Duration{0, 100 * time.Millisecond, 499 * time.Millisecond, 600 * time.Millisecond} {
		t.Run(fmt.Sprint(killed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				saved := &disk{}
				first, _ := gate(t, saved, nil)
				time.Sleep(2200 * time.Millisecond)
				go first.set(t, "open", bridge.Bool(true))
				synctest.Wait()
				time.Sleep(killed)
				synctest.Wait()
				left := saved.copied()
				first.stop()

				sim := modbustest.New()
				u := sim.Unit(1)
				u.SetBit(modbustest.Coil, 16, true)
				second := gateOn(t, sim, left, nil)
				time.Sleep(2 * time.Second)
				owed := killed < 500*time.Millisecond
				if q := u.Requests()[0]; (q.Function == 5) != owed || (u.Get(modbustest.Coil, 16, 1)[0] == 0) != owed {
					t.Errorf("the first request is %+v, coil %v", q, u.Get(modbustest.Coil, 16, 1))
				}
				if n := touches(u, 16, 5); n > 1 {
					t.Errorf("%d writes", n)
				}
				second.stop()
				if got := string(left.values["modbus.pulses"]); owed && got != "[]" {
					t.Errorf("owed still: %s", got)
				}
			})
		})
	}
}

// TestPulseOfASilentDevice: its off is tried until it is taken, and no other pulse
// begins before.
func TestPulseOfASilentDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, u := gate(t, &disk{}, nil)
		time.Sleep(2200 * time.Millisecond)
		go func() {
			time.Sleep(200 * time.Millisecond)
			u.Always(modbustest.Silence)
		}()
		is := r.set(t, "open", bridge.Bool(true))
		wantWritten(t, is, bridge.Failed, false, "it is on, and its off is not taken: no answer in time")
		wantWritten(t, r.set(t, "open", bridge.Bool(true)), bridge.Refused, false, "a pulse of it is under way")
		u.SetBit(modbustest.Coil, 16, true)
		u.Always()
		time.Sleep(15 * time.Second)
		if u.Get(modbustest.Coil, 16, 1)[0] != 0 {
			t.Error("it is on still")
		}
		wantWritten(t, r.set(t, "open", bridge.Bool(true)), bridge.Done, false, "")
		r.stop()
	})
}

// TestPulseWithoutADisk: what cannot be remembered does not begin.
func TestPulseWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saved := &disk{}
		r, u := gate(t, saved, nil)
		time.Sleep(2200 * time.Millisecond)
		saved.mu.Lock()
		saved.broken = bridge.ErrFull
		saved.mu.Unlock()
		wantWritten(t, r.set(t, "open", bridge.Bool(true)), bridge.Refused, false, "it cannot be saved which points are on")
		if n := touches(u, 16, 5); n != 0 {
			t.Errorf("%d writes", n)
		}
		r.stop()
	})
}
