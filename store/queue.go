package store

import (
	"context"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/memory"
)

const (
	// A batch with a waiting sensor is committed this long after Append, so that
	// those of this time share a commit: while there is a connection the cloud's
	// acknowledgement mostly comes first.
	waitOnline  = 250 * time.Millisecond
	waitOffline = 20 * time.Millisecond

	// fullReadings and fullBatches are how much may wait in memory before it is
	// committed without regard to its age.
	fullReadings = 64 << 10
	fullBatches  = 32 << 10

	// Acknowledgements of batches on disk are recorded with the next commit, but
	// at the latest after this long.
	ackEvery         = 5 * time.Second
	ackEveryDraining = time.Second
)

// Queue is the durable queue of a gateway. It is safe for concurrent use. Create
// it with [Open], end it with [Queue.Close].
type Queue struct {
	*core
	keep *keeper
}

var (
	_ bridge.Queue       = (*Queue)(nil)
	_ bridge.Notices     = (*Queue)(nil)
	_ bridge.Observable  = (*Queue)(nil)
	_ condition.Reporter = (*Queue)(nil)
)

// Run returns the id of this run: 8 letters and digits.
func (q *Queue) Run() string { return q.run }

// Append implements [bridge.Queue].
func (q *Queue) Append(b bridge.Batch, safe func(error)) {
	now := q.now()
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		if safe != nil {
			safe(bridge.ErrClosed)
		}
		return
	}
	if q.refuseLocked(&b, safe) {
		q.mu.Unlock()
		if safe != nil {
			safe(bridge.ErrFull)
		}
		return
	}
	n := bridge.Count{Batches: 1, Readings: uint64(len(b.Readings))}
	q.mem.Push(&b, safe, now)
	q.books.Accept(n)
	due := now + int64(q.cfg.Load().CommitEvery)
	if safe != nil {
		due = min(due, now+int64(q.waitLocked()))
	}
	pending := q.mem.Pending()
	if pending.Readings >= fullReadings || pending.Batches >= fullBatches {
		due = now
	}
	q.alarmLocked(due)
	var shed []func(error)
	if memory.Cost(pending) > memoryMost {
		shed = q.shedLocked()
	}
	q.mu.Unlock()
	for _, safe := range shed {
		safe(bridge.ErrFull)
	}
	if q.cfg.Load().CommitEvery > 0 {
		q.nudge(bridge.Fresh)
	}
}

// Online implements [bridge.Queue].
func (q *Queue) Online() {
	q.mu.Lock()
	q.online = true
	q.books.SetMark(q.mem.End())
	q.mem.Rewind(q.books.Mark())
	q.mu.Unlock()
	q.nudgeBoth()
}

// Offline implements [bridge.Queue].
func (q *Queue) Offline() {
	q.mu.Lock()
	q.online = false
	q.mem.UnclaimAll()
	q.mem.Rewind(q.books.Mark())
	if q.mem.Waiters() > 0 {
		q.alarmLocked(q.now()) // they wait for less now
	}
	q.mu.Unlock()
	q.nudgeBoth()
}

// Ack implements [bridge.Queue].
func (q *Queue) Ack(positions ...bridge.Position) {
	var safes []func(error)
	q.mu.Lock()
	for _, p := range positions {
		if n, safe, ok := q.mem.Settle(p); ok {
			q.books.Ack(p, n)
			q.doneOnDiskLocked(p, n)
			if safe != nil {
				safes = append(safes, safe)
			}
		}
	}
	q.mem.Trim()
	q.mu.Unlock()
	for _, safe := range safes {
		safe(nil)
	}
}

// Release implements [bridge.Queue].
func (q *Queue) Release(positions ...bridge.Position) {
	q.mu.Lock()
	for _, p := range positions {
		if q.mem.Unclaim(p) {
			q.mem.Back(q.books.Lane(p), p)
		}
	}
	q.mu.Unlock()
	q.nudgeBoth()
}

// Skip implements [bridge.Queue].
func (q *Queue) Skip(positions ...bridge.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range positions {
		q.mem.Unclaim(p)
	}
}

// Bury implements [bridge.Queue]. It does not wait for the disk; a sensor that
// waits is told when the dead letter is on it.
func (q *Queue) Bury(cause string, positions ...bridge.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range positions {
		b := burial{position: p, cause: cause}
		at := int64(0)
		if batch := q.mem.Batch(p); batch != nil {
			b.batch, b.inMemory = *batch, true
			at = batch.At.UnixMilli()
		}
		n, safe, ok := q.mem.Settle(p)
		if !ok {
			continue
		}
		b.safe, b.count, b.counted = safe, n, !b.inMemory
		q.dead = append(q.dead, b)
		q.books.Bury(p, n, at)
		q.doneOnDiskLocked(p, n)
		q.alarmLocked(q.now())
	}
	q.postLocked()
	q.mem.Trim()
}

// Ledger implements [bridge.Queue].
func (q *Queue) Ledger() bridge.Ledger {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.books.Ledger()
}

// Commit makes everything appended so far safe, now, and records what is
// acknowledged. It is for a power supply that fails and for a stop.
func (q *Queue) Commit(ctx context.Context) error {
	return q.keep.ask(ctx, func() error { return q.keep.tend(true) })
}

// Close makes everything safe, closes the files and gives the folder back.
// Append refuses from its begin on. It returns what could not be made safe.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		<-q.keep.ended
		return nil
	}
	q.closed = true
	q.mu.Unlock()
	close(q.stop)
	<-q.keep.ended
	return q.keep.result
}
