package awsiot

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fieldbridge/bridge"
	"fieldbridge/bridge/setting"
	"fieldbridge/northbound/awsiot/awsiottest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a sink and a stand-in, connected in memory.
type rig struct {
	t       *testing.T
	cloud   *awsiottest.Cloud
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
	r := &rig{t: t, state: &memoryState{}, notices: &fakeNotices{noticed: make(chan struct{}, 1)},
		links: make(chan bridge.Link, 100), lost: make(chan struct{}, 100)}
	network := &awsiottest.Network{}
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
		Notices: r.notices, Catalogue: &bridge.Catalogue{}, State: r.state, ConfigHash: "abc", Dial: network.Dial}
	if change != nil {
		change(&r.cfg, &o)
	}
	if r.sink, err = New(r.cfg, o); err != nil {
		t.Fatal(err)
	}
	return r
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

func publish(link bridge.Link, topic, payload string) <-chan error {
	outcome := make(chan error, 2) // a second one would be a mistake
	link.Publish(bridge.Message{Topic: topic, Payload: []byte(payload), ContentType: contentType}, func(err error) { outcome <- err })
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

func TestPublishAndOrder(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		want := bridge.Limits{Window: 20, Messages: 80, Bytes: 400 << 10}
		if diff := cmp.Diff(want, link.Limits()); diff != "" {
			t.Errorf("limits (-want +got):\n%s", diff)
		}
		var outcomes []<-chan error
		for i := range 200 {
			outcomes = append(outcomes, publish(link, "t", strconv.Itoa(i)))
		}
		for i, o := range outcomes {
			if err := <-o; err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		for i, m := range r.arrived("t") {
			if string(m.Payload) != strconv.Itoa(i) || m.ContentType != contentType || m.QoS != 1 {
				t.Fatalf("message %d is %q (%s, QoS %d)", i, m.Payload, m.ContentType, m.QoS)
			}
		}
		if got := len(r.arrived("t")); got != 200 {
			t.Errorf("%d messages arrived", got)
		}
	})
}

func TestWindowBlocks(t *testing.T) {
	bubble(t, func(cfg *Config, _ *Options) { cfg.Window = 4 }, func(r *rig) {
		r.start()
		link := <-r.links
		synctest.Wait() // the birth is acknowledged
		r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Delay: time.Second} })
		begin := time.Now()
		var outcomes []<-chan error
		for range 11 {
			outcomes = append(outcomes, publish(link, "t", "x"))
		}
		// Five places (one is for the status topic): the sixth waits a second,
		// the eleventh two.
		if waited := time.Since(begin); waited != 2*time.Second {
			t.Errorf("publishing took %v, want 2s", waited)
		}
		for _, o := range outcomes {
			if err := <-o; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPubackReasons(t *testing.T) {
	tests := []struct {
		code              byte
		failed, permanent bool
	}{
		{0x00, false, false}, {0x10, false, false}, {0x80, true, false}, {0x83, true, false}, {0x87, true, false},
		{0x91, true, false}, {0x97, true, false}, {0x90, true, true}, {0x95, true, true}, {0x99, true, true},
	}
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		for _, tt := range tests {
			r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Code: tt.code} })
			err := <-publish(link, "t", "x")
			if (err != nil) != tt.failed || bridge.IsPermanent(err) != tt.permanent {
				t.Errorf("0x%02X: %v, permanent %v", tt.code, err, bridge.IsPermanent(err))
			}
		}
		if len(r.lost) > 0 {
			t.Error("a refusal ended the connection")
		}
	})
}

// TestGrants: what the CONNACK grants is kept to.
func TestGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, awsiottest.Options{ReceiveMaximum: 3, MaximumPacket: 1000}, nil)
		defer r.stop()
		r.start()
		link := <-r.links
		if w := link.Limits().Window; w != 3 {
			t.Errorf("window %d", w)
		}
		synctest.Wait()
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Delay: time.Second} })
		var outcomes []<-chan error
		for range 10 {
			outcomes = append(outcomes, publish(link, "t", "x"))
		}
		outcomes = append(outcomes, publish(link, "t", strings.Repeat("x", 900)))
		for i, o := range outcomes {
			if err := <-o; err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		if err := <-publish(link, "t", strings.Repeat("x", 1000)); !bridge.IsPermanent(err) {
			t.Errorf("over the granted packet size: %v", err)
		}
		if n := r.cloud.Counts().Violations; n > 0 || len(r.lost) > 0 {
			t.Errorf("%d violations, %d connections lost", n, len(r.lost))
		}
	})
}

func TestTooLargeIsRefusedBeforeSending(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		for _, m := range []bridge.Message{
			{Topic: "t", Payload: make([]byte, maxPayload+1)},
			{Topic: string(make([]byte, 257)), Payload: []byte("x")},
		} {
			var got error
			link.Publish(m, func(err error) { got = err })
			if !bridge.IsPermanent(got) {
				t.Errorf("%d bytes: %v, want a permanent refusal", len(m.Payload), got)
			}
		}
		if err := <-publish(link, "t", string(make([]byte, maxPayload))); err != nil {
			t.Errorf("128 KiB: %v", err)
		}
		if n := r.cloud.Counts().Violations; n > 0 {
			t.Errorf("%d violations", n)
		}
	})
}

