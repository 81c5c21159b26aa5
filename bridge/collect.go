package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Collector takes what sources emit to the queue. On the way it
//
//   - delivers a bad reading when its reason changes and every [BadHeartbeat],
//     not each time, and good ones as the point's [Delivery] says;
//   - marks batches acquired while the wall clock is not known to be right;
//   - splits a batch that would not fit in one message.
//
// It is safe for concurrent use.
type Collector struct {
	queue  Intake
	format Measure
	synced func() bool
	log    *slog.Logger

	filter  *filter
	passage Passage // of who emits; may be nil

	scratch sync.Pool // of *Batch, see measure
}

// NewCollector returns a collector that appends to queue batches that fit
// format. The points' deliveries are in catalogue. synced reports whether the
// wall clock is known to be right.
func NewCollector(queue Intake, format Measure, catalogue *Catalogue, synced func() bool, log *slog.Logger) *Collector {
	return &Collector{queue: queue, format: format, synced: synced, log: log, filter: newFilter(catalogue)}
}

// SendAll makes the next reading of each point be delivered although it is
// unchanged. It is called when a connection begins, so that who listens there
// has everything.
func (c *Collector) SendAll() { c.filter.sendAll() }

// Watched has each Emit tell p. It is called before anything is emitted.
func (c *Collector) Watched(p Passage) { c.passage = p }

// Run runs the sources until ctx ends. A source that returns before is a
// mistake in it: it is logged and started again after restartDelay, so that one
// adapter cannot stop another.
func (c *Collector) Run(ctx context.Context, sources ...Source) {
	var wg sync.WaitGroup
	for _, s := range sources {
		wg.Go(func() {
			for {
				err := s.Run(ctx, c.Emit)
				if ctx.Err() != nil {
					return
				}
				if err == nil {
					err = errors.New("it returned while it should run")
				}
				c.log.Error("source stopped, starting it again", "err", err, "after", restartDelay)
				select {
				case <-ctx.Done():
					return
				case <-time.After(restartDelay):
				}
			}
		})
	}
	wg.Wait()
}

const restartDelay = 5 * time.Second

// Emit is the collector's [Emit].
func (c *Collector) Emit(b Batch, safe func(error)) {
	if c.passage != nil {
		defer c.passage.Leave(c.passage.Enter())
	}
	b.Readings = c.filter.apply(&b)
	if len(b.Readings) == 0 {
		if safe != nil {
			safe(nil) // nothing to keep: as safe as it gets
		}
		return
	}
	b.Unsynced, b.Whole = !c.synced(), false
	n := c.measure(&b)
	if n >= len(b.Readings) {
		c.queue.Append(b, safe)
		return
	}
	c.split(b, n, safe)
}

// measure says how many readings of b fit in one message, and sets the size of b. The
// format sees a copy, which is used again: else each batch would be a piece of the heap.
func (c *Collector) measure(b *Batch) int {
	m, _ := c.scratch.Get().(*Batch)
	if m == nil {
		m = new(Batch)
	}
	*m = *b
	n, size := c.format.Fit(m)
	*m = Batch{}
	c.scratch.Put(m)
	b.Size = int32(size)
	return n
}

// split appends b in parts, the first of n readings, which was measured. safe is
// called when all parts are safe, with the first error if there was one.
func (c *Collector) split(b Batch, n int, safe func(error)) {
	parts := make([]Batch, 0, len(b.Readings)/n+1)
	rest := b
	for {
		part := rest
		part.Readings = rest.Readings[:n:n]
		parts = append(parts, part)
		rest.Readings = rest.Readings[n:]
		if len(rest.Readings) == 0 {
			break
		}
		n = c.measure(&rest)
	}
	each := JoinSafe(len(parts), safe)
	for _, p := range parts {
		c.queue.Append(p, each)
	}
}

// JoinSafe returns what to give as safe to each of n batches that come of one
// message: it calls safe when all of them have, with the first error if there was
// one. Without a safe it returns none. The result is safe for concurrent use.
func JoinSafe(n int, safe func(error)) func(error) {
	if safe == nil {
		return nil
	}
	var mu sync.Mutex
	var first error
	return func(err error) {
		mu.Lock()
		n--
		if first == nil {
			first = err
		}
		last, result := n == 0, first
		mu.Unlock()
		if last {
			safe(result)
		}
	}
}

// Observe implements [Observable].
func (c *Collector) Observe(yield func(Metric)) {
	repeats, unchanged, bad := c.filter.counts()
	yield(Metric{Name: "fieldbridge_points_bad", Kind: Gauge, Value: float64(bad),
		Help: "Points whose last reading was bad."})
	yield(Metric{Name: "fieldbridge_bad_repeats_total", Kind: Counter, Value: float64(repeats),
		Help: "Bad readings held back because they had been delivered already."})
	yield(Metric{Name: "fieldbridge_unchanged_total", Kind: Counter, Value: float64(unchanged),
		Help: "Good readings held back because they had not changed."})
}
