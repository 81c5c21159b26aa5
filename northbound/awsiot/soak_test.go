package awsiot

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/payload"
)

// TestSoak lets everything go wrong that the stand-in knows, a thousand times
// (FIELDBRIDGE_SOAK=1; else a hundred), in fake time, under the real forwarder and a model
// queue. Afterwards every batch has arrived, the ledger is exact, CONNECTs were
// spaced, and what arrived twice was in flight at a break.
func TestSoak(t *testing.T) {
	events := 100
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		events = 1000
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("SEED=%d", seed)
	var at connects
	bubble(t, nil, func(r *rig) {
		k := newSoak(r, rand.New(rand.NewPCG(seed, 1)), &at)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = r.sink.Run(ctx, k.forwarder.Serve) })
		emitting, stopEmitting := context.WithCancel(ctx)
		var source sync.WaitGroup
		source.Go(func() { k.emit(emitting) })
		for range events {
			k.event()
		}
		k.heal()
		stopEmitting()
		source.Wait()
		k.await(t, 2*time.Hour)
		cancel()
		running.Wait()
		k.check(t, r.sink)
	})
	at.check(t, events/10)
}

// soak is what a soak test knows.
type soak struct {
	r         *rig
	random    *rand.Rand
	at        *connects
	queue     *bridgetest.Queue
	collector *bridge.Collector
	forwarder *bridge.Forwarder
	emitted   int

	mu     sync.Mutex
	refuse awsiottest.ConnectVerdict // guarded by mu; for CONNECTs
}

func newSoak(r *rig, random *rand.Rand, at *connects) *soak {
	k := &soak{r: r, random: random, at: at, queue: bridgetest.NewQueue()}
	format := r.sink.Format()
	k.forwarder = bridge.NewForwarder(k.queue, format, bridge.ForwardConfig{Linger: time.Second, LiveShare: 0.8},
		slog.New(slog.DiscardHandler))
	k.collector = bridge.NewCollector(k.queue, format, new(bridge.Catalogue), func() bool { return true },
		slog.New(slog.DiscardHandler))
	note := at.script(awsiottest.ConnectVerdict{})
	r.cloud.ScriptConnect(func(client string) awsiottest.ConnectVerdict {
		_ = note(client)
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.refuse
	})
	return k
}

// emit emits ten batches a second.
func (k *soak) emit(ctx context.Context) {
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			k.emitted++
			k.collector.Emit(bridge.Batch{Device: fmt.Sprint("device-", k.emitted%7), At: time.Now(),
				Readings: []bridge.Reading{reading("n", bridge.Int(int64(k.emitted)))}}, nil)
		}
	}
}

func (k *soak) refuseConnects(v awsiottest.ConnectVerdict) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = v
}

// sometimes gives one of some messages a verdict.
func (k *soak) sometimes(one int, v awsiottest.Verdict) {
	var mu sync.Mutex
	n := 0
	k.r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%one == 0 {
			return v
		}
		return awsiottest.Verdict{}
	})
}

// event lets one thing go wrong, for a while.
func (k *soak) event() {
	cloud := k.r.cloud
	while := time.Duration(1+k.random.IntN(20)) * time.Second
	switch k.random.IntN(12) {
	case 0:
		cloud.Drop("")
	case 1:
		k.sometimes(5, awsiottest.Verdict{Drop: true}) // accepted, the PUBACK never comes
	case 2:
		k.sometimes(7, awsiottest.Verdict{Code: 0x97, Drop: true}) // not accepted either
	case 3:
		k.sometimes(9, awsiottest.Verdict{Lose: true})
	case 4:
		k.sometimes(1, awsiottest.Verdict{Delay: 3 * time.Second})
	case 5:
		k.sometimes(3, awsiottest.Verdict{Code: []byte{0x80, 0x87, 0x97}[k.random.IntN(3)]})
	case 6:
		k.sometimes(4, awsiottest.Verdict{Discard: true})
	case 7:
		cloud.Dark()
		time.Sleep(while * 3)
		cloud.Light()
	case 8:
		cloud.TakeOver("gateway-1")
	case 9:
		k.refuseConnects(awsiottest.ConnectVerdict{Code: []byte{0x80, 0x87, 0x97}[k.random.IntN(3)],
			Close: k.random.IntN(3) == 0})
		cloud.Drop("")
		time.Sleep(while)
	case 10:
		cloud.Offline()
		time.Sleep(while * 2)
		_ = cloud.Online()
	case 11:
		cloud.Disconnect("gateway-1", []byte{0x8B, 0x8D, 0x97, 0x98}[k.random.IntN(4)])
	}
	time.Sleep(while)
	k.heal()
}

func (k *soak) heal() {
	k.r.cloud.Script(nil)
	k.refuseConnects(awsiottest.ConnectVerdict{})
}

// await waits until the queue is empty.
func (k *soak) await(t *testing.T, limit time.Duration) {
	t.Helper()
	for begin := time.Now(); k.queue.Ledger().Waiting.Batches > 0; time.Sleep(time.Second) {
		if time.Since(begin) > limit {
			t.Fatalf("after %v %d batches wait", limit, k.queue.Ledger().Waiting.Batches)
		}
	}
	synctest.Wait()
}

