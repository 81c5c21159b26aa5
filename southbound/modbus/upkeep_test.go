package modbus

import (
	"context"
	"fieldbridge/southbound/modbus/permit"
	"fmt"
	"slices"
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

// tap logs the frames that go over the wires to a simulator (Modbus TCP).
type tap struct {
	mu     sync.Mutex
	frames []tapped
}

type tapped struct {
	at   time.Time
	text string // unit and PDU
	unit byte
	pdu  []byte
}

// write reports whether the frame writes something.
func (f tapped) write() bool {
	return slices.Contains([]byte{5, 6, 15, 16, 22, 23}, f.pdu[0])
}

type tappedStream struct {
	wire.Stream
	tap *tap
}

func (s tappedStream) Write(b []byte) (int, error) {
	f := tapped{time.Now(), fmt.Sprintf("%d: % x", b[6], b[7:]), b[6], slices.Clone(b[7:])}
	n, err := s.Stream.Write(b)
	if err == nil { // it was on the wire
		s.tap.mu.Lock()
		s.tap.frames = append(s.tap.frames, f)
		s.tap.mu.Unlock()
	}
	return n, err
}

// writes returns the frames that write something since a time, and those alone.
func (t *tap) writes(since time.Time) (all []tapped) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.frames {
		if f.write() && !f.at.Before(since) {
			all = append(all, f)
		}
	}
	return all
}

// texts returns all frames since a time as text, one a line.
func (t *tap) texts(since time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, f := range t.frames {
		if !f.at.Before(since) {
			all = append(all, f.text)
		}
	}
	return strings.Join(all, "\n")
}

func texts(frames []tapped) string {
	var all []string
	for _, f := range frames {
		all = append(all, f.text)
	}
	return strings.Join(all, "\n")
}

// newTapped starts cfg against one simulator, which outlives the source. The test
// calls the function returned when it is over.
func newTapped(t *testing.T, cfg setup.Config, sim *modbustest.Simulator) (*rig, *tap, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := &tap{}
	r := newRigDial(t, cfg, nil, func(context.Context, spec.Bus) (wire.Stream, error) {
		stream, err := sim.Dial(ctx)
		if err != nil {
			return nil, err
		}
		return tappedStream{stream, log}, nil
	})
	return r, log, cancel
}

func seconds(n float64) setting.Duration { return setting.Duration(n * float64(time.Second)) }

func val(v bridge.Value) setup.Value { return setup.Value{Value: v} }

// watchdog is a device with a watchdog register (F03).
func watchdog(keep setup.Keep) setup.Config {
	d := testDevice("plc", 1, map[string]setup.Point{
		"alive": {Holding: at(40608), Keep: &keep},
		"state": {Holding: at(40601)},
	})
	return setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"battery": d}}
}

// longest returns the longest time between two of the frames.
func longest(frames []tapped) (most time.Duration) {
	for i := 1; i < len(frames); i++ {
		most = max(most, frames[i].at.Sub(frames[i-1].at))
	}
	return most
}

const (
	aliveOn  = "1: 06 9e a0 00 01"
	aliveOff = "1: 06 9e a0 00 00"
)

// TestF03 is a register that must be written all the time: at the start, each five
// seconds, and its stop value at the end, then nothing.
func TestF03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1)
		keep := setup.Keep{Value: val(bridge.Int(1)), Every: seconds(5), Stop: val(bridge.Int(0))}
		r, tap, end := newTapped(t, watchdog(keep), sim)
		defer end()
		begin := time.Now()
		time.Sleep(61 * time.Second)
		got := tap.writes(begin)
		if first := strings.Split(tap.texts(begin), "\n")[0]; first != aliveOn {
			t.Errorf("the first frame is %q, want the keep before any poll", first)
		}
		if len(got) != 13 || longest(got) != 5*time.Second {
			t.Errorf("%d writes in 61s, %v apart at most, want 13 and 5s", len(got), longest(got))
		}
		stop := time.Now()
		r.stop()
		if got := texts(tap.writes(stop)); got != aliveOff {
			t.Errorf("at the stop %q was written, want %q", got, aliveOff)
		}
	})
}

