package site

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a scripted [inlet.Ingest].
type recorder struct {
	hold bool  // keep safe instead of calling it
	fail error // what safe is called with

	mu    sync.Mutex
	heard []string // "topic=payload"
	held  []func(error)
}

func (r *recorder) ingest(m inlet.Message, safe func(error)) {
	r.mu.Lock()
	r.heard = append(r.heard, m.Topic+"="+string(m.Payload))
	hold, fail := r.hold, r.fail
	if safe != nil && hold {
		r.held = append(r.held, safe)
	}
	r.mu.Unlock()
	if safe != nil && !hold {
		safe(fail)
	}
}

// wait returns what was heard once there are n messages, and fails if there are
// more.
func (r *recorder) wait(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	rig.Until(t, "the messages", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = append([]string(nil), r.heard...)
		return len(got) >= n
	})
	if len(got) > n {
		t.Fatalf("heard %d messages, want %d: %v", len(got), n, got)
	}
	return got
}

// take returns the callbacks that are held.
func (r *recorder) take() []func(error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.held
	r.held = nil
	return held
}

// client returns a client that wants filters with QoS 2.
func client(url string, state bridge.State, filters ...string) *Client {
	c := New("site", inlet.Broker{URL: inlet.Addresses{url}}, "g", slog.New(slog.DiscardHandler), state)
	c.Want(wanted(filters...))
	return c
}

func wanted(filters ...string) []Subscription {
	var subs []Subscription
	for _, f := range filters {
		subs = append(subs, Subscription{f, 2})
	}
	return subs
}

// run runs c until the returned function is called, or the test ends.
func run(t *testing.T, c *Client, ingest inlet.Ingest) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, ingest)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

func connected(t *testing.T, c *Client) {
	t.Helper()
	rig.Until(t, "connected to the site broker", func() bool { return c.Counts().Connected })
}
