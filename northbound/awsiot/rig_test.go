package awsiot

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// rig is a sink and a stand-in, connected in memory.
type rig struct {
	t       *testing.T
	cloud   *awsiottest.Cloud
	network uplink.Network
	sink    *Sink
	cfg     Config
	state   *memoryState
	notices *fakeNotices
	stopped bool
	cancel  context.CancelFunc
	ended   chan struct{}
	links   chan bridge.Link // each connection that is served
	lost    chan struct{}    // one value for each that has ended

	mu       sync.Mutex
	messages []awsiottest.Message // guarded by mu; accepted by the cloud
}

// newRig starts a stand-in and makes a sink; it is called in a bubble.
func newRig(t *testing.T, change func(cfg *Config, o *Options)) *rig {
	t.Helper()
	return newRigWith(t, awsiottest.Options{}, change)
}

func newRigWith(t *testing.T, cloud awsiottest.Options, change func(cfg *Config, o *Options)) *rig {
	t.Helper()
	network := &awsiottest.Network{}
	r := &rig{t: t, network: network, state: &memoryState{}, notices: &fakeNotices{noticed: make(chan struct{}, 1)},
		links: make(chan bridge.Link, 100), lost: make(chan struct{}, 100)}
	var err error
	cloud.Dir, cloud.Network = t.TempDir(), network
	cloud.OnPublish = func(m awsiottest.Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.messages = append(r.messages, m)
	}
	r.cloud, err = awsiottest.Start(cloud)
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.cloud.Device("gateway-1")
	if err != nil {
		t.Fatal(err)
	}
	r.cfg = validConfig()
	r.cfg.Endpoint = "localhost:8883"
	r.cfg.Certificate, r.cfg.PrivateKey = setting.Path(id.Certificate), setting.Path(id.PrivateKey)
	r.cfg.CA = setting.Path(r.cloud.CA())
	o := Options{Gateway: "gateway-1", Run: "run-1", Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
		Notices: r.notices, Catalogue: &bridge.Catalogue{}, State: r.state, ConfigHash: "abc"}
	if change != nil {
		change(&r.cfg, &o)
	}
	r.sink = r.next(o)
	return r
}

// next returns another sink, as of the process after this one.
func (r *rig) next(o Options) *Sink {
	r.t.Helper()
	s, err := New(r.cfg, o)
	if err != nil {
		r.t.Fatal(err)
	}
	s.network = r.network
	return s
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan struct{})
	go func() {
		defer close(r.ended)
		_ = r.sink.Run(ctx, func(ctx context.Context, link bridge.Link) {
			r.links <- link
			<-ctx.Done()
			r.lost <- struct{}{}
		})
	}()
}

func (r *rig) stop() {
	if r.cancel != nil {
		r.cancel()
		<-r.ended
	}
	if !r.stopped {
		r.stopped = true
		_ = r.cloud.Close()
	}
}

// bubble runs a test with a rig in fake time.
func bubble(t *testing.T, change func(cfg *Config, o *Options), f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change)
		defer r.stop()
		f(r)
	})
}

// arrived returns the messages on a topic that the cloud has accepted.
func (r *rig) arrived(topic string) []awsiottest.Message {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.messages), func(m awsiottest.Message) bool { return m.Topic != topic })
}

// statuses returns the status messages so far, decoded.
func (r *rig) statuses() []map[string]any {
	var all []map[string]any
	for _, m := range r.arrived("fieldbridge/gateway-1/status") {
		var v map[string]any
		if err := json.Unmarshal(m.Payload, &v); err != nil {
			r.t.Errorf("status %s: %v", m.Payload, err)
		}
		all = append(all, v)
	}
	return all
}

// types returns the types of the status messages so far.
func (r *rig) types() []string {
	var all []string
	for _, s := range r.statuses() {
		all = append(all, s["type"].(string))
	}
	return all
}

var quiet = slog.New(slog.DiscardHandler)

func publish(link bridge.Link, topic, body string) <-chan error {
	outcome := make(chan error, 2) // a second one would be a mistake
	link.Publish(bridge.Message{Topic: topic, Payload: []byte(body), ContentType: payload.ContentType},
		func(err error) { outcome <- err })
	return outcome
}

type memoryState struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *memoryState) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], nil
}

func (s *memoryState) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[key] = value
	return nil
}

// fakeNotices is a scripted [bridge.Notices].
type fakeNotices struct {
	mu         sync.Mutex
	runs       []bridge.RunRecord
	tombstones []bridge.Tombstone
	noticed    chan struct{}
}

func (n *fakeNotices) Runs() []bridge.RunRecord {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.runs)
}

func (n *fakeNotices) AckRuns(runs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.runs = slices.DeleteFunc(n.runs, func(r bridge.RunRecord) bool { return slices.Contains(runs, r.Run) })
}

func (n *fakeNotices) Tombstones() []bridge.Tombstone {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.tombstones)
}

func (n *fakeNotices) AckTombstones(ids ...uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tombstones = slices.DeleteFunc(n.tombstones, func(t bridge.Tombstone) bool { return slices.Contains(ids, t.ID) })
}

func (n *fakeNotices) Noticed() <-chan struct{} { return n.noticed }
