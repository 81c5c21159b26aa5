package awsiot

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
)

// plantCost is one line of the table that TestCost prints.
type plantCost struct {
	devices, points int
	format          payload.Format // of protobuf, its layout after a blank
	topic           string
	limit           setting.Size
	linger          time.Duration
	values          int // are below
	live, backlog   int // most units per million readings
}

const all16 = 1 << 16

var plantCosts = []plantCost{
	{10, 20, payload.Rows, "plant/{gateway}", 5000, time.Second, all16, 5000, 5000},
	{10, 20, payload.Columns, "plant/{gateway}", 5000, time.Second, all16, 5300, 1500},
	{10, 20, payload.Columns, "plant/{gateway}", 5000, 10 * time.Second, all16, 1950, 1500},
	{10, 20, payload.Columns, "plant/{gateway}", 5000, 30 * time.Second, all16, 1600, 1500},
	{10, 20, payload.Columns, "plant/{gateway}/{device}", 5000, time.Minute, all16, 1500, 1500},
	{10, 20, payload.Columns, "plant/{gateway}", 20000, 2 * time.Minute, all16, 1400, 1350},
	{10, 20, payload.Columns, "plant/{gateway}", 5000, 30 * time.Second, 10000, 1400, 1300},
	{10, 20, payload.Flat, "plant/{gateway}", 5000, time.Second, all16, 50000, 50000},
	{10, 4, payload.Rows, "plant/{gateway}/{device}/{point}", 5000, 10 * time.Second, all16, 102000, 20000},
	{10, 4, payload.Columns, "plant/{gateway}/{point}", 5000, 10 * time.Second, all16, 10200, 10000},
	{10, 4, payload.Flat, "plant/{gateway}/{device}/{point}", 5000, time.Second, all16, 1000000, 1000000},
	{10, 1000, payload.Rows, "plant/{gateway}", 5000, time.Second, all16, 5050, 5050},
	{10, 1000, payload.Columns, "plant/{gateway}", 5000, time.Second, all16, 5050, 5050},
	{10, 1000, payload.Columns, "plant/{gateway}", 128 << 10, 10 * time.Second, all16, 1700, 1650},
	{10, 1000, payload.Flat, "plant/{gateway}", 5000, time.Second, all16, 5050, 5050},
	{10, 20, protobufRows, "plant/{gateway}", 5000, time.Second, all16, 4800, 760},
	{10, 20, protobufRows, "plant/{gateway}", 5000, 10 * time.Second, all16, 700, 760},
	{10, 20, protobufRows, "plant/{gateway}", 5000, 10 * time.Second, slow, 550, 600},
	{10, 20, protobufColumns, "plant/{gateway}", 5000, 10 * time.Second, slow, 520, 300},
	{10, 1000, protobufRows, "plant/{gateway}", 5000, 10 * time.Second, all16, 700, 760},
	{10, 1000, protobufRows, "plant/{gateway}", 128 << 10, 10 * time.Second, all16, 600, 600},
}

const (
	protobufRows    = payload.Protobuf + " rows"
	protobufColumns = payload.Protobuf + " columns"
	slow            = -1 // values that begin anywhere below 10,000 and change by up to 3
)

// TestCost meters what plants of 16-bit registers make, live and from the
// backlog, and compares it with what `check` forecasts:
//
//	FIELDBRIDGE_SOAK=1 go test -run TestCost -v ./northbound/awsiot
//
// Without the variable the large plants and long lingers are left out.
//
// Values are drawn evenly. Those of all 16 bits have 4.83 digits, which with a
// comma are 5.83 bytes of each reading; those below 10,000 take 4.89.
func TestCost(t *testing.T) {
	t.Logf("%-66s %29s %29s %s", "", "live", "from the backlog", "forecast")
	for _, c := range plantCosts {
		if (c.points > 20 || c.linger > 30*time.Second) && os.Getenv("FIELDBRIDGE_SOAK") == "" {
			continue
		}
		name := fmt.Sprintf("%dx%d %s %s %d %v <%d", c.devices, c.points, c.format, c.topic, c.limit, c.linger, c.values)
		live, forecast := c.meterLive(t)
		backlog := c.meterBacklog(t)
		t.Logf("%-66s %v %v %+.1f %%", name, live, backlog, 100*forecast)
		if math.Abs(forecast) > 0.05 {
			t.Errorf("%s: the forecast is %.1f %% off", name, 100*forecast)
		}
		if live.units() > float64(c.live) || backlog.units() > float64(c.backlog) {
			t.Errorf("%s: more than %d and %d units", name, c.live, c.backlog)
		}
	}
}

// metered is what the stand-in has metered.
type metered struct{ readings, messages, bytes, unit float64 }

func (m metered) units() float64 { return m.unit / m.readings * 1e6 }

func (m metered) String() string {
	return fmt.Sprintf("%5.2f B %6.0f msg %6.0f units", m.bytes/m.readings, m.messages/m.readings*1e6, m.units())
}