func (k *soak) check(t *testing.T, s *Sink) {
	t.Helper()
	ledger := k.queue.Ledger()
	if !ledger.Balanced() || ledger.Acked.Batches != uint64(k.emitted) || ledger.Dead.Batches+ledger.Dropped.Batches > 0 {
		t.Errorf("%d batches emitted, ledger %+v", k.emitted, ledger)
	}
	seen := make(map[uint64]int)
	values := make(map[uint64]string)
	for _, m := range k.r.arrived("plant/gateway-1") {
		var v struct {
			Batches []struct {
				Seq    uint64
				Points map[string]json.RawMessage
			}
		}
		if err := json.Unmarshal(m.Payload, &v); err != nil {
			t.Fatal(err)
		}
		for _, b := range v.Batches {
			if before, known := values[b.Seq]; known && before != string(b.Points["n"]) {
				t.Fatalf("seq %d is %s and %s", b.Seq, before, b.Points["n"])
			}
			values[b.Seq] = string(b.Points["n"])
			seen[b.Seq]++
		}
	}
	twice := 0
	for _, n := range seen {
		twice += n - 1
	}
	if len(seen) != k.emitted {
		t.Errorf("%d batches of %d arrived", len(seen), k.emitted)
	}
	// At most a window of full messages is in flight when a connection breaks.
	perMessage := 5000 / 80
	if limit := int(s.losses.Load()) * 21 * perMessage; twice > limit {
		t.Errorf("%d batches arrived twice, %d connections were lost", twice, s.losses.Load())
	}
	t.Logf("%d batches, %d twice, %d connections, %d lost, %d attempts failed", k.emitted, twice, s.connects.Load(),
		s.losses.Load(), s.failures.Load())
}

// TestDrainAfterADay keeps the cloud away for a day at 1,000 readings per second
// and measures the drain: how long, at what share of the configured rate, and
// how late what is fresh was meanwhile. Ten minutes of it unless FIELDBRIDGE_SOAK is set.
func TestDrainAfterADay(t *testing.T) {
	outage := 10 * time.Minute
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		outage = 24 * time.Hour
	}
	const devices, points = 10, 100 // each second
	var late time.Duration
	var mu sync.Mutex
	synctest.Test(t, func(t *testing.T) {
		cfg := validConfig()
		f, err := payload.New(&cfg.Settings, "press-line-2", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		queue := bridgetest.NewQueue()
		forwarder := bridge.NewForwarder(queue, f, bridge.ForwardConfig{Linger: cfg.Linger.D(),
			LiveShare: float64(cfg.LiveShare)}, quiet)
		readings := many("register", points) // shared: a day of copies would not fit in memory
		emit := func() {
			for d := range devices {
				queue.Append(bridge.Batch{Device: fmt.Sprint("device-", d), At: time.Now(), Readings: readings}, nil)
			}
		}
		for begin := time.Now(); time.Since(begin) < outage; time.Sleep(time.Second) {
			emit()
		}
		backlog := queue.Ledger().Waiting.Readings
		link := &awsLink{limits: bridge.Limits{Window: cfg.Window, Messages: cfg.Rate.Messages,
			Bytes: float64(cfg.Rate.Bytes)}}
		link.published = func(m bridge.Message) {
			var v struct {
				Backlog bool
				Batches []struct{ At int64 }
			}
			if json.Unmarshal(m.Payload, &v) == nil && !v.Backlog {
				mu.Lock()
				defer mu.Unlock()
				for _, b := range v.Batches {
					late = max(late, time.Since(time.UnixMilli(b.At)))
				}
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		begin := time.Now()
		go func() { defer close(ended); forwarder.Serve(ctx, link) }()
		for !link.drained(queue) {
			emit()
			time.Sleep(time.Second)
		}
		took := time.Since(begin)
		cancel()
		<-ended
		share := max(float64(link.messages)/took.Seconds()/cfg.Rate.Messages,
			float64(link.bytes)/took.Seconds()/float64(cfg.Rate.Bytes))
		t.Logf("%v without cloud: %d readings, drained in %v beside live data, %.1f %% of the rate, fresh data at most %v "+
			"late",
			outage, backlog, took, share*100, late)
		if share < 0.95 || share > 1.01 {
			t.Errorf("the drain used %.1f %% of the rate, want 95 to 100", share*100)
		}
		if limit := cfg.Linger.D() + time.Second; late > limit {
			t.Errorf("fresh data was %v late, want at most %v", late, limit)
		}
	})
}

// awsLink is a [bridge.Link] that acknowledges after a round trip.
type awsLink struct {
	limits    bridge.Limits
	published func(bridge.Message)

	mu              sync.Mutex
	messages, bytes int
}

func (l *awsLink) Limits() bridge.Limits { return l.limits }

func (l *awsLink) GiveUp() {}

func (l *awsLink) Publish(m bridge.Message, done func(error)) {
	l.mu.Lock()
	l.messages++
	l.bytes += len(m.Topic) + len(m.ContentType) + len(m.Payload)
	l.mu.Unlock()
	l.published(m)
	time.AfterFunc(50*time.Millisecond, func() { done(nil) })
}

// sums returns how many messages were published, and their bytes.
func (l *awsLink) sums() (messages, bytes float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.messages), float64(l.bytes)
}

// drained reports whether only what came just now waits.
func (l *awsLink) drained(q *bridgetest.Queue) bool {
	return q.Ledger().Waiting.Batches < 50
}