func TestLostAckEndsTheConnection(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		synctest.Wait()
		lose := true
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict {
			v := awsiottest.Verdict{Lose: lose}
			lose = false
			return v
		})
		begin := time.Now()
		outcome := publish(link, "t", "x")
		// Others are acknowledged; the lost one counts nevertheless.
		time.Sleep(10 * time.Second)
		if err := <-publish(link, "t", "y"); err != nil {
			t.Error(err)
		}
		if err := <-outcome; err == nil || bridge.IsPermanent(err) {
			t.Errorf("outcome %v, want a failure to try again", err)
		}
		if after := time.Since(begin); after != 30*time.Second {
			t.Errorf("given up after %v, want the ack_timeout of 30s", after)
		}
		if err := <-publish(<-r.links, "t", "x"); err != nil {
			t.Errorf("after reconnecting: %v", err)
		}
	})
}

func TestBlackHole(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		synctest.Wait()
		r.cloud.Dark()
		var outcomes []<-chan error
		for range 21 {
			outcomes = append(outcomes, publish(link, "t", "x"))
		}
		blocked := make(chan (<-chan error))
		go func() { blocked <- publish(link, "t", "one too many") }()
		begin := time.Now()
		for _, o := range append(outcomes, <-blocked) {
			if err := <-o; !errors.Is(err, errConnectionLost) {
				t.Errorf("outcome %v, want connection lost", err)
			}
		}
		if after := time.Since(begin); after > 30*time.Second {
			t.Errorf("noticed after %v", after)
		}
		time.Sleep(10 * time.Minute)
		if h := r.sink.Health(); len(h) != 1 || h[0].Subject != "uplink" {
			t.Errorf("health %+v", h)
		}
		r.cloud.Light()
		if err := <-publish(<-r.links, "t", "x"); err != nil {
			t.Error(err)
		}
		if h := r.sink.Health(); len(h) != 0 {
			t.Errorf("health %+v after reconnecting", h)
		}
	})
}

func TestEndsOfConnections(t *testing.T) {
	tests := map[string]struct {
		end  func(c *awsiottest.Cloud)
		text string
	}{
		"reset":         {func(c *awsiottest.Cloud) { c.Drop("") }, "broken"},
		"taken over":    {func(c *awsiottest.Cloud) { c.TakeOver("gateway-1") }, "0x8E"},
		"shutting down": {func(c *awsiottest.Cloud) { c.Disconnect("gateway-1", 0x8B) }, "0x8B"},
		"offline":       {func(c *awsiottest.Cloud) { c.Offline() }, "broken"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(r *rig) {
				r.start()
				link := <-r.links
				synctest.Wait()
				r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Lose: true} })
				outcome := publish(link, "t", "x")
				synctest.Wait()
				tt.end(r.cloud)
				if err := <-outcome; !errors.Is(err, errConnectionLost) {
					t.Errorf("outcome %v", err)
				}
				<-r.lost
				synctest.Wait()
				l := r.sink.Link()
				if l.Connected || !strings.Contains(l.Detail, tt.text) {
					t.Errorf("link %+v, want %q", l, tt.text)
				}
				_ = r.cloud.Online()
				r.cloud.Script(nil)
				if err := <-publish(<-r.links, "t", "x"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestNothingWithoutFiles(t *testing.T) {
	bubble(t, func(cfg *Config, _ *Options) { cfg.Certificate = "missing.pem" }, func(r *rig) {
		r.start()
		time.Sleep(time.Minute)
		h := r.sink.Health()
		if len(h) != 1 || h[0].Severity != bridge.Alarm || !strings.Contains(h[0].Text, "missing.pem does not exist") {
			t.Errorf("health %+v", h)
		}
		// The files may come while we run.
		good := r.cfg
		id, err := r.cloud.Device("gateway-1")
		if err != nil {
			t.Fatal(err)
		}
		good.Certificate = setting.Path(id.Certificate)
		if err := r.sink.Apply(good); err != nil {
			t.Fatal(err)
		}
		if err := <-publish(<-r.links, "t", "x"); err != nil {
			t.Error(err)
		}
	})
}

func TestApplyReconnectsCleanly(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		time.Sleep(time.Minute)
		cfg := r.cfg
		cfg.Topic, cfg.MaxMessage = "other/{device}", 2000
		if err := r.sink.Apply(cfg); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(r.lost) > 0 {
			t.Error("a change of topics ended the connection")
		}
		if got := r.sink.Format().Topic(&bridge.Batch{Device: "d"}); got != "other/d" {
			t.Errorf("topic %q", got)
		}
		cfg.Window = 7
		if err := r.sink.Apply(cfg); err != nil {
			t.Fatal(err)
		}
		<-r.lost
		if got := (<-r.links).Limits().Window; got != 7 {
			t.Errorf("window %d", got)
		}
		if slices.Contains(r.types(), "offline") {
			t.Error("the last will was published")
		}
		cfg.Window = 0
		if err := r.sink.Apply(cfg); err == nil {
			t.Error("an impossible window is taken")
		}
	})
}