// meterLive runs the plant for some minutes. It returns, too, by which part the
// forecast differs at most.
func (c *plantCost) meterLive(t *testing.T) (got metered, off float64) {
	lingers := time.Duration(4)
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		lingers = 10
	}
	span := max(20*time.Second, min(lingers*c.linger, time.Duration(1_000_000/c.devices/c.points)*time.Second))
	c.run(t, func(r *rig, queue *bridgetest.Queue, collector *bridge.Collector, start func()) {
		start()
		time.Sleep(time.Second)
		c.emit(collector, time.Second) // points get numbers
		time.Sleep(c.linger + time.Second)
		synctest.Wait()
		before, acked := r.cloud.Counts(), queue.Ledger().Acked.Readings
		c.emit(collector, span)
		synctest.Wait()
		after := r.cloud.Counts()
		got.readings = float64(queue.Ledger().Acked.Readings - acked)
		got.messages = float64(after.Published - before.Published)
		got.bytes, got.unit = float64(after.Bytes-before.Bytes), float64(after.Units-before.Units)
		all := emissions(c.devices, c.points, time.Second)
		if c.values < all16 {
			for i := range all {
				for j := range all[i].Readings {
					all[i].Readings[j].Value = bridge.Uint(1234)
				}
			}
		}
		want, err := r.cfg.Forecast("gateway-1", nil, all)
		if err != nil {
			t.Fatal(err)
		}
		seconds := got.readings / want.Readings
		for forecast, metered := range map[float64]float64{want.Units * seconds: got.unit, want.Bytes * seconds: got.bytes,
			want.Messages * seconds: got.messages} {
			if d := forecast/metered - 1; math.Abs(d) > math.Abs(off) {
				off = d
			}
		}
	})
	return got, off
}

// meterBacklog lets the plant run without a connection and drains what waits.
func (c *plantCost) meterBacklog(t *testing.T) (got metered) {
	c.run(t, func(r *rig, _ *bridgetest.Queue, collector *bridge.Collector, start func()) {
		ctx, cancel := context.WithCancel(context.Background())
		given := make(chan struct{}) // numbers are given without a connection, too
		go func() { defer close(given); r.sink.numbers.Run(ctx) }()
		got.readings = float64(c.emit(collector, max(20*time.Second, 100*time.Second/time.Duration(max(1, c.points/20)))))
		cancel()
		<-given
		start()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for _, m := range r.messages {
			if strings.HasPrefix(m.Topic, "plant/") {
				size := len(m.Topic) + len(m.Payload) + len(payload.ContentType)
				got.messages++
				got.bytes += float64(size)
				got.unit += float64((size + 5119) / 5120) // of 5 KB
			}
		}
	})
	return got
}

// run makes a gateway with the stand-in, in a bubble.
func (c *plantCost) run(t *testing.T, f func(r *rig, queue *bridgetest.Queue, collector *bridge.Collector,
	start func())) {
	bubble(t, func(cfg *Config, _ *Options) {
		cfg.Format, cfg.Topic, cfg.Linger, cfg.MaxMessage = c.format, c.topic, setting.Duration(c.linger), c.limit
		if name, layout, ok := strings.Cut(string(c.format), " "); ok {
			cfg.Format, cfg.Layout = payload.Format(name), payload.Layout(layout)
		}
	}, func(r *rig) {
		log := slog.New(slog.DiscardHandler)
		queue := bridgetest.NewQueue()
		forwarder := bridge.NewForwarder(queue, r.sink.Format(), bridge.ForwardConfig{Linger: c.linger, LiveShare: 0.8}, log)
		collector := bridge.NewCollector(queue, r.sink.Format(), new(bridge.Catalogue), func() bool { return true }, log)
		ctx, cancel := context.WithCancel(context.Background())
		var ended chan struct{}
		f(r, queue, collector, func() {
			ended = make(chan struct{})
			go func() { defer close(ended); _ = r.sink.Run(ctx, forwarder.Serve) }()
		})
		time.Sleep(c.linger)
		synctest.Wait()
		cancel()
		<-ended
		if l := queue.Ledger(); l.Waiting.Batches > 0 || !l.Balanced() {
			t.Errorf("%+v", l)
		}
	})
}

// emit emits for a span what the devices read each second, a little early or
// late, and returns how many readings.
func (c *plantCost) emit(collector *bridge.Collector, span time.Duration) int {
	type poll struct {
		device int
		at     time.Duration
	}
	random := rand.New(rand.NewPCG(5, 6))
	var polls []poll
	for d := range c.devices {
		phase := time.Duration(random.Int64N(int64(time.Second - 2*time.Millisecond)))
		for at := phase; at < span; at += time.Second {
			polls = append(polls, poll{d, at + time.Duration(random.Int64N(int64(2*time.Millisecond)))})
		}
	}
	slices.SortFunc(polls, func(a, b poll) int { return cmp.Compare(a.at, b.at) })
	begin := time.Now()
	names := make([]string, c.points)
	for p := range names {
		names[p] = fmt.Sprint("register_", p)
	}
	values := make([]int, c.devices*c.points)
	for i := range values {
		values[i] = random.IntN(10000)
	}
	for _, p := range polls {
		time.Sleep(time.Until(begin.Add(p.at)))
		readings := make([]bridge.Reading, c.points)
		for i := range readings {
			v := &values[p.device*c.points+i]
			if c.values == slow {
				*v = max(*v+random.IntN(7)-3, 0)
			} else {
				*v = random.IntN(c.values)
			}
			readings[i] = reading(names[i], bridge.Uint(uint64(*v)))
		}
		collector.Emit(bridge.Batch{Device: fmt.Sprint("device-", p.device), At: time.Now(), Readings: readings}, nil)
	}
	time.Sleep(time.Until(begin.Add(span)))
	return len(polls) * c.points
}
