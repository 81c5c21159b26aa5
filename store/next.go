package store

import (
	"context"

	"fieldbridge/bridge"
	"fieldbridge/store/segment"
)

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
			return entries, nil
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
	suspect, last := s.Suspect, s.Last
	q.mu.Unlock()
	if suspect != nil {
		return false
	}
	entries, h, err := q.readBlock(s, p)
	if err == nil && h == nil || err == nil && h.First > last {
		err = segment.Damaged("batch %d to %d should be in it", p, last)
	}
	if err != nil {
		q.unreadable(s, err)
		return false
	}
	q.mu.Lock()
	q.mem.Load(which, p, h.Last+1, entries)
	q.mu.Unlock()
	return true
}
