package awsiot

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
)

// besideLive is a backlog that drains while sensors, each of whose messages waits for its
// acknowledgement, go on.
type besideLive struct {
	format  payload.Format
	limit   setting.Size
	sensors int           // messages a second
	devices int           // they come from
	topic   string        // with {device} each has its own
	late    time.Duration // live messages are at most, but for their turn at the gate
}

// TestDrainBesideSensors holds the drain to what the configured rate carries: with
// messages that are as full as those of a backlog alone, or so many that no more go.
func TestDrainBesideSensors(t *testing.T) {
	for _, c := range []besideLive{
		{payload.Rows, 5000, 10, 10, "plant/{gateway}", 400 * time.Millisecond},
		{payload.Rows, 5000, 1000, 100, "plant/{gateway}", 400 * time.Millisecond},
		{payload.Rows, 5000, 2000, 100, "plant/{gateway}", 400 * time.Millisecond},
		// Bytes bind, and a message is a quarter of a second's.
		{payload.Rows, 100 << 10, 1000, 100, "plant/{gateway}", 300 * time.Millisecond},
		{payload.Columns, 5000, 100, 10, "plant/{gateway}", 400 * time.Millisecond},
		{payload.Rows, 5000, 30, 3, "plant/{gateway}/{device}", time.Second},
	} {
		t.Run(fmt.Sprintf("%s %d %d/s %s", c.format, c.limit, c.sensors, c.topic), func(t *testing.T) {
			synctest.Test(t, c.run)
		})
	}
}

func (c besideLive) run(t *testing.T) {
	cfg := validConfig()
	cfg.Format, cfg.MaxMessage, cfg.Topic = c.format, c.limit, c.topic
	f, err := payload.New(&cfg.Settings, "gateway-1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	queue := bridgetest.NewQueue()
	forwarder := bridge.NewForwarder(queue, f, bridge.ForwardConfig{Linger: cfg.Linger.D(),
		LiveShare: float64(cfg.LiveShare)}, quiet)
	readings := many("value", 1)
	if c.format == payload.Columns { // they are short
		readings = many("value", 40)
	}
	n := 0
	emit := func(safe func(error)) {
		n++
		queue.Append(bridge.Batch{Device: fmt.Sprint("device-", n%c.devices), At: time.Now(), Readings: readings}, safe)
	}
	const waiting = 12000
	for range waiting {
		emit(nil)
	}
	time.Sleep(time.Second)
	link := &awsLink{limits: bridge.Limits{Window: cfg.Window, Messages: cfg.Rate.Messages,
		Bytes: float64(cfg.Rate.Bytes)}}
	var arrived arrivals
	link.published = func(m bridge.Message) { arrived.add(t, m) }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	begin := time.Now()
	go func() { defer close(ended); forwarder.Serve(ctx, link) }()
	for arrived.count(true) < waiting {
		emit(func(error) {})
		time.Sleep(time.Second / time.Duration(c.sensors))
	}
	synctest.Wait()
	took := time.Since(begin).Seconds()
	messages, bytes := link.sums()
	messages, bytes = messages/took, bytes/took
	time.Sleep(2 * time.Second)
	cancel()
	<-ended
	t.Logf("drained in %.1f s: %.1f messages/s, %.0f bytes/s, live at most %v late, mean %v", took, messages, bytes,
		arrived.late, arrived.mean())
	if got := arrived.count(true) + arrived.count(false); got != n {
		t.Errorf("%d of %d batches arrived", got, n)
	}
	want := min(float64(cfg.Rate.Bytes), cfg.Rate.Messages*float64(c.limit))
	more := 0.2*want + float64(c.limit) // the burst that it begins with, and a message in debt
	if share := bytes / want; share < 0.95 || bytes > 1.01*want+more/took {
		t.Errorf("%.1f %% of the %.0f bytes a second that the rate carries, want 95 to 100", 100*share, want)
	}
	if arrived.late > c.late+50*time.Millisecond {
		t.Errorf("a live message was %v late, want %v at most", arrived.late, c.late)
	}
}

// arrivals are the batches that came, each once and those of a device in order.
type arrivals struct {
	mu      sync.Mutex
	n       [2]int            // of live ones, of the backlog
	last    map[string]uint64 // seq, by lane and device
	late    time.Duration     // live ones, at most
	delayed time.Duration     // all live ones together
}

func (a *arrivals) count(backlog bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if backlog {
		return a.n[1]
	}
	return a.n[0]
}

func (a *arrivals) mean() time.Duration {
	return (a.delayed / time.Duration(math.Max(1, float64(a.n[0])))).Round(time.Millisecond)
}

func (a *arrivals) add(t *testing.T, m bridge.Message) {
	var v struct {
		Backlog bool
		Batches []struct {
			Device string
			Seq    uint64
			At     int64
		}
		Devices []struct {
			Device  string
			Seq, At []int64
		}
	}
	if err := json.Unmarshal(m.Payload, &v); err != nil {
		t.Error(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	one := func(device string, seq uint64, at int64) {
		key := fmt.Sprint(v.Backlog, device)
		if a.last == nil {
			a.last = make(map[string]uint64)
		}
		if seq <= a.last[key] {
			t.Errorf("%s: seq %d after %d", key, seq, a.last[key])
		}
		a.last[key] = seq
		if v.Backlog {
			a.n[1]++
			return
		}
		a.n[0]++
		late := time.Since(time.UnixMilli(at))
		a.delayed += late
		a.late = max(a.late, late)
	}
	for _, b := range v.Batches {
		one(b.Device, b.Seq, b.At)
	}
	for _, d := range v.Devices {
		var seq, at int64
		for i := range d.Seq {
			seq, at = seq+d.Seq[i], at+d.At[i]
			one(d.Device, uint64(seq), at)
		}
	}
}
