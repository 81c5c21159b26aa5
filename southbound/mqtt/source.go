package mqtt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/inlet"
)

// Options is what the gateway lends to the source.
type Options struct {
	Gateway   string             // the gateway's name
	Log       *slog.Logger       // nil discards
	Catalogue *bridge.Catalogue  // told of devices and points as they appear; may be nil
	State     bridge.State       // remembers subscriptions at site brokers; may be nil
	Synced    func() bool        // the wall clock is known to be right; nil is never
	Memory    int64              // bytes that clients and topics may make the source keep; 0 is 32 MiB
	Recorder  *blackbox.Recorder // has a tape of each broker's packets; nil records none
	// Guest is a source that only looks in: at brokers of the site it has a name of
	// its own, leaves no session behind and publishes nothing.
	Guest bool
}

// Source reads what sensors publish. Its methods are safe for concurrent use.
type Source struct {
	gateway   string
	log       *slog.Logger
	state     bridge.State
	memory    int64 // guarded by mu; bytes
	short     bool  // guarded by mu; memory is: fewer topics are remembered
	guest     bool
	recorder  *blackbox.Recorder // may be nil
	devices   *devices
	unmatched atomic.Uint64
	book      *attendance.Book // the devices of the runs before; used by one goroutine at a time
	synced    func() bool

	rulesChanged chan struct{} // receives a value for watch

	applying sync.Mutex // one Apply at a time; held while brokers stop

	// Under mu nothing waits: brokers are made, started and told to stop, no more.
	mu      sync.Mutex
	rules   []*rule            // guarded by mu; in order
	absent  []attendance.Entry // guarded by mu; devices that are not there yet
	brokers map[string]*way    // guarded by mu
	ctx     context.Context    // guarded by mu; of Run, nil while it does not run
	emit    bridge.Emit        // guarded by mu; of Run
	running sync.WaitGroup     // of Run: the brokers
}

var (
	_ bridge.Source         = (*Source)(nil)
	_ bridge.DeviceReporter = (*Source)(nil)
	_ bridge.Observable     = (*Source)(nil)
	_ condition.Reporter    = (*Source)(nil)
)

// New returns a source for cfg. It starts nothing. An error is the first of
// those that Validate reports.
func New(cfg Config, o Options) (*Source, error) {
	s := &Source{gateway: o.Gateway, log: o.Log, state: o.State, memory: cmp.Or(o.Memory, 32<<20), guest: o.Guest,
		recorder:     o.Recorder,
		brokers:      make(map[string]*way),
		rulesChanged: make(chan struct{}, 1),
		synced:       o.Synced}
	if s.synced == nil {
		s.synced = func() bool { return false }
	}
	var kept attendance.Store
	if o.State != nil {
		kept = o.State
	}
	s.book = attendance.NewBook(kept, time.Now())
	s.absent = s.book.Read()
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.devices = newDevices(o.Catalogue, newNames(s.state, s.log))
	return s, s.Apply(cfg)
}