// TestF03Busy: what is not acknowledged is tried again before the time is over.
func TestF03Busy(t *testing.T) {
	for name, sick := range map[string]modbustest.Behaviour{"busy": modbustest.Exception(6),
		"acknowledge": modbustest.Exception(5), "silent": modbustest.Silence} {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			u := sim.Unit(1)
			r, tap, end := newTapped(t, watchdog(setup.Keep{Value: val(bridge.Int(1)), Every: seconds(5)}), sim)
			defer end()
			begin := time.Now()
			n := 0
			var taken []tapped
			u.Always(func(q modbustest.Request, a *modbustest.Answer) {
				if q.Function != 6 {
					return
				}
				if n++; n%3 != 0 { // two of three fail
					sick(q, a)
					return
				}
				taken = append(taken, tapped{at: time.Now()})
			})
			time.Sleep(2 * time.Minute)
			r.stop()
			if most := longest(taken); len(taken) < 10 || most > 5*time.Second+2*time.Second+300*time.Millisecond {
				t.Errorf("%s: taken %d times, %v apart at most; %d writes", name, len(taken), most, len(tap.writes(begin)))
			}
		})
	}
}

// TestCommandsOffStopsAllWrites: within a second after the switch nothing is
// written any more, on any wire.
func TestCommandsOffStopsAllWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := watchdog(setup.Keep{Value: val(bridge.Int(1)), Every: seconds(0.2), Stop: val(bridge.Int(0))})
		d := cfg.Devices["battery"]
		d.OnConnect = []setup.Step{{Holding: at(0x600), Value: val(bridge.Int(6868))}}
		d.BeforeWrite = []setup.Step{{Holding: at(0x601), Value: val(bridge.Int(1))}}
		d.Points["limit"] = setup.Point{Holding: at(32), Writable: &permit.Writable{}}
		cfg.Devices["battery"] = d
		sim := modbustest.New()
		sim.Unit(1)
		r, tap, end := newTapped(t, cfg, sim)
		defer end()
		time.Sleep(10 * time.Second)
		if is := r.source.Write(t.Context(), bridge.Command{Device: "battery", Point: "limit",
			Value: bridge.Int(5)}); is.Outcome != bridge.Done {
			t.Fatal(is)
		}
		time.Sleep(50 * time.Millisecond)
		off := time.Now()
		r.source.SetOff(true)
		time.Sleep(time.Second)
		if got := texts(tap.writes(off)); got != aliveOff {
			t.Errorf("in the second after the switch %q was written, want the stop value", got)
		}
		is := r.source.Write(t.Context(), bridge.Command{Device: "battery", Point: "limit", Value: bridge.Int(5)})
		if is.Outcome != bridge.Refused {
			t.Errorf("a command: %v, want it refused", is)
		}
		if is := r.source.Write(t.Context(), bridge.Command{Device: "battery", Point: "limit", Value: bridge.Int(6),
			ByHand: true}); is.Outcome != bridge.Done {
			t.Errorf("by hand: %v, want it written", is)
		}
		after := time.Now().Add(1)
		time.Sleep(time.Second)
		sim.Refuse() // a connection is lost, the next is not greeted
		time.Sleep(5 * time.Second)
		if err := sim.Accept(); err != nil {
			t.Fatal(err)
		}
		d.Labels = map[string]string{"x": "y"} // another device, as far as the bus knows
		cfg.Devices["battery"] = d
		if err := r.source.Apply(cfg); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := texts(tap.writes(after)); got != "" {
			t.Errorf("written while off: %q", got)
		}
		on := time.Now()
		r.source.SetOff(false)
		time.Sleep(time.Second)
		if got := texts(tap.writes(on)); !strings.HasPrefix(got, "1: 06 06 00 1a d4\n"+aliveOn) {
			t.Errorf("after the switch was turned on: %q", got)
		}
		r.stop()
	})
}

