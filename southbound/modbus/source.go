package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/poll"
	"fieldbridge/southbound/modbus/wire"
)

// Options are what a [Source] needs beside its configuration.
type Options struct {
	// Log receives each change of state once. Nil discards.
	Log *slog.Logger
	// Catalogue is told the devices and their points. It may be nil.
	Catalogue *bridge.Catalogue
	// State remembers what was learnt of the devices over a restart. It may be
	// nil.
	State bridge.Notebook
}

// Source polls the devices of a configuration. It is safe for concurrent use.
type Source struct {
	o    Options
	dial dialFunc

	applying sync.Mutex // one Apply after the other; held while what is remembered is read

	// Nothing is waited for under mu: buses take it.
	mu      sync.Mutex
	want    resolved               // guarded by mu
	devices map[string]*device     // guarded by mu; as want has them
	buses   map[string]*poll.Bus   // guarded by mu; those that run
	lessons map[string]plan.Learnt // guarded by mu; not yet written down, by device
	kept    map[string]plan.Learnt // guarded by mu; written down, by device
	changed chan struct{}          // receives when want is new
	lesson  chan struct{}          // receives when lessons has something
}

// device is a device that is polled.
type device struct {
	*poll.Device
	spec deviceSpec
}

// dialFunc returns how to reach a bus.
type dialFunc func(poll.BusSpec) func(context.Context) (wire.Stream, error)

var (
	_ bridge.Source         = (*Source)(nil)
	_ bridge.DeviceReporter = (*Source)(nil)
	_ bridge.Observable     = (*Source)(nil)
	_ condition.Reporter    = (*Source)(nil)
)

// New returns a source for cfg, which must have passed [Config.Validate]. It
// starts nothing.
func New(cfg Config, o Options) (*Source, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Catalogue == nil {
		o.Catalogue = &bridge.Catalogue{}
	}
	s := &Source{o: o, dial: func(b poll.BusSpec) func(context.Context) (wire.Stream, error) { return b.Dial },
		lessons: make(map[string]plan.Learnt), kept: make(map[string]plan.Learnt),
		changed: make(chan struct{}, 1), lesson: make(chan struct{}, 1)}
	return s, s.Apply(cfg)
}

// Apply changes to cfg while running: devices that are the same keep their
// timers and connections. It waits for the disk that remembers the others, but no
// bus waits for it; the error is that cfg is not valid, and then nothing changes.
func (s *Source) Apply(cfg Config) error {
	for _, p := range cfg.Validate() {
		if !p.Warning {
			return fmt.Errorf("modbus: %s: %s: %s", strings.Join(p.Path, "."), p.Text, p.Fix)
		}
	}
	want := resolve(cfg)
	s.applying.Lock()
	defer s.applying.Unlock()
	devices := s.same(want)
	recalled := make(map[string]plan.Learnt)
	for name := range want.devices {
		if devices[name] == nil {
			recalled[name] = recall(s.o.State, name, time.Now())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range recalled {
		s.kept[name] = l
		if unwritten := s.lessons[name]; unwritten.At.After(l.At) {
			l = unwritten
		}
		spec := want.devices[name]
		cost := want.buses[spec.Bus].Cost(spec.Pause)
		devices[name] = &device{poll.NewDevice(spec.DeviceSpec, cost, l), spec}
		s.o.Catalogue.Put(info(spec, l))
	}
	for name := range s.devices {
		if devices[name] == nil {
			s.o.Catalogue.Remove(name)
		}
	}
	s.want, s.devices = want, devices
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// same returns the devices that stay what they are.
func (s *Source) same(want resolved) map[string]*device {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := make(map[string]*device)
	for name, spec := range want.devices {
		old := s.devices[name]
		if old != nil && old.spec.same(spec) && s.want.buses[spec.Bus] == want.buses[spec.Bus] {
			devices[name] = old
		}
	}
	return devices
}

// info is what the cloud is told of a device.
func info(spec deviceSpec, l plan.Learnt) bridge.DeviceInfo {
	d := bridge.DeviceInfo{Device: spec.Name, Labels: spec.config.Labels}
	for _, f := range l.Present(spec.Fields) {
		d.Points = append(d.Points, bridge.PointInfo{Name: f.Name, Type: f.TypeName, Unit: f.Unit, Enum: f.Enum,
			Delivery: f.Delivery})
	}
	return d
}

// runner is a bus that runs.
type runner struct {
	bus    *poll.Bus
	cancel context.CancelFunc
	done   chan struct{}
}

func (r runner) stop() {
	r.cancel()
	<-r.done
}

// Run polls until ctx ends.
func (s *Source) Run(ctx context.Context, emit bridge.Emit) error {
	running := make(map[string]runner)
	var keeper sync.WaitGroup
	defer keeper.Wait()
	keeper.Go(func() { s.remember(ctx) })
	defer func() {
		for _, r := range running {
			r.stop()
		}
	}()
	for {
		s.reconcile(ctx, running, emit)
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		}
	}
}

// reconcile makes the running buses those that are wanted.
func (s *Source) reconcile(ctx context.Context, running map[string]runner, emit bridge.Emit) {
	s.mu.Lock()
	want := s.want
	devices := make(map[string][]*poll.Device)
	for _, name := range slices.Sorted(maps.Keys(s.devices)) {
		d := s.devices[name]
		devices[d.Spec.Bus] = append(devices[d.Spec.Bus], d.Device)
	}
	s.mu.Unlock()

	for key, r := range running {
		if spec, ok := want.buses[key]; !ok || spec != r.bus.Spec || devices[key] == nil {
			r.stop()
			delete(running, key)
		}
	}
	for key, list := range devices {
		r, ok := running[key]
		if !ok {
			r = runner{bus: poll.NewBus(want.buses[key], s.dial(want.buses[key]), s.o.Log, s.learn), done: make(chan struct{})}
			var bctx context.Context
			bctx, r.cancel = context.WithCancel(ctx)
			r.bus.Set(list)
			go func() {
				defer close(r.done)
				r.bus.Run(bctx, emit)
			}()
			running[key] = r
		}
		r.bus.Set(list)
	}

	buses := make(map[string]*poll.Bus)
	for key, r := range running {
		buses[key] = r.bus
	}
	s.mu.Lock()
	s.buses = buses
	s.mu.Unlock()
}
