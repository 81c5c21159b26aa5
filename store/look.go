package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/books"
	"fieldbridge/store/figures"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// Status returns how the queue is doing.
func (q *Queue) Status() figures.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := figures.Status{Dir: q.shelf.Dir, Run: q.run, Ledger: q.books.Ledger(),
		Backlog: q.books.Backlog(), Fresh: q.books.Fresh(), Memory: q.mem.Pending(),
		MaxSize: int64(q.cfg.Load().MaxSize), Segments: len(q.shelf.Segments),
		Commits: q.stats.Commits, Syncs: q.stats.Syncs, Written: q.stats.Bytes,
		Flash: q.spendingLocked()}
	s.PowerCut = max(q.cfg.Load().CommitWithin(q.online), q.flash.Pace())
	if q.hurried {
		s.PowerCut = terms.Hurry
	}
	e := q.shelf.Extent(q.books.Done)
	s.Bytes, s.Oldest, s.Newest, s.FullIn = e.Bytes, e.Waiting, e.Newest, e.FullIn(s.MaxSize)
	return s
}

// Observe implements [bridge.Observable]. All values are of one instant.
func (q *Queue) Observe(yield func(bridge.Metric)) {
	q.mu.Lock()
	f := figures.Figures{Ledger: q.books.Ledger(), Backlog: q.books.Backlog(), Memory: q.mem.Pending(),
		Segments: len(q.shelf.Segments), Journal: q.journal.Size(), For: time.Since(q.started), Stats: q.stats,
		Writable: !q.conditions.Has(condition.QueueUnwritable, subject)}
	f.Bytes = q.shelf.Extent(nil).Bytes
	q.mu.Unlock()
	f.Observe(yield)
}

// Inspect returns what is in the queue without reading its blocks.
func (q *Queue) Inspect() folder.Report {
	size := folder.Size(q.shelf.Dir)
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.books.Ledger()
	r := folder.Report{Dir: q.shelf.Dir, Bytes: size, Waiting: l.Waiting, Dead: l.Dead,
		MaxSize: int64(q.cfg.Load().MaxSize)}
	r.Fill(q.shelf.Segments, &q.books.Index, q.uptime(), q.origins)
	return r
}

// Purge drops everything that waits and is not in flight, and returns how much
// that was.
func (q *Queue) Purge(ctx context.Context) (n bridge.Count, err error) {
	err = q.keep.ask(ctx, func() error {
		before := q.Ledger().Dropped
		failed := q.keep.tend(true)
		for s := q.keep.oldestIdle(); s != nil; s = q.keep.oldestIdle() {
			q.keep.dropSegment(s, books.Purged)
		}
		n = q.Ledger().Dropped.Sub(before)
		q.nudgeBoth()
		return failed
	})
	return n, err
}

// Verify reads every block of every segment, every dead letter, and what can
// still be read of the files in quarantine, and calls found with each file. A
// running queue repairs what is damaged.
func (q *Queue) Verify(ctx context.Context, found func(folder.Verified)) error {
	if err := q.running().Verify(ctx, found); err != nil {
		return err
	}
	if err := q.keep.ask(ctx, func() error { return q.keep.letters.verify(found) }); err != nil {
		return err
	}
	return folder.VerifyQuarantine(ctx, q.shelf.Dir, found)
}

// Entries calls visit with the waiting batches on disk, the oldest first, a
// block at a time; commit before, to have all. It claims nothing and does not
// disturb delivery.
func (q *Queue) Entries(
	ctx context.Context, f folder.Filter, visit func([]bridge.Entry) error,
) (folder.Exported, error) {
	x := folder.Exported{Run: q.run}
	err := q.running().Entries(ctx, f, &x, visit)
	return x, err
}

// ErrRestarted is why [Queue.Forget] refuses what was exported before the
// gateway was started: what is done of it is not known for sure any more.
var ErrRestarted = errors.New("the gateway was started or stopped since the export: nothing is forgotten, " +
	"export once more")

// Forget makes batches done that were exported with the same filter, instead of
// being sent: dropped, with a tombstone that says forgotten. What the cloud got
// meanwhile or is about to get is left to it, and so is everything that was not
// exported, even if the filter allows it. It returns how much is forgotten.
func (q *Queue) Forget(ctx context.Context, f folder.Filter, x folder.Exported) (bridge.Count, error) {
	var n bridge.Count
	if x.Run != q.run && x.Run != "" {
		return n, ErrRestarted
	}
	for _, r := range x.Ranges {
		err := q.running().Each(ctx, r.From, r.To, &folder.Exported{}, func(entries []bridge.Entry) error {
			n = n.Add(q.forgetEntries(slices.DeleteFunc(entries, func(e bridge.Entry) bool {
				return !f.Allows(&e) || !x.Has(e.Position)
			})))
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// forgetEntries makes batches on disk done that were exported instead of sent,
// and returns how many.
func (q *Queue) forgetEntries(entries []bridge.Entry) (n bridge.Count) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var gaps books.Spans
	var since, until int64
	for i := range entries {
		e := &entries[i]
		if q.mem.Claimed(e.Position) || q.books.Done.Has(e.Position) {
			continue
		}
		one := bridge.Count{Batches: 1, Readings: uint64(len(e.Readings))}
		n = n.Add(one)
		gaps.Add(e.Position, e.Position+1)
		q.doneOnDiskLocked(e.Position, one)
		since, until = books.Earliest(since, e.At.UnixMilli()), max(until, e.At.UnixMilli())
	}
	q.dropLocked(gaps, n, books.Forgotten, since, until)
	return n
}

// Dead calls visit with the dead letters on disk, the oldest first.
func (q *Queue) Dead(ctx context.Context, visit func(folder.DeadLetter) error) error {
	return q.keep.ask(ctx, func() error {
		if err := q.keep.letters.turnOver(true); err != nil {
			return err
		}
		for p := q.keep.letters.from; ; {
			_, next, err := q.keep.letters.readLetters(p, func(l folder.DeadLetter) (bool, error) {
				l.Origin = q.origins.Origin(l.Run, l.Seq)
				return true, visit(l)
			})
			if err != nil || next == 0 {
				return err
			}
			p = next
		}
	})
}

// RetryDead queues the dead letters once more, as batches of this run. It
// returns how many there were.
func (q *Queue) RetryDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, q.keep.letters.retrySome)
}

// PurgeDead drops the dead letters, and returns how many there were.
func (q *Queue) PurgeDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, func() (bridge.Count, error) { return q.keep.letters.dropLetters(books.Purged) })
}

// emptyDead takes the dead letters out, some at a time.
func (q *Queue) emptyDead(ctx context.Context, take func() (bridge.Count, error)) (total bridge.Count, err error) {
	for {
		var n bridge.Count
		err := q.keep.ask(ctx, func() (err error) {
			// The batches that they were are recorded as done first: nothing says so
			// any more when they are gone.
			if err = errors.Join(q.keep.letters.turnOver(true), q.keep.letters.bury(), q.keep.record(true)); err == nil {
				n, err = take()
			}
			return err
		})
		total = total.Add(n)
		if err != nil || n.Batches == 0 {
			q.nudgeBoth()
			return total, err
		}
	}
}
