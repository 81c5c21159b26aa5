package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
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
	cfg     atomic.Pointer[Config] // changed by Apply alone
	log     *slog.Logger
	shelf   folder.Shelf // of the readings
	letters letters      // the dead ones
	run     string
	started time.Time // of the run, with a monotonic clock
	before  int64     // run time of the folder before this run, ms

	wake   chan struct{}    // one value: the keeper looks at alarm again
	asks   chan func()      // for the keeper to do
	stop   chan struct{}    // closed by Close
	ended  chan struct{}    // closed when the keeper has ended
	nudges [2]chan struct{} // one value per lane: there may be something to claim
	notice chan struct{}    // one value: there may be a new notice
	keep   keeper           // the keeper's own
	files  sync.Mutex       // guards the open files of segments but the writer's, and the readers below
	read   reading          // guarded by files

	mu         sync.Mutex // guards all below; never held over I/O
	closed     bool
	online     bool
	mem        *memory.Memory // what is not on disk, and who holds what
	books      books.Books    // the account
	full       bool           // and what is new is dropped
	rereadAt   int64          // when to try again what could not be read; 0: nothing
	alarm      int64          // when the keeper looks next, ns since started; 0: not set
	ackDue     int64          // when the record of acknowledgements is due; 0: it is up to date
	dead       []burial       // not yet on disk
	metaDue    bool           // meta is to be written
	noticeAt   int64          // when to tell of dead letters; 0: not
	conditions condition.List // what is wrong, with a lock of its own
	stats      stats
}

var (
	_ bridge.Queue       = (*Queue)(nil)
	_ bridge.Notices     = (*Queue)(nil)
	_ bridge.Observable  = (*Queue)(nil)
	_ condition.Reporter = (*Queue)(nil)
)

// Run returns the id of this run: 8 letters and digits.
func (q *Queue) Run() string { return q.run }

// now returns the time since the run began, in ns.
func (q *Queue) now() int64 { return int64(time.Since(q.started)) }

// uptime returns the run time of the folder, in ms.
func (q *Queue) uptime() int64 { return q.before + time.Since(q.started).Milliseconds() }

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
	q.mem.Push(b, safe, now)
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

// waitLocked returns how long a waiting sensor's batch waits for a commit.
func (q *Queue) waitLocked() time.Duration {
	if q.online {
		return waitOnline
	}
	return waitOffline
}

// alarmLocked makes the keeper look at time at or before.
func (q *Queue) alarmLocked(at int64) {
	at = max(at, 1)
	if q.alarm != 0 && q.alarm <= at {
		return
	}
	q.alarm = at
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) nudge(which bridge.Lane) {
	select {
	case q.nudges[which] <- struct{}{}:
	default:
	}
}

func (q *Queue) nudgeBoth() {
	q.nudge(bridge.Fresh)
	q.nudge(bridge.Backlog)
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

// doneOnDiskLocked accounts for a batch that is done, if it is on disk.
func (q *Queue) doneOnDiskLocked(p bridge.Position, n bridge.Count) {
	if p >= q.mem.Base() {
		return
	}
	if s := q.shelf.Of(p); s != nil {
		s.Done = s.Done.Add(n)
		if s.Done == s.Written && s != q.shelf.Segments[len(q.shelf.Segments)-1] {
			q.alarmLocked(q.now()) // it can be removed
		}
	}
	q.acksDueLocked()
}

// acksDueLocked makes a new record of acknowledgements due in a while.
func (q *Queue) acksDueLocked() {
	after := ackEvery
	if q.online && q.books.Ledger().Waiting.Batches > q.mem.Pending().Batches {
		after = ackEveryDraining
	}
	if due := q.now() + int64(after); q.ackDue == 0 || due < q.ackDue {
		q.ackDue = due
	}
	q.alarmLocked(q.ackDue)
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
	return q.ask(ctx, func() error { return q.tend(true) })
}

// ask lets the keeper do something.
func (q *Queue) ask(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	select {
	case q.asks <- func() { done <- do() }:
	case <-q.ended:
		return bridge.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close makes everything safe, closes the files and gives the folder back.
// Append refuses from its begin on. It returns what could not be made safe.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		<-q.ended
		return nil
	}
	q.closed = true
	q.mu.Unlock()
	close(q.stop)
	<-q.ended
	return q.keep.closed
}
