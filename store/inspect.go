package store

import (
	"context"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
)

// Inspect returns what is in the queue without reading its blocks.
func (q *Queue) Inspect() folder.Report {
	size := folder.Size(q.shelf.Dir)
	q.mu.Lock()
	defer q.mu.Unlock()
	r := folder.Report{Dir: q.shelf.Dir, Bytes: size, Waiting: q.books.Ledger().Waiting, Dead: q.books.Ledger().Dead, MaxSize: int64(q.cfg.Load().MaxSize)}
	r.Fill(q.shelf.Segments, &q.books.Index, q.uptime())
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