// Run listens and connects until ctx ends, and returns after everything that it
// started has ended. It may be called again afterwards.
func (s *Source) Run(ctx context.Context, emit bridge.Emit) error {
	s.mu.Lock()
	if s.ctx != nil {
		s.mu.Unlock()
		return errors.New("mqtt source runs already")
	}
	s.ctx, s.emit = ctx, emit
	for _, b := range s.brokers {
		s.startLocked(b)
	}
	s.running.Go(func() { s.watch(ctx, emit) })
	s.running.Go(func() { remember(ctx, s.book, s.devices, s.synced, s.log) })
	if !s.guest {
		s.running.Go(func() { s.devices.names.keep(ctx) })
	}
	s.mu.Unlock()

	<-ctx.Done()
	s.mu.Lock()
	s.ctx, s.emit = nil, nil // Apply starts nothing more
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// startLocked starts b if the source runs.
func (s *Source) startLocked(b *way) {
	if s.ctx == nil || s.ctx.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(s.ctx)
	emit, ended := s.emit, make(chan struct{})
	b.stop, b.ended = stop, ended
	ingest := func(m inlet.Message, safe func(error)) { s.ingest(b.router.Load(), m, emit, safe) }
	s.running.Go(func() {
		defer close(ended)
		defer stop()
		b.Run(ctx, ingest)
	})
}

// Apply changes the configuration of a source, whether it runs or not. Brokers
// that did not change keep their connections, and all rules are replaced at
// once. On an error, the first of those that Validate reports, nothing changes.
// It waits for changed brokers to stop: a second at most, unless the disk blocks
// that one of them reads its certificate from or keeps its retained messages on.
// Nothing else waits with it.
func (s *Source) Apply(cfg Config) error {
	if err := setting.FirstError(cfg.Validate()); err != nil {
		return err
	}
	rules := make([]*rule, len(cfg.Sensors))
	for i, named := range cfg.Sensors {
		r, err := compile(named.Name, named.Value)
		if err != nil {
			return err
		}
		rules[i] = r
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	for _, ended := range s.replace(cfg, rules) {
		<-ended // its address may be needed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, config := range cfg.Brokers {
		b := s.brokers[name]
		if b == nil {
			var err error
			if b, err = newWay(name, config, &Options{Gateway: s.gateway, Log: s.log, State: s.state,
				Recorder: s.recorder, Guest: s.guest}); err != nil {
				return err
			}
			s.brokers[name] = b
		}
		if b.embedded != nil {
			b.embedded.Limit(s.memory / 8 * 7 / int64(len(cfg.Brokers)))
		}
		s.devices.expectKnown(name, b.setRules(name, s.rules, s.devices, s.topicsLocked(len(cfg.Brokers))), time.Now())
		if b.stop == nil {
			s.startLocked(b)
		}
	}
	s.devices.recall(s.absent, s.rules, time.Now())
	s.absent = nil
	select {
	case s.rulesChanged <- struct{}{}:
	default:
	}
	return nil
}

// SetMemory says how many bytes clients and topics may make the source keep, from
// the next Apply on.
func (s *Source) SetMemory(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory = bytes
}

// topicsLocked is how many bytes each of so many brokers has for what was seen on topics.
func (s *Source) topicsLocked(brokers int) int64 {
	most := s.memory / 8 / int64(brokers)
	if s.short {
		most /= 4
	}
	return most
}

// Shed forgets what was seen on topics, and remembers a quarter of them until
// [Source.Regain]; those in use are found again. It returns how many bytes that gives.
func (s *Source) Shed() (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.short = true
	for _, b := range s.brokers {
		if r := b.router.Load(); r != nil {
			bytes += r.shed(s.topicsLocked(len(s.brokers)))
		}
	}
	return bytes
}

// Regain ends what [Source.Shed] began.
func (s *Source) Regain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.short = false
	for _, b := range s.brokers {
		if r := b.router.Load(); r != nil {
			r.bytes.Resize(s.topicsLocked(len(s.brokers)))
		}
	}
}

// replace takes over the rules, and stops the brokers that are not as in cfg.
// It returns what is closed when they have stopped.
func (s *Source) replace(cfg Config, rules []*rule) (ended []chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.replaceRulesLocked(rules)
	s.absent = append(s.absent, s.devices.entries(time.Now(), fedBy(gone))...)
	s.devices.forget(gone)
	for name, b := range s.brokers {
		if config, ok := cfg.Brokers[name]; ok && reflect.DeepEqual(config, b.config) {
			continue
		}
		delete(s.brokers, name)
		if b.stop != nil {
			b.stop()
			ended = append(ended, b.ended)
		}
	}
	return ended
}

// replaceRulesLocked keeps the rules that did not change, with their counters,
// and returns the names of the others.
func (s *Source) replaceRulesLocked(rules []*rule) (gone []string) {
	old := make(map[string]*rule, len(s.rules))
	for _, r := range s.rules {
		old[r.name] = r
	}
	for i, r := range rules {
		if o := old[r.name]; o != nil && reflect.DeepEqual(o.config, r.config) {
			rules[i] = o
			delete(old, r.name)
		}
	}
	for name := range old {
		gone = append(gone, name)
	}
	s.rules = rules
	return gone
}

// Addr returns where an embedded broker listens without TLS, nil while it does
// not.
func (s *Source) Addr(name string) net.Addr { return s.addr(name, false) }

// TLSAddr returns where an embedded broker listens with TLS, nil while it does
// not.
func (s *Source) TLSAddr(name string) net.Addr { return s.addr(name, true) }

func (s *Source) addr(name string, secure bool) net.Addr {
	s.mu.Lock()
	b := s.brokers[name]
	s.mu.Unlock()
	if b == nil || b.embedded == nil {
		return nil
	}
	return b.embedded.Addr(secure)
}

// Forget forgets a device, as if it had never been there, and reports whether it was
// known. If it sends something, it is there again.
func (s *Source) Forget(device string) bool { return s.devices.drop(device) }