// TestF23 is a device that is unlocked on each connection and before each command.
func TestF23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := testDevice("plc", 1, map[string]setup.Point{"limit": {Holding: at(32), Writable: &permit.Writable{}},
			"out": {Coil: at(3)}})
		d.OnConnect = []setup.Step{{Ref: "401537", Value: val(bridge.Int(6868))},
			{Point: "out", Value: val(bridge.Bool(false))}}
		d.BeforeWrite = []setup.Step{{Holding: at(0x700), Type: "uint32", Value: val(bridge.Int(0x12345678))}}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"inverter": d}}
		sim := modbustest.New()
		sim.Unit(1)
		r, tap, end := newTapped(t, cfg, sim)
		defer end()
		begin := time.Now()
		time.Sleep(10 * time.Second)
		const greeting = "1: 06 06 00 1a d4\n1: 05 00 03 00 00"
		if got := texts(tap.writes(begin)); got != greeting || !strings.HasPrefix(tap.texts(begin), greeting) {
			t.Errorf("at the start %q was written, want %q before any poll", got, greeting)
		}
		command := time.Now()
		if is := r.source.Write(t.Context(), bridge.Command{Device: "inverter", Point: "limit",
			Value: bridge.Int(60)}); is.Outcome != bridge.Done {
			t.Error(is)
		}
		if got, want := texts(tap.writes(command)), "1: 10 07 00 00 02 04 12 34 56 78\n1: 06 00 20 00 3c"; got != want {
			t.Errorf("for a command %q was written, want %q", got, want)
		}
		time.Sleep(time.Minute)
		again := time.Now()
		sim.Refuse()
		time.Sleep(time.Second)
		if err := sim.Accept(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if got := texts(tap.writes(again)); got != greeting {
			t.Errorf("on the next connection %q was written, want %q", got, greeting)
		}
		silent := time.Now()
		sim.Unit(1).Always(modbustest.Silence)
		time.Sleep(time.Minute)
		if got := texts(tap.writes(silent)); got != "" {
			t.Errorf("while the device is silent %q was written", got)
		}
		sim.Unit(1).Always()
		time.Sleep(2 * time.Minute)
		if got := texts(tap.writes(silent)); got != greeting {
			t.Errorf("when it answers again %q was written, want %q", got, greeting)
		}
		r.stop()
	})
}

// TestOnConnectIsPaced: a device that ends the connection after each answer is not
// written to all the time.
func TestOnConnectIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := testDevice("plc", 1, map[string]setup.Point{"x": {Holding: at(0)}})
		d.OnConnect = []setup.Step{{Holding: at(9), Value: val(bridge.Int(1))}}
		sim := modbustest.New()
		sim.Unit(1).Always(modbustest.CloseAfter)
		r, tap, end := newTapped(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"d": d}}, sim)
		defer end()
		begin := time.Now()
		time.Sleep(time.Hour)
		r.stop()
		writes := tap.writes(begin)
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
			want *= time.Second
			if got := writes[i+1].at.Sub(writes[i].at); got < want || got > want+2*time.Second {
				t.Errorf("run %d came %v after the last, want %v", i+1, got, want)
			}
		}
	})
}

// TestKeepsTheLastCommand: the value of a command is repeated, for a while.
func TestKeepsTheLastCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keep := setup.Keep{Every: seconds(5), For: seconds(60), Stop: val(bridge.Int(0))}
		d := testDevice("plc", 1, map[string]setup.Point{"power": {Holding: at(7), Writable: &permit.Writable{},
			Keep: &keep}})
		d.BeforeWrite = []setup.Step{{Holding: at(1), Value: val(bridge.Int(9))}}
		sim := modbustest.New()
		sim.Unit(1)
		r, tap, end := newTapped(t, setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")},
			Devices: map[string]setup.Device{"d": d}}, sim)
		defer end()
		begin := time.Now()
		time.Sleep(time.Minute)
		const stop = "1: 06 00 01 00 09\n1: 06 00 07 00 00"
		if got := texts(tap.writes(begin)); got != stop {
			t.Errorf("at the start, without a command, %q was written, want the stop value", got)
		}
		command := time.Now()
		if is := r.source.Write(t.Context(), bridge.Command{Device: "d", Point: "power",
			Value: bridge.Int(5)}); is.Outcome != bridge.Done {
			t.Fatal(is)
		}
		time.Sleep(5 * time.Minute)
		got := strings.Split(texts(tap.writes(command)), "\n")
		if len(got) != 26 || got[22] != "1: 06 00 01 00 09" || got[23] != "1: 06 00 07 00 05" ||
			got[25] != "1: 06 00 07 00 00" {
			t.Errorf("%d writes: %q, want 12 times the command and the stop value, each unlocked", len(got), got)
		}
		for i, f := range tap.writes(command) {
			if due := command.Add(time.Duration(i/2) * 5 * time.Second); f.at.Sub(due).Abs() > time.Millisecond {
				t.Errorf("write %d came at %v", i, f.at.Sub(command))
			}
		}
		if is := r.source.Write(t.Context(), bridge.Command{Device: "d", Point: "power",
			Value: bridge.Int(7)}); is.Outcome != bridge.Done {
			t.Fatal(is)
		}
		time.Sleep(30 * time.Second)
		sim.Unit(1).Always(modbustest.Silence) // while its time is over
		time.Sleep(10 * time.Minute)
		sim.Unit(1).Always()
		back := time.Now()
		time.Sleep(3 * time.Minute)
		if got := texts(tap.writes(back)); got != stop {
			t.Errorf("after a silence %q was written, want the stop value", got)
		}
		r.stop()
	})
}

