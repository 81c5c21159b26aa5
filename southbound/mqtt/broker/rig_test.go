package broker

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain is a broker that anyone on this machine may use.
var plain = inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}}

// recorder is a scripted [inlet.Ingest].
type recorder struct {
	hold bool  // keep safe instead of calling it
	fail error // what safe is called with

	mu   sync.Mutex
	all  []string // "topic=payload"
	held []func(error)
	news chan struct{}
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{}, 1)} }

func (r *recorder) ingest(m inlet.Message, safe func(error)) {
	r.mu.Lock()
	r.all = append(r.all, m.Topic+"="+string(m.Payload))
	hold, fail := r.hold, r.fail
	if safe != nil && hold {
		r.held = append(r.held, safe)
	}
	r.mu.Unlock()
	if safe != nil && !hold {
		safe(fail)
	}
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// wait returns the messages once there are n, and fails if there are more.
func (r *recorder) wait(t *testing.T, n int) []string {
	t.Helper()
	timeout := time.After(rig.Patience)
	for {
		r.mu.Lock()
		got := append([]string(nil), r.all...)
		r.mu.Unlock()
		if len(got) >= n {
			if len(got) > n {
				t.Fatalf("got %d messages, want %d", len(got), n)
			}
			return got
		}
		select {
		case <-r.news:
		case <-timeout:
			t.Fatalf("got %d messages, want %d", len(got), n)
		}
	}
}

// take returns the callbacks that are held.
func (r *recorder) take() []func(error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.held
	r.held = nil
	return held
}

// start runs a broker until the test ends.
func start(t *testing.T, config inlet.Broker, ingest inlet.Ingest) *Broker {
	t.Helper()
	s, err := New("local", config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, ingest)
	return s
}

// run runs s until the returned function is called, or the test ends.
func run(t testing.TB, s *Broker, ingest inlet.Ingest) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx, ingest); close(done) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(rig.Patience):
			t.Error("run did not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// address returns where s listens without TLS.
func address(t testing.TB, s *Broker) string {
	t.Helper()
	rig.Until(t, "the broker listens", func() bool { return s.Addr(false) != nil })
	return s.Addr(false).String()
}

var discard = slog.New(slog.DiscardHandler)

// publication is a retained message as the broker's library has it.
func publication(topic, payload string) packets.Packet {
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Retain: true}, TopicName: topic,
		Payload: []byte(payload)}
}
