package store

import (
	"context"
	"errors"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
	"fieldbridge/store/terms"
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

// Holds reports whether nobody else has taken the folder since it vanished.
func (q *Queue) Holds() bool { return !q.keep.foreign.Load() }

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
	p := q.mem.End()
	q.mem.Push(&b, safe, now, q.journal.Note(p, q.mem.Seq(p), now/1e6, 0, &b))
	q.books.Accept(n)
	q.held += int(b.Held)
	due, _ := q.commitDueLocked()
	q.alarmLocked(due)
	var shed []func(error)
	if q.mem.Cost() > uint64(q.cfg.Load().MemoryMost()) {
		shed = q.shedLocked()
	}
	q.mu.Unlock()
	for _, safe := range shed {
		safe(bridge.ErrFull)
	}
	if q.cfg.Load().CommitEvery != 0 {
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
	if q.mem.Pending().Batches > 0 {
		q.alarmLocked(q.now()) // what waits is due earlier now
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
			q.journal.Done(p, p+1)
			q.doneOnDiskLocked(p, n)
			if safe != nil {
				safes = append(safes, safe)
			}
		}
	}
	q.trimLocked()
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
		batch, n, safe, ok := q.mem.Bury(p)
		if !ok {
			continue
		}
		b, at := folder.Burial{Position: p, Cause: cause, Safe: safe, Count: n, Counted: batch == nil}, int64(0)
		if batch != nil {
			b.Batch, b.InMemory, at = *batch, true, batch.At.UnixMilli()
		}
		q.dead = append(q.dead, b)
		q.books.Bury(p, n, at)
		q.doneOnDiskLocked(p, n)
		q.alarmLocked(q.now())
	}
	q.postLocked()
	q.trimLocked()
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

// Hurry says whether the power fails. While it does, whatever comes is on disk at once,
// whatever commit_every and flash_budget say.
func (q *Queue) Hurry(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hurried = on
	q.alarmLocked(q.now())
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

// Apply makes cfg what holds from now on, as if the queue had been opened with
// it: a shorter commit_every commits at once what is older, and limits that are
// below what the queue takes are reached with the next commit, by when_full.
// The folder stays: a cfg that names another one is an error and changes
// nothing. Other labels are those of what is appended from now on.
func (q *Queue) Apply(cfg terms.Config) error {
	if was := q.cfg.Load(); cfg.Dir != was.Dir || cfg.Journal != was.Journal {
		return errors.New("the folders of the queue and of its journal change only with a restart")
	}
	q.cfg.Store(&cfg)
	q.mu.Lock()
	q.origins.Change(q.run, q.mem.Seq(q.mem.End()), cfg.Origin)
	q.flash.Set(cfg.FlashBudget.Bytes, cfg.FlashBudget.In())
	q.alarmLocked(q.now())
	q.mu.Unlock()
	q.nudgeBoth() // without commit_every 0s more may be claimed
	return nil
}

// Runs implements [bridge.Notices].
func (q *Queue) Runs() []bridge.RunRecord {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.origins.Records(q.books.RunRecords())
}

// AckRuns implements [bridge.Notices].
func (q *Queue) AckRuns(runs ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.books.AckRuns(runs...)
	q.postLocked()
}

// Tombstones implements [bridge.Notices].
func (q *Queue) Tombstones() []bridge.Tombstone {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.postLocked()
	return q.origins.Stones(q.books.Tombstones())
}

// AckTombstones implements [bridge.Notices].
func (q *Queue) AckTombstones(ids ...uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.books.AckTombstones(ids...); q.news {
		q.ackDue = 1 // before they are gone
	}
	q.postLocked()
}

// Noticed implements [bridge.Notices].
func (q *Queue) Noticed() <-chan struct{} { return q.notice }

// Next implements [bridge.Queue].
func (q *Queue) Next(ctx context.Context, which bridge.Lane, max int) ([]bridge.Entry, error) {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil, bridge.ErrClosed
		}
		entries, missing := q.claimLocked(which, max)
		q.mu.Unlock()
		if len(entries) > 0 {
			q.nudge(which) // for another one who waits
			return q.origins.Sign(entries), nil
		}
		if missing != 0 && q.load(which, missing) {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.stop:
		case <-q.nudges[which]:
		}
	}
}

// claimLocked claims up to max batches. When the next one is on disk and not in
// the lane's block, it returns what it has, and if that is nothing its position.
func (q *Queue) claimLocked(which bridge.Lane, max int) (entries []bridge.Entry, missing bridge.Position) {
	limit := q.books.Mark()
	if which == bridge.Fresh {
		limit = q.mem.End()
	}
	if q.cfg.Load().CommitEvery == 0 {
		limit = min(limit, q.mem.Base()) // only what is committed
	}
	return q.mem.Claim(which, max, limit, q.books.Done)
}

// load reads the block with the first batch on disk from p on into a lane. It
// reports false when the lane must wait until a segment has been repaired.
func (q *Queue) load(which bridge.Lane, p bridge.Position) bool {
	q.files.Lock()
	defer q.files.Unlock()
	q.mu.Lock()
	s := q.shelf.From(p)
	if s == nil {
		// Nothing on disk from here on.
		q.mem.Load(which, p, q.mem.Base(), nil)
		q.mu.Unlock()
		return true
	}
	suspect, first, last, thinned := s.Suspect, s.First, s.Last, s.Thinned > 0
	q.mu.Unlock()
	if suspect != nil {
		return false
	}
	entries, h, err := q.read.Read(s, p, q.segmentSize(&q.shelf))
	if err == nil && h == nil || err == nil && h.First > last {
		err = segment.Damaged("batch %d to %d should be in it", p, last)
	}
	if err != nil {
		q.unreadable(s, err)
		return false
	}
	q.mu.Lock()
	if thinned {
		q.books.Absent(max(p, first), h.Last+1, entries)
	}
	q.mem.Load(which, p, h.Last+1, entries)
	q.mu.Unlock()
	return true
}

// CountWith has what else writes to the disk of the queue count in store.flash_budget:
// written returns how many bytes since the start, and does not wait.
func (q *Queue) CountWith(written func() uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.beside = written
}

// LookWith has the queue tell as a condition where its folder lies, by look: now, when
// the folder is made anew, and when writing begins to fail.
func (q *Queue) LookWith(look func(dir string) disk.Place) {
	select {
	case q.keep.asks <- func() { q.keep.look = look; q.keep.tellPlace() }:
	case <-q.keep.ended:
	}
}

// Health implements [condition.Reporter].
func (q *Queue) Health() []condition.Condition {
	all := q.conditions.Health()
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := q.books.Ledger().Dead.Batches; n > 0 {
		all = append(all, condition.DeadLetters.At(subject, q.started, n))
	}
	if n, name := q.origins.Waiting(q.books.Index.Runs, q.books.Done); n > 0 {
		all = append(all, condition.QueueOfAnother.At(subject, q.started, n, name))
	}
	return all
}