// TestReloadAndKeep: what goes on goes on, what ends has its stop value.
func TestReloadAndKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keep := setup.Keep{Value: val(bridge.Int(1)), Every: seconds(5), Stop: val(bridge.Int(0))}
		cfg := watchdog(keep)
		sim := modbustest.New()
		sim.Unit(1)
		r, tap, end := newTapped(t, cfg, sim)
		defer end()
		begin := time.Now()
		time.Sleep(12 * time.Second)
		next := watchdog(keep)
		d := next.Devices["battery"]
		d.Labels = map[string]string{"x": "y"}
		next.Devices["battery"] = d
		if err := r.source.Apply(next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(19 * time.Second)
		if got := tap.writes(begin); len(got) != 7 || longest(got) != 5*time.Second {
			t.Errorf("%d writes, %v apart at most, want 7 and 5s", len(got), longest(got))
		}
		without := watchdog(keep)
		without.Devices["battery"].Points["alive"] = setup.Point{Holding: at(40608)}
		ended := time.Now()
		if err := r.source.Apply(without); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := texts(tap.writes(ended)); got != aliveOff {
			t.Errorf("after the key went %q was written, want %q", got, aliveOff)
		}
		r.stop()
	})
}

// TestKeepBesideDeadUnits: a watchdog keeps its rhythm whatever else is on the line.
func TestKeepBesideDeadUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := watchdog(setup.Keep{Value: val(bridge.Int(1)), Every: seconds(2)})
		for unit := 2; unit < 12; unit++ {
			cfg.Devices[fmt.Sprint("dead", unit)] = testDevice("plc", unit, map[string]setup.Point{"x": {Holding: at(0)}})
		}
		bus := cfg.Buses["plc"]
		bus.Timeout = seconds(1)
		cfg.Buses["plc"] = bus
		sim := modbustest.New()
		sim.Unit(1)
		r, tap, end := newTapped(t, cfg, sim)
		defer end()
		begin := time.Now()
		time.Sleep(30 * time.Minute)
		got := tap.writes(begin)
		t.Logf("%d writes in 30 min beside ten dead units, %v apart at most", len(got), longest(got))
		if most := longest(got); most > 2*time.Second {
			t.Errorf("%v between two writes, want 2s at most", most)
		}
		sim.Unit(2) // one comes to life and dies
		time.Sleep(2 * time.Minute)
		alive := time.Now()
		sim.Unit(2).Always(modbustest.Silence)
		time.Sleep(5 * time.Minute)
		if most := longest(tap.writes(alive)); most > 4*time.Second {
			t.Errorf("%v between two writes when a device falls silent", most)
		}
		r.stop()
	})
}

// TestKeepOfADeadDevice: what is to be kept of a device that is off takes no more
// than a tenth of the line, and goes on when it is back.
func TestKeepOfADeadDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := watchdog(setup.Keep{Value: val(bridge.Int(1)), Every: seconds(1)})
		cfg.Devices["well"] = testDevice("plc", 2, map[string]setup.Point{"x": {Holding: at(0)}})
		sim := modbustest.New()
		sim.Unit(1).Always(modbustest.Silence)
		sim.Unit(2)
		r, tap, end := newTapped(t, cfg, sim)
		defer end()
		time.Sleep(time.Minute)
		begin := time.Now()
		time.Sleep(10 * time.Minute)
		n := len(tap.writes(begin))
		if share := float64(n) * 0.1 / 600; share > 0.1 {
			t.Errorf("%d writes to a dead device in 10 min: %.0f %% of the line", n, 100*share)
		}
		var codes []string
		for _, c := range r.source.Health() {
			codes = append(codes, c.Code)
		}
		if !slices.Contains(codes, "upkeep_fails") {
			t.Errorf("health is %v, want upkeep_fails", codes)
		}
		sim.Unit(1).Always()
		time.Sleep(time.Minute)
		back := time.Now()
		time.Sleep(time.Minute)
		if got := tap.writes(back); longest(got) > time.Second || len(got) < 60 {
			t.Errorf("when it is back: %d writes in a minute, %v apart at most", len(got), longest(got))
		}
		for _, c := range r.source.Health() {
			if c.Code == "upkeep_fails" {
				t.Errorf("it is back, and health says %v", c)
			}
		}
		r.stop()
	})
}
