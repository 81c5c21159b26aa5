package bridgetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"fieldbridge/bridge"
)

// Queue is a model of the queue in memory: short enough to be seen to be right.
// It commits when [Queue.Commit] is called and never by itself. It is safe for
// concurrent use.
type Queue struct {
	mu      sync.Mutex
	run     string
	base    bridge.Position // position = base + seq, for batches of this run
	items   []item          // by position, which has gaps only between runs
	next    bridge.Position
	mark    bridge.Position // below is backlog
	from    [2]int          // index in items below which a lane has nothing waiting
	changed chan struct{}   // closed and replaced at each change
	closed  bool
	ledger  bridge.Ledger
	runs    []bridge.RunRecord
	stones  []bridge.Tombstone
	noticed chan struct{}
	durable image // what a crash leaves
}

type itemState uint8

const (
	waiting itemState = iota
	claimed
	done
	dead
)

type item struct {
	bridge.Entry
	state     itemState
	committed bool
	named     bool // as a dead letter
	safe      func(error)
}

// image is what is on the model's disk.
type image struct {
	items []item
	runs  []bridge.RunRecord
	last  uint64 // the last seq known durable or acknowledged
}

// NewQueue returns an empty model queue, whose run is called "run-1".
func NewQueue() *Queue {
	q := &Queue{changed: make(chan struct{}), noticed: make(chan struct{}, 1)}
	q.begin(1, "", 0)
	return q
}

func (q *Queue) begin(n int, previous string, last uint64) {
	q.run = fmt.Sprintf("run-%d", n)
	if len(q.items) > 0 {
		q.base = q.items[len(q.items)-1].Position
	}
	q.next = q.base + 1
	q.mark = q.next
	q.runs = append(q.runs, bridge.RunRecord{Run: q.run, Started: time.Now(), Previous: previous, PreviousLast: last})
	q.durable.runs = slices.Clone(q.runs)
	q.noticed <- struct{}{}
}

// Run returns the id of the run.
func (q *Queue) Run() string { return q.run }

// Append implements [bridge.Queue].
func (q *Queue) Append(b bridge.Batch, safe func(error)) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		if safe != nil {
			safe(bridge.ErrClosed)
		}
		return
	}
	defer q.mu.Unlock()
	q.items = append(q.items, item{safe: safe, Entry: bridge.Entry{
		Batch: b, Position: q.next, Run: q.run, Seq: uint64(q.next - q.base), Waiting: safe != nil}})
	q.next++
	q.ledger.Accepted = q.ledger.Accepted.Add(countOf(b))
	q.ledger.Waiting = q.ledger.Waiting.Add(countOf(b))
	q.changedLocked()
}

func countOf(b bridge.Batch) bridge.Count {
	return bridge.Count{Batches: 1, Readings: uint64(len(b.Readings))}
}

func (q *Queue) changedLocked() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Online implements [bridge.Queue].
func (q *Queue) Online() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mark = q.next
	q.from = [2]int{}
	q.changedLocked()
}

// Offline implements [bridge.Queue].
func (q *Queue) Offline() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.items {
		if q.items[i].state == claimed {
			q.items[i].state = waiting
		}
	}
	q.from = [2]int{}
	q.changedLocked()
}

