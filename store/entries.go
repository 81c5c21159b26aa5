package store

import (
	"context"
	"errors"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
)

// Entries calls visit with the waiting batches on disk, the oldest first, a
// block at a time; commit before, to have all. It claims nothing and does not
// disturb delivery.
func (q *Queue) Entries(ctx context.Context, f folder.Filter, visit func([]bridge.Entry) error) (folder.Exported, error) {
	x := folder.Exported{Run: q.run}
	err := q.eachBlock(ctx, 1, block.MaxPosition, &x, func(entries []bridge.Entry) error {
		entries = slices.DeleteFunc(entries, func(e bridge.Entry) bool { return !f.Allows(&e) })
		if len(entries) == 0 {
			return nil
		}
		return visit(entries)
	})
	return x, err
}

// ErrRestarted is why [Queue.Forget] refuses what was exported before the
// gateway was started: what is done of it is not known for sure any more.
var ErrRestarted = errors.New("the gateway was started or stopped since the export: nothing is forgotten, export once more")

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
		err := q.eachBlock(ctx, r.From, r.To, &folder.Exported{}, func(entries []bridge.Entry) error {
			n = n.Add(q.forgetEntries(slices.DeleteFunc(entries, func(e bridge.Entry) bool { return !f.Allows(&e) || !x.Has(e.Position) })))
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// eachBlock calls visit with the waiting batches of each block on disk that has
// some of from <= p < to, and notes in x what it has read.
func (q *Queue) eachBlock(ctx context.Context, from, to bridge.Position, x *folder.Exported, visit func([]bridge.Entry) error) error {
	var decoder block.Decoder
	for p := from; p < to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, next, err := q.readForExport(p, &decoder)
		if err != nil {
			x.Unread++
			if p = next; next == 0 {
				return nil
			}
			continue
		}
		if next == 0 {
			return nil
		}
		if err := visit(entries); err != nil {
			return err
		}
		x.Add(p, next)
		p = next
	}
	return nil
}

// readForExport reads the waiting batches of the first block at or after p, and
// returns where to go on; 0 at the end.
func (q *Queue) readForExport(p bridge.Position, d *block.Decoder) ([]bridge.Entry, bridge.Position, error) {
	q.files.Lock()
	defer q.files.Unlock()
	q.mu.Lock()
	p = q.books.Done.Next(p)
	s := q.shelf.From(p)
	var last bridge.Position
	if s != nil {
		last = s.Last
	}
	q.mu.Unlock()
	if s == nil {
		return nil, 0, nil
	}
	entries, h, err := q.readBlock(s, p)
	if err != nil {
		q.unreadable(s, err)
		return nil, last + 1, err // it is repaired, or reported by Verify
	}
	if h == nil {
		return nil, last + 1, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.DeleteFunc(entries, func(e bridge.Entry) bool { return q.books.Done.Has(e.Position) }), h.Last + 1, nil
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
