package bridge

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// ForwardConfig is how a [Forwarder] shares a connection.
type ForwardConfig struct {
	// Linger is the longest that a fresh batch waits for company; 0 sends at once.
	Linger time.Duration
	// OldestFirst sends strictly in the order of the queue. Otherwise fresh
	// batches overtake the backlog.
	OldestFirst bool
	// LiveShare is the part of the rate, 0 to 1, that fresh batches get at most
	// while a backlog waits, too.
	LiveShare float64
}

// Forwarder takes batches from the queue to the cloud: it claims them, packs
// them into messages on the way out, publishes those at the pace of the link's
// limits, and acknowledges to the queue what the cloud has acknowledged.
type Forwarder struct {
	queue  Outgoing
	format Format
	config atomic.Pointer[ForwardConfig]
	log    *slog.Logger
	pulses Pulses
	after  After
	narrow atomic.Bool // memory is short: a part of the window is used

	mu      sync.Mutex
	current *connection // guarded by mu; nil while there is no connection

	sent    atomic.Uint64 // messages acknowledged
	bytes   atomic.Uint64 // their payloads and topics
	refused atomic.Uint64 // messages that the cloud did not take
	buried  atomic.Uint64 // batches set aside as dead letters
	letters wordOf        // of the log, of dead letters
	delayed atomic.Uint64 // fresh batches acknowledged ...
	delay   atomic.Int64  // ... and the sum of their delays since acquisition, in ns
}

// NewForwarder returns a forwarder of the batches in queue.
func NewForwarder(queue Outgoing, format Format, config ForwardConfig, log *slog.Logger) *Forwarder {
	f := &Forwarder{queue: queue, format: format, log: log, after: afterFunc}
	f.Apply(config)
	return f
}

func afterFunc(d time.Duration, f func()) (stop func() bool) { return time.AfterFunc(d, f).Stop }

// Apply changes the configuration of a forwarder, whether it serves or not. A
// new linger is for the next message; the rest is for the next connection.
func (f *Forwarder) Apply(config ForwardConfig) { f.config.Store(&config) }

// Shed has a quarter of the window used until [Forwarder.Regain]: what is in flight is in
// memory. It gives back nothing by itself; what is in flight goes as it is acknowledged.
func (f *Forwarder) Shed() (bytes int64) {
	f.narrow.Store(true)
	return 0
}

// Regain ends what [Forwarder.Shed] began.
func (f *Forwarder) Regain() { f.narrow.Store(false) }

// Watched has the lanes tell p that they turn. It is called before Serve.
func (f *Forwarder) Watched(p Pulses) { f.pulses = p }

// After calls f after d unless stop is called before, which reports whether it was.
type After func(d time.Duration, f func()) (stop func() bool)

// Timed has the lanes wait by a clock of their own instead of [time.AfterFunc]. It is
// called before Serve.
func (f *Forwarder) Timed(by After) { f.after = by }

// Serve forwards over link until ctx ends, and returns when the outcome of every
// message is known. It is what [Sink.Run] calls for each connection.
func (f *Forwarder) Serve(ctx context.Context, link Link) {
	config := f.config.Load()
	s := &connection{f: f, link: link, gate: newGate(link.Limits(), config.LiveShare), drained: make(chan struct{})}
	s.gate.narrow, s.gate.after = &f.narrow, f.after
	s.drain, s.startDrain = context.WithCancel(context.Background())
	defer s.startDrain()
	// What has no bound while there is a connection has one when it has ended.
	s.answer = 3*link.Limits().Answer + turnTime
	ending := f.pulses.Of("forwarder")
	defer ending.End()
	defer context.AfterFunc(ctx, func() { ending.Within(s.answer) })()
	f.queue.Online()
	f.mu.Lock()
	f.current = s
	f.mu.Unlock()

	var lanes sync.WaitGroup
	if config.OldestFirst {
		lanes.Go(func() { newPacker(s, Fresh, true).run(ctx) })
	} else {
		lanes.Go(func() { newPacker(s, Fresh, false).run(ctx) })
		lanes.Go(func() { newPacker(s, Backlog, false).run(ctx) })
	}
	watched, stopWatch := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { s.owed.watch(watched, link) })
	lanes.Wait()
	s.outstanding.Wait()
	stopWatch()
	watch.Wait()

	f.mu.Lock()
	f.current = nil
	f.mu.Unlock()
	f.queue.Offline()
}

// Drain sends what is fresh without lingering and returns when the cloud has
// acknowledged it, when the connection ends, when there is none, or when ctx
// ends. It is called once, before the connection is given up at a stop.
func (f *Forwarder) Drain(ctx context.Context) {
	f.mu.Lock()
	s := f.current
	f.mu.Unlock()
	if s == nil {
		return
	}
	s.startDrain()
	select {
	case <-s.drained:
	case <-ctx.Done():
	}
}

