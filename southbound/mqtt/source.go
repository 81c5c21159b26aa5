package mqtt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/broker"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/site"
)

// Options is what the gateway lends to the source.
type Options struct {
	Gateway   string            // the gateway's name
	Log       *slog.Logger      // nil discards
	Catalogue *bridge.Catalogue // told of devices and points as they appear; may be nil
	State     bridge.State      // remembers subscriptions at site brokers; may be nil
	Memory    int64             // bytes that clients and topics may make the source keep; 0 is 32 MiB
}

// Source reads what sensors publish. Its methods are safe for concurrent use.
type Source struct {
	gateway   string
	log       *slog.Logger
	state     bridge.State
	memory    int64 // guarded by mu; bytes
	devices   *devices
	unmatched atomic.Uint64

	rulesChanged chan struct{} // receives a value for watch

	applying sync.Mutex // one Apply at a time; held while brokers stop

	// Under mu nothing waits: brokers are made, started and told to stop, no more.
	mu      sync.Mutex
	rules   []*rule         // guarded by mu; in order
	brokers map[string]*way // guarded by mu
	ctx     context.Context // guarded by mu; of Run, nil while it does not run
	emit    bridge.Emit     // guarded by mu; of Run
	running sync.WaitGroup  // of Run: the brokers
}

// traffic is what both ways have in common.
type traffic interface {
	Run(ctx context.Context, ingest inlet.Ingest)
	Publish(topic string, payload []byte) // does not wait
	Health() []condition.Condition
}

// way is how the messages of a broker of the configuration come: one of embedded
// and site is not nil, and is the traffic.
type way struct {
	traffic
	config   inlet.Broker
	embedded *broker.Broker
	site     *site.Client
	router   atomic.Pointer[router]
	stop     context.CancelFunc // guarded by the source's mu; nil while it does not run
	ended    chan struct{}      // guarded by the source's mu; closed when it has ended
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
	s := &Source{gateway: o.Gateway, log: o.Log, state: o.State, memory: cmp.Or(o.Memory, 32<<20),
		devices:      newDevices(o.Catalogue),
		brokers:      make(map[string]*way),
		rulesChanged: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
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
// that one of them reads its certificate from. Nothing else waits with it.
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
			if b, err = s.newWay(name, config); err != nil {
				return err
			}
			s.brokers[name] = b
		}
		if b.embedded != nil {
			b.embedded.Limit(s.memory / 8 * 7 / int64(len(cfg.Brokers)))
		}
		s.devices.expectKnown(name, b.setRules(name, s.rules, s.devices, s.memory/8/int64(len(cfg.Brokers))), time.Now())
		if b.stop == nil {
			s.startLocked(b)
		}
	}
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

// replace takes over the rules, and stops the brokers that are not as in cfg.
// It returns what is closed when they have stopped.
func (s *Source) replace(cfg Config, rules []*rule) (ended []chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices.forget(s.replaceRulesLocked(rules))
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

func (s *Source) newWay(name string, config inlet.Broker) (*way, error) {
	b := &way{config: config}
	if len(config.URL) > 0 {
		b.site = site.New(name, config, s.gateway, s.log, s.state)
		b.traffic = b.site
		return b, nil
	}
	var err error
	b.embedded, err = broker.New(name, config, s.log)
	b.traffic = b.embedded
	return b, err
}

// setRules gives b those of the rules that are for it, and returns them.
func (b *way) setRules(name string, all []*rule, ds *devices, memory int64) []*rule {
	var rules []*rule
	for _, r := range all {
		if r.config.Broker == name {
			rules = append(rules, r)
		}
	}
	if now := b.router.Load(); now != nil && slices.Equal(now.rules, rules) {
		now.bytes.Resize(memory)
		return rules // what was seen stays
	}
	b.router.Store(newRouter(name, rules, ds, b.Publish, memory))
	if b.site != nil {
		b.site.Want(subscriptions(rules))
	}
	return rules
}

// subscriptions returns what the rules want of a broker: each filter once, with
// the highest QoS, and none that another covers as well.
func subscriptions(rules []*rule) []site.Subscription {
	var subs []site.Subscription
	for i, r := range rules {
		needed := true
		for j, other := range rules {
			same := r.filter.String() == other.filter.String()
			if i != j && other.filter.Covers(&r.filter) && other.config.qos() >= r.config.qos() &&
				(!same || j < i || other.config.qos() > r.config.qos()) {
				needed = false
			}
		}
		if needed {
			subs = append(subs, site.Subscription{Filter: r.filter.String(), QoS: r.config.qos()})
		}
	}
	return subs
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