// Next implements [bridge.Queue].
func (q *Queue) Next(ctx context.Context, lane bridge.Lane, max int) ([]bridge.Entry, error) {
	for {
		q.mu.Lock()
		entries, closed, changed := q.claimLocked(lane, max), q.closed, q.changed
		q.mu.Unlock()
		switch {
		case closed:
			return nil, bridge.ErrClosed
		case len(entries) > 0:
			return entries, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func (q *Queue) claimLocked(lane bridge.Lane, max int) (entries []bridge.Entry) {
	if q.closed {
		return nil
	}
	i := q.from[lane]
	for ; i < len(q.items) && len(entries) < max; i++ {
		it := &q.items[i]
		if it.state != waiting || (it.Position < q.mark) != (lane == bridge.Backlog) {
			continue
		}
		it.state = claimed
		e := it.Entry
		e.Backlog = lane == bridge.Backlog
		entries = append(entries, e)
	}
	q.from[lane] = i
	return entries
}

// claimedLocked returns the item at position p if it is claimed.
func (q *Queue) claimedLocked(p bridge.Position) (int, *item) {
	i, ok := slices.BinarySearchFunc(q.items, p, func(it item, p bridge.Position) int {
		return int(int64(it.Position) - int64(p))
	})
	if !ok || q.items[i].state != claimed {
		return 0, nil
	}
	return i, &q.items[i]
}

// Ack implements [bridge.Queue].
func (q *Queue) Ack(positions ...bridge.Position) {
	q.settle(positions, done, func(c bridge.Count) { q.ledger.Acked = q.ledger.Acked.Add(c) })
}

// Bury implements [bridge.Queue]. The model calls it safe at once.
func (q *Queue) Bury(_ string, positions ...bridge.Position) {
	q.settle(positions, dead, func(c bridge.Count) { q.ledger.Dead = q.ledger.Dead.Add(c) })
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range positions {
		i, found := slices.BinarySearchFunc(q.items, p, func(it item, p bridge.Position) int {
			return cmp.Compare(it.Position, p)
		})
		if found && q.items[i].state == dead && !q.items[i].named {
			q.items[i].named = true
			q.nameDeadLocked(&q.items[i].Entry)
		}
	}
}

func (q *Queue) settle(positions []bridge.Position, to itemState, count func(bridge.Count)) {
	var safes []func(error)
	q.mu.Lock()
	for _, p := range positions {
		if _, it := q.claimedLocked(p); it != nil {
			it.state = to
			c := countOf(it.Batch)
			q.ledger.Waiting = q.ledger.Waiting.Sub(c)
			count(c)
			if it.safe != nil {
				safes = append(safes, it.safe)
				it.safe = nil
			}
			it.Readings = slices.Clip(it.Readings)
		}
	}
	q.mu.Unlock()
	for _, safe := range safes {
		safe(nil)
	}
}

// Release implements [bridge.Queue].
func (q *Queue) Release(positions ...bridge.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range positions {
		if i, it := q.claimedLocked(p); it != nil {
			it.state = waiting
			for l := range q.from {
				q.from[l] = min(q.from[l], i)
			}
		}
	}
	q.changedLocked()
}

// Skip implements [bridge.Queue].
func (q *Queue) Skip(positions ...bridge.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range positions {
		if _, it := q.claimedLocked(p); it != nil {
			it.state = waiting
		}
	}
}

// Ledger implements [bridge.Queue].
func (q *Queue) Ledger() bridge.Ledger {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ledger
}

// Commit makes everything safe.
func (q *Queue) Commit(context.Context) error {
	var safes []func(error)
	q.mu.Lock()
	for i := range q.items {
		it := &q.items[i]
		it.committed = true
		it.Waiting = false
		if it.safe != nil {
			safes = append(safes, it.safe)
			it.safe = nil
		}
	}
	q.durable = image{items: slices.Clone(q.items), runs: slices.Clone(q.runs), last: uint64(q.next - q.base - 1)}
	q.mu.Unlock()
	for _, safe := range safes {
		safe(nil)
	}
	return nil
}

// Close commits and closes the queue.
func (q *Queue) Close() error {
	err := q.Commit(context.Background())
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changedLocked()
	return err
}

// Restart returns the queue as the next start finds it, with what was committed
// last. Close it before for a clean restart; otherwise it is a crash.
func (q *Queue) Restart() *Queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changedLocked()
	n := &Queue{changed: make(chan struct{}), noticed: make(chan struct{}, 1), runs: slices.Clone(q.durable.runs)}
	for _, it := range q.durable.items {
		if it.state == claimed {
			it.state = waiting
		}
		it.safe = nil
		n.items = append(n.items, it)
		switch it.state {
		case waiting:
			n.ledger.Waiting = n.ledger.Waiting.Add(countOf(it.Batch))
		case dead:
			n.ledger.Dead = n.ledger.Dead.Add(countOf(it.Batch))
		}
	}
	n.durable.items = slices.Clone(n.items)
	n.ledger.Restored = n.ledger.Waiting.Add(n.ledger.Dead)
	var number int
	_, _ = fmt.Sscanf(q.run, "run-%d", &number)
	n.begin(number+1, q.run, q.durable.last)
	return n
}
