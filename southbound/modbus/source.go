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

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/southbound/modbus/owed"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/poll"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/turn"
	"fieldbridge/southbound/modbus/wire"
)

// Options are what a [Source] needs beside its configuration.
type Options struct {
	Log       *slog.Logger       // receives each change of state once; nil discards
	Catalogue *bridge.Catalogue  // told the devices and their points; may be nil
	State     bridge.Notebook    // remembers what was learnt of the devices over a restart; may be nil
	Recorder  *blackbox.Recorder // has a tape of the frames of each bus; nil records none
	Pulses    bridge.Pulses      // told by each bus that it turns; may be nil
}

// Source polls the devices of a configuration. It is safe for concurrent use.
type Source struct {
	o    Options
	dial dialFunc
	line turn.Line  // of buses that are due at one moment; serial lines are too slow to stand in it
	book *owed.Book // of pulses

	applying sync.Mutex // one Apply after the other; held while what is remembered is read

	// Nothing is waited for under mu: buses take it.
	mu      sync.Mutex
	want    setup.Resolved         // guarded by mu
	devices map[string]*device     // guarded by mu; as want has them
	buses   map[string]*poll.Bus   // guarded by mu; those that run
	lessons map[string]plan.Learnt // guarded by mu; not yet written down, by device
	kept    map[string]plan.Learnt // guarded by mu; written down, by device
	off     bool                   // guarded by mu; nothing is written but by hand
	changed chan struct{}          // receives when want is new
	lesson  chan struct{}          // receives when lessons has something
	polls   chan struct{}          // closed when the buses run
	begun   sync.Once              // polls is closed
}

// device is a device that is polled.
type device struct {
	*poll.Device
	spec  setup.DeviceSpec
	begun time.Time
}

// dialFunc returns how to reach a bus.
type dialFunc func(spec.Bus) func(context.Context) (wire.Stream, error)

var (
	_ bridge.Source         = (*Source)(nil)
	_ bridge.DeviceReporter = (*Source)(nil)
	_ bridge.Observable     = (*Source)(nil)
	_ condition.Reporter    = (*Source)(nil)
)

// New returns a source for cfg, which must have passed [Config.Validate]. It
// starts nothing.
func New(cfg setup.Config, o Options) (*Source, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Catalogue == nil {
		o.Catalogue = &bridge.Catalogue{}
	}
	s := &Source{o: o, dial: func(b spec.Bus) func(context.Context) (wire.Stream, error) {
		return wire.Recorded(b.Dial, b.Name, b.Address, o.Recorder)
	},
		lessons: make(map[string]plan.Learnt), kept: make(map[string]plan.Learnt),
		changed: make(chan struct{}, 1), lesson: make(chan struct{}, 1), polls: make(chan struct{})}
	var err error
	if s.book, err = owed.Open(o.State); err != nil {
		o.Log.Error("pulses of an earlier run are not known", "err", err)
	}
	return s, s.Apply(cfg)
}

// Apply changes to cfg while running: devices that are the same keep their
// timers and connections. It waits for the disk that remembers the others, but no
// bus waits for it; the error is that cfg is not valid, and then nothing changes.
func (s *Source) Apply(cfg setup.Config) error {
	for _, p := range cfg.Validate() {
		if !p.Warning {
			return fmt.Errorf("modbus: %s: %s: %s", strings.Join(p.Path, "."), p.Text, p.Fix)
		}
	}
	want := setup.Resolve(cfg)
	s.applying.Lock()
	defer s.applying.Unlock()
	devices := s.same(want)
	recalled := make(map[string]plan.Learnt)
	for name := range want.Devices {
		if devices[name] == nil {
			recalled[name] = recall(s.o.State, name, time.Now())
		}
	}
	known := make(tellings)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range recalled {
		s.kept[name] = l
		if unwritten := s.lessons[name]; unwritten.At.After(l.At) {
			l = unwritten
		}
		spec := want.Devices[name]
		cost := want.Buses[spec.Bus].Cost(spec.Pause)
		devices[name] = &device{poll.NewDevice(spec.Device, cost, l), spec, time.Now()}
		s.takeOver(devices[name])
		s.o.Catalogue.Put(known.info(spec, l))
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
func (s *Source) same(want setup.Resolved) map[string]*device {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := make(map[string]*device)
	for name, spec := range want.Devices {
		old := s.devices[name]
		if old != nil && old.spec.Same(spec) && s.want.Buses[spec.Bus] == want.Buses[spec.Bus] {
			devices[name] = old
		}
	}
	return devices
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

// SetOff switches all writes off or on that nobody makes by hand: those of commands
// and those that the gateway makes by itself. When they are off, stop values are
// written within a second, then nothing. It is safe for concurrent use.
func (s *Source) SetOff(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
	for _, b := range s.buses {
		b.SetOff(off)
	}
}

// Polls returns what is closed as soon as the buses poll, whether a device answers or
// not.
func (s *Source) Polls() <-chan struct{} { return s.polls }

// Run polls until ctx ends.
func (s *Source) Run(ctx context.Context, emit bridge.Emit) error {
	running := make(map[string]runner)
	var keeper sync.WaitGroup
	defer func() {
		keeper.Wait()
		s.save() // what the buses did at last
	}()
	keeper.Go(func() { s.remember(ctx) })
	defer func() {
		for _, r := range running {
			r.cancel()
		}
		for _, r := range running {
			<-r.done
		}
	}()
	for {
		s.reconcile(ctx, running, emit)
		s.begun.Do(func() { close(s.polls) })
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
	want, off := s.want, s.off
	devices := make(map[string][]*poll.Device)
	for _, name := range slices.Sorted(maps.Keys(s.devices)) {
		d := s.devices[name]
		devices[d.Spec.Bus] = append(devices[d.Spec.Bus], d.Device)
	}
	s.mu.Unlock()

	for key, r := range running {
		if spec, ok := want.Buses[key]; !ok || spec != r.bus.Spec || devices[key] == nil {
			r.stop()
			delete(running, key)
		}
	}
	var begin []func()
	for key, list := range devices {
		r, ok := running[key]
		if !ok {
			r = runner{bus: poll.NewBus(want.Buses[key], s.dial(want.Buses[key]), s.o.Log, s.learn, s.fell),
				done: make(chan struct{})}
			r.bus.Watched(s.o.Pulses)
			if !want.Buses[key].Address.Serial() {
				r.bus.InLine(&s.line)
			}
			var bctx context.Context
			bctx, r.cancel = context.WithCancel(ctx)
			r.bus.Set(list)
			r.bus.SetOff(off)
			begin = append(begin, func() {
				defer close(r.done)
				r.bus.Run(bctx, emit)
			})
			running[key] = r
		}
		r.bus.Set(list)
	}

	buses := make(map[string]*poll.Bus)
	for key, r := range running {
		buses[key] = r.bus
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buses = buses
	for _, b := range buses {
		b.SetOff(s.off) // it may have been turned meanwhile
	}
	for _, run := range begin { // now, since who hears of a first reading may write at once
		go run()
	}
}
