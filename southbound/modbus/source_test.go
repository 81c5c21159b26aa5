package modbus

import (
	"context"
	"hash/fnv"
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

// rig runs a source on fake time against simulators that stand in for hosts.
type rig struct {
	source *Source
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	batches []bridge.Batch
	arrived []time.Time
	log     strings.Builder
}

// newRig starts cfg; sims are by host. It must be called in a bubble; stop ends
// it.
func newRig(t *testing.T, cfg setup.Config, sims map[string]*modbustest.Simulator) *rig {
	t.Helper()
	return newRigWith(t, cfg, sims, nil)
}

func newRigWith(t *testing.T, cfg setup.Config, sims map[string]*modbustest.Simulator, state bridge.Notebook) *rig {
	t.Helper()
	return newRigDial(t, cfg, state, func(ctx context.Context, spec spec.Bus) (wire.Stream, error) {
		host, _, _ := strings.Cut(spec.Address.Host, ":")
		sim := sims[host]
		if sim == nil { // nobody there
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return sim.Dial(ctx)
	})
}

// newRigDial starts cfg; dial makes connections, which are served while the
// context that it gets is not done.
func newRigDial(t *testing.T, cfg setup.Config, state bridge.Notebook,
	dial func(context.Context, spec.Bus) (wire.Stream, error)) *rig {
	t.Helper()
	r := &rig{done: make(chan struct{})}
	for _, p := range cfg.Validate() {
		t.Fatalf("%v: %s: %s", p.Path, p.Text, p.Fix)
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	var err error
	r.source, err = New(cfg, Options{State: state, Log: slog.New(slog.NewTextHandler(lockedWriter{r},
		&slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	r.source.dial = func(spec spec.Bus) func(context.Context) (wire.Stream, error) {
		return func(ctx context.Context) (wire.Stream, error) {
			// A connection is served for the rig's life, but the attempt ends with ctx.
			both, cancel := context.WithCancel(r.ctx)
			stop := context.AfterFunc(ctx, cancel)
			stream, err := dial(both, spec)
			stop()
			if err != nil {
				cancel()
			}
			return stream, err
		}
	}
	go func() {
		defer close(r.done)
		r.source.Run(r.ctx, r.emit)
	}()
	return r
}

type lockedWriter struct{ r *rig }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.log.Write(b)
}

func (r *rig) emit(b bridge.Batch, _ func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, b)
	r.arrived = append(r.arrived, time.Now())
}

// stop ends the source and returns what it emitted.
func (r *rig) stop() []bridge.Batch {
	r.cancel()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batches
}

// of returns the batches of one device so far and forgets them.
func (r *rig) of(device string) []bridge.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	var own, others []bridge.Batch
	for _, b := range r.batches {
		if b.Device == device {
			own = append(own, b)
		} else {
			others = append(others, b)
		}
	}
	r.batches = others
	return own
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func at(a int) *int { return &a }

// bus returns a bus with the defaults, at host.
func testBus(host string) setup.Bus {
	var b setup.Bus
	b.SetDefaults()
	b.URL = "tcp://" + host
	b.Timeout = setting.Duration(100 * time.Millisecond)
	return b
}

// testDevice returns a device with the defaults and these points.
func testDevice(bus string, unit int, points map[string]setup.Point) setup.Device {
	var d setup.Device
	d.SetDefaults()
	d.Bus, d.UnitID, d.Points = bus, unit, points
	return d
}

// values returns a batch as "name=value name=value".
func values(b bridge.Batch) string {
	var parts []string
	for _, r := range b.Readings {
		parts = append(parts, r.Point+"="+r.Value.String())
	}
	return strings.Join(parts, " ")
}

func TestPollsOnTheGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Holding, 0, 7, 8)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"boiler": testDevice("plc", 1, map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(1)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10 * time.Second)
		batches := r.stop()
		if len(batches) != 10 {
			t.Fatalf("%d batches in 10s, want 10", len(batches))
		}
		want := phase("boiler")
		for i, b := range batches {
			if got := time.Duration(b.At.UnixNano()) % time.Second; got != want {
				t.Errorf("batch %d at %v of the second, want %v", i, got, want)
			}
			if got := values(b); got != "a=7 b=8" {
				t.Errorf("batch %d: %s", i, got)
			}
		}
		if n := sim.Unit(1).Count(); n != 10 {
			t.Errorf("%d requests, want 10", n)
		}
	})
}

func TestDeviceOffAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Input, 0, 5)
		sim.Refuse()
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"boiler": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		bad := r.of("boiler")
		if len(bad) == 0 || values(bad[0]) != "a=bad: refused" {
			t.Fatalf("%v, want a bad reading", bad)
		}
		if len(bad) > 4 {
			t.Errorf("%d batches in 30s of the same bad reading, want one each 10s", len(bad))
		}
		if n := len(r.source.Health()); n != 1 {
			t.Errorf("%d conditions, want that the bus is down", n)
		}
		sim.Accept()
		time.Sleep((10 * time.Second) + time.Second)
		synctest.Wait()
		good := r.of("boiler")
		if len(good) == 0 || values(good[len(good)-1]) != "a=5" {
			t.Errorf("after it was switched on: %v", good)
		}
		if r.source.Health() != nil {
			t.Errorf("health %v, want none", r.source.Health())
		}
		r.stop()
		if n := strings.Count(r.logged(), "\n"); n != 2 {
			t.Errorf("%d log lines, want one for down and one for up:\n%s", n, r.logged())
		}
	})
}

