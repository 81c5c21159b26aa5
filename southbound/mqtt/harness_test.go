package mqtt

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// arrival is when the messages of tests come.
var arrival = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

// recorder is a scripted [bridge.Emit].
type recorder struct {
	hold bool  // keep safe instead of calling it
	fail error // what safe is called with

	mu      sync.Mutex
	batches []bridge.Batch
	held    []func(error)
	news    chan struct{}
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{}, 1)} }

func (r *recorder) emit(b bridge.Batch, safe func(error)) {
	r.mu.Lock()
	r.batches = append(r.batches, b)
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

// wait returns the batches once there are n, and fails if there are more.
func (r *recorder) wait(t *testing.T, n int) []bridge.Batch {
	t.Helper()
	timeout := time.After(rig.Patience)
	for {
		r.mu.Lock()
		got := append([]bridge.Batch(nil), r.batches...)
		r.mu.Unlock()
		if len(got) >= n {
			if len(got) > n {
				t.Fatalf("got %d batches, want %d: %v", len(got), n, got)
			}
			return got
		}
		select {
		case <-r.news:
		case <-timeout:
			t.Fatalf("got %d batches, want %d: %v", len(got), n, got)
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

// values lists what was emitted as "device.point=value".
func values(batches []bridge.Batch) []string {
	var all []string
	for _, b := range batches {
		for _, r := range b.Readings {
			all = append(all, fmt.Sprintf("%s.%s=%s", b.Device, r.Point, r.Value))
		}
	}
	return all
}

// start runs a source until the test ends.
func start(t *testing.T, cfg Config, o Options, emit bridge.Emit) *Source {
	t.Helper()
	if p := cfg.Validate(); len(p) > 0 {
		t.Fatalf("configuration: %+v", p)
	}
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, emit)
	return s
}

// run runs s until the returned function is called, or the test ends.
func run(t *testing.T, s *Source, emit bridge.Emit) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, emit) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(rig.Patience):
			t.Error("run did not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// address returns where the embedded broker "local" listens.
func address(t *testing.T, s *Source) string {
	t.Helper()
	rig.Until(t, "the broker listens", func() bool { return s.Addr("local") != nil })
	return s.Addr("local").String()
}

func embeddedConfig(sensors ...setting.Named[Sensor]) Config {
	for i := range sensors {
		if sensors[i].Value.Broker == "" {
			sensors[i].Value.Broker = "local"
		}
	}
	return Config{Brokers: map[string]inlet.Broker{"local": {Listen: inlet.Addresses{"127.0.0.1:0"}}}, Sensors: sensors}
}

func sensor(name string, s Sensor) setting.Named[Sensor] {
	return setting.Named[Sensor]{Name: name, Value: s}
}

func anyReading() setting.Named[Sensor] {
	return sensor("any", Sensor{Topic: "t/{device}/{point}"})
}

// metric returns the sum of a metric over its labels.
func metric(s *Source, name string) float64 {
	sum := 0.0
	s.Observe(func(m bridge.Metric) {
		if m.Name == name {
			sum += m.Value
		}
	})
	return sum
}