// connection is one connection as the lanes see it.
type connection struct {
	f           *Forwarder
	link        Link
	gate        *gate
	pauses      pauses
	behind      atomic.Bool     // a backlog waits for the gate
	answer      time.Duration   // in which the link gives an outcome, whatever its state
	outstanding sync.WaitGroup  // messages whose outcome is not known
	owed        owed            // the same, with their times
	drain       context.Context // ended to send everything without lingering
	startDrain  context.CancelFunc
	drained     chan struct{} // closed when the fresh lane has done so, or has ended
}

// publish sends one message of lane with entries, in the place in the window
// that the caller has taken. t is nil unless it is a trial.
func (s *connection) publish(lane Lane, m Message, entries []Entry, t *trial) {
	size := len(m.Topic) + len(m.Payload) + len(m.ContentType)
	s.gate.charge(lane, size)
	positions := make([]Position, len(entries))
	var delays time.Duration
	now := time.Now()
	for i := range entries {
		positions[i] = entries[i].Position
		delays += now.Sub(entries[i].At)
	}
	n := len(entries)
	s.outstanding.Add(1)
	number := s.owed.sent(now)
	s.link.Publish(m, func(err error) {
		defer s.outstanding.Done()
		s.owed.came(number)
		s.settle(err, m.Topic, positions, t)
		if err == nil {
			s.f.sent.Add(1)
			s.f.bytes.Add(uint64(size))
			if lane == Fresh {
				s.f.delayed.Add(uint64(n))
				s.f.delay.Add(int64(delays + time.Duration(n)*time.Since(now)))
			}
		}
		s.gate.leave()
	})
}

// settle tells the queue what became of a message. The batches of a trial that
// was not taken stay with their lane.
func (s *connection) settle(err error, topic string, positions []Position, t *trial) {
	if t != nil {
		defer func() { t.outcome(err == nil || IsPermanent(err)) }()
	}
	switch {
	case err == nil:
		s.gate.accepted()
		s.pauses.accepted(topic)
		s.f.queue.Ack(positions...)
	case IsPermanent(err):
		s.f.bury("the cloud refuses a message for good, its batches are set aside as dead letters", err, positions)
	case IsTopicRefused(err):
		s.f.refused.Add(1)
		if pause := s.pauses.refused(topic); pause > 0 {
			s.f.log.Debug("topic refused, its batches wait", "topic", topic, "again", pause, "err", err)
		}
		if t == nil {
			s.f.queue.Release(positions...)
		}
	default:
		s.f.refused.Add(1)
		if pause := s.gate.refused(); pause > 0 {
			s.f.log.Debug("message not taken, trying again", "after", pause, "err", err)
		}
		if t == nil {
			s.f.queue.Release(positions...)
		}
	}
}

// Observe implements [Observable].
func (f *Forwarder) Observe(yield func(Metric)) {
	counter := func(name, help string, v float64) {
		yield(Metric{Name: name, Help: help, Kind: Counter, Value: v})
	}
	counter("fieldbridge_messages_total", "Messages acknowledged by the cloud.", float64(f.sent.Load()))
	counter("fieldbridge_message_bytes_total", "Bytes of topic, payload and content type of acknowledged messages.",
		float64(f.bytes.Load()))
	counter("fieldbridge_messages_refused_total", "Messages that were not acknowledged and are sent again.",
		float64(f.refused.Load()))
	counter("fieldbridge_batches_buried_total", "Batches set aside as dead letters.", float64(f.buried.Load()))
	counter("fieldbridge_delivery_delay_seconds_sum",
		"Time from acquisition to the cloud's acknowledgement, summed over fresh batches.",
		time.Duration(f.delay.Load()).Seconds())
	counter("fieldbridge_delivery_delay_seconds_count", "Fresh batches acknowledged.", float64(f.delayed.Load()))
	inFlight := 0
	f.mu.Lock()
	if f.current != nil {
		inFlight = f.current.gate.count()
	}
	f.mu.Unlock()
	yield(Metric{Name: "fieldbridge_messages_in_flight", Help: "Messages published and not yet acknowledged.",
		Kind: Gauge, Value: float64(inFlight)})
}

// lettersEvery is how often the log has a word of dead letters.
const lettersEvery = 10 * time.Second

// wordOf says when the log was last told of something that may come with every
// message.
type wordOf struct {
	mu      sync.Mutex
	last    time.Time // guarded by mu
	skipped int       // guarded by mu; since then
}

// due reports whether the log is to be told now, and how many times it was not since
// the last time.
func (w *wordOf) due(every time.Duration) (skipped int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if !w.last.IsZero() && now.Sub(w.last) < every {
		w.skipped++
		return 0, false
	}
	skipped, w.last, w.skipped = w.skipped, now, 0
	return skipped, true
}

// bury sets batches aside as dead letters. The log is told of one message in
// [lettersEvery]: each letter has its reason with it.
func (f *Forwarder) bury(what string, err error, positions []Position, args ...any) {
	f.buried.Add(uint64(len(positions)))
	if skipped, ok := f.letters.due(lettersEvery); ok {
		f.log.Error(what, append(args, "batches", len(positions), "others_since_last_line", skipped, "err", err)...)
	}
	f.queue.Bury(err.Error(), positions...)
}