// TestDeadDeviceOnASharedBus: a unit that does not answer costs the others no
// cycle, once it is known.
func TestDeadDeviceOnASharedBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Input, 0, 5)
		dead := sim.Unit(2)
		dead.Set(modbustest.Input, 0, 6)
		dead.Always(modbustest.Silence)
		points := map[string]setup.Point{"a": {Input: at(0)}, "b": {Input: at(500)}, "c": {Holding: at(0)}}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"good": testDevice("plc", 1, points), "dead": testDevice("plc", 2, points)}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(5 * time.Second)
		r.of("good")
		r.of("dead")
		busy := r.source.running()[0].Status().Busy
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if n := len(r.of("good")); n != 100 {
			t.Errorf("%d batches of the good one in 100s, want 100", n)
		}
		for _, b := range r.of("dead") {
			if got := values(b); got != "a=bad: timeout b=bad: timeout c=bad: timeout" {
				t.Errorf("dead: %s", got)
			}
		}
		spent := r.source.running()[0].Status().Busy - busy
		if spent > 10*time.Second {
			t.Errorf("%v of 100s spent waiting, want at most a tenth", spent)
		}
		dead.Always()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		back := r.of("dead")
		if len(back) == 0 || values(back[len(back)-1]) != "a=6 b=0 c=0" {
			t.Errorf("after it came back: %v", back)
		}
		r.stop()
		if n := strings.Count(r.logged(), "\n"); n != 2 {
			t.Errorf("%d log lines, want one for silent and one for back:\n%s", n, r.logged())
		}
	})
}

// TestBusesDoNotWait: a host that swallows everything delays no other bus.
func TestBusesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc"), "gone": testBus("nobody")},
			Devices: map[string]setup.Device{
				"good": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}}),
				"lost": testDevice("gone", 1, map[string]setup.Point{"a": {Input: at(0)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for i, b := range r.of("good") {
			if got := time.Duration(b.At.UnixNano()) % time.Second; got != phase("good") {
				t.Errorf("batch %d at %v of the second", i, got)
			}
		}
		lost := r.of("lost")
		if len(lost) == 0 || values(lost[0]) != "a=bad: timeout" {
			t.Errorf("lost: %v", lost)
		}
		r.stop()
	})
}

func TestExceptionSpoilsOneBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Set(modbustest.Holding, 0, 1)
		u.Only(modbustest.Holding, 0, 10)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"boiler": testDevice("plc", 1, map[string]setup.Point{"a": {Holding: at(0)}, "z": {Holding: at(900)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for i, b := range r.of("boiler") {
			want := "a=1 z=bad: exception_2"
			if i >= 2 { // refused twice: not asked again
				want = "a=1 z=bad: given_up"
			}
			if got := values(b); got != want {
				t.Errorf("cycle %d: %s, want %s", i, got, want)
			}
		}
		st := r.source.Devices()[0]
		if st.Good != 1 || st.Bad != 1 || st.Reason != "given_up" ||
			st.Detail != "z (holding 900) is not there" {
			t.Errorf("status %+v", st)
		}
		const why = "z (holding 900) is not there: check address and table in its manual"
		if h := r.source.Health(); len(h) != 1 || !strings.HasPrefix(h[0].Text, why) {
			t.Errorf("health %v", h)
		}
		r.stop()
		if n := strings.Count(r.logged(), "\n"); n != 2 {
			t.Errorf("%d log lines, want one for bad and one for given up:\n%s", n, r.logged())
		}
	})
}

// TestSlowBlocksMakeAnotherBatch: what arrives later than a tenth of the
// interval is of another time.
func TestSlowBlocksMakeAnotherBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Latency = 60 * time.Millisecond
		sim.Unit(1)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"slow": testDevice("plc", 1, map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(1000)},
				"c": {Holding: at(2000)}, "d": {Holding: at(3000)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(time.Second + 500*time.Millisecond)
		batches := r.stop()
		if len(batches) < 2 || values(batches[0]) != "a=0 b=0" || values(batches[1]) != "c=0 d=0" {
			t.Fatalf("%v, want two batches of two", batches)
		}
		if gap := batches[1].At.Sub(batches[0].At); gap != 120*time.Millisecond {
			t.Errorf("the second is %v later, want 120ms", gap)
		}
	})
}

// TestOverloadIsCountedNotPiled: a cycle that does not fit in its interval.
func TestOverloadIsCountedNotPiled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Latency = 70 * time.Millisecond
		sim.Unit(1)
		d := testDevice("plc", 1, map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(1000)}})
		d.Every = setting.Duration(100 * time.Millisecond)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{"slow": d}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b := r.source.running()[0]
		if late := b.Status().Late; late < 97 || late > 100 {
			t.Errorf("%d late cycles of 100, want all: done late, or left out", late)
		}
		if n := sim.Unit(1).Count(); n < 130 || n > 143 {
			t.Errorf("%d requests in 10s, want that the line is kept busy and no more", n)
		}
		if h := r.source.Health(); len(h) != 1 || !strings.Contains(h[0].Text, "more is asked of it than it can do (140 %)") {
			t.Errorf("health %v", h)
		}
		r.stop()
	})
}

func TestApplyKeepsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1)
		sim.Unit(2).Set(modbustest.Input, 9, 9)
		point := map[string]setup.Point{"a": {Input: at(0)}}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"one": testDevice("plc", 1, point), "two": testDevice("plc", 2, point), "three": testDevice("plc", 1, point)}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10 * time.Second)
		next := setup.Config{Buses: cfg.Buses, Devices: map[string]setup.Device{
			"one": testDevice("plc", 1, point), "two": testDevice("plc", 2, map[string]setup.Point{"b": {Input: at(9)}})}}
		if err := r.source.Apply(next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		one := r.of("one")
		if len(one) != 20 {
			t.Errorf("%d batches of the device that stays, want 20", len(one))
		}
		two := r.of("two")
		if len(two) != 20 || values(two[19]) != "b=9" {
			t.Errorf("%d batches of the one that changed, the last %v", len(two), two[len(two)-1])
		}
		if n := len(r.of("three")); n != 10 {
			t.Errorf("%d batches of the one that went, want 10", n)
		}
		if n := sim.Accepted(); n != 1 {
			t.Errorf("%d connections, want the first kept", n)
		}
		bad := next
		bad.Devices = map[string]setup.Device{"one": testDevice("plcc", 1, point)}
		if err := r.source.Apply(bad); err == nil || !strings.Contains(err.Error(), `did you mean "plc"?`) {
			t.Errorf("a wrong configuration: %v", err)
		}
		r.stop()
	})
}

// phase is when of a second a device that is alone on its connection is polled: of
// the instants of its gateway the nearest to the tenth that its name gives.
func phase(device string) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(device))
	nearest := [10]time.Duration{2, 2, 2, 2, 2, 7, 7, 7, 7, 7}
	return nearest[h.Sum64()%10] * 100 * time.Millisecond
}
