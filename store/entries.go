package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
)

// Filter says which batches [Queue.Entries] gives. Zero fields allow all.
type Filter struct {
	Since, Until time.Time // acquisition, Since <= at < Until
	Device       string
}

func (f *Filter) allows(e *bridge.Entry) bool {
	return (f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until)) &&
		(f.Device == "" || e.Device == f.Device)
}

// Exported says what [Queue.Entries] has given: all batches in its ranges that
// the filter allows and that waited then.
type Exported struct {
	Run    string  `json:"run"` // of the gateway, empty of a stopped one
	Ranges []Range `json:"ranges"`
	// Unread are segments of which something could not be read: what they have
	// is not in the ranges.
	Unread int `json:"unread,omitempty"`
}

// Range is the positions From <= p < To.
type Range struct {
	From bridge.Position `json:"from"`
	To   bridge.Position `json:"to"`
}

// add notes that all from from on, below to, was given.
func (x *Exported) add(from, to bridge.Position) {
	if n := len(x.Ranges); n > 0 && x.Ranges[n-1].To == from {
		x.Ranges[n-1].To = to
		return
	}
	x.Ranges = append(x.Ranges, Range{from, to})
}

func (x *Exported) has(p bridge.Position) bool {
	return slices.ContainsFunc(x.Ranges, func(r Range) bool { return r.From <= p && p < r.To })
}

// Entries calls visit with the waiting batches on disk, the oldest first, a
// block at a time; commit before, to have all. It claims nothing and does not
// disturb delivery.
func (q *Queue) Entries(ctx context.Context, f Filter, visit func([]bridge.Entry) error) (Exported, error) {
	x := Exported{Run: q.run}
	err := q.eachBlock(ctx, 1, block.MaxPosition, &x, func(entries []bridge.Entry) error {
		entries = slices.DeleteFunc(entries, func(e bridge.Entry) bool { return !f.allows(&e) })
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
func (q *Queue) Forget(ctx context.Context, f Filter, x Exported) (bridge.Count, error) {
	var n bridge.Count
	if x.Run != q.run && x.Run != "" {
		return n, ErrRestarted
	}
	for _, r := range x.Ranges {
		err := q.eachBlock(ctx, r.From, r.To, &Exported{}, func(entries []bridge.Entry) error {
			n = n.Add(q.forgetEntries(slices.DeleteFunc(entries, func(e bridge.Entry) bool { return !f.allows(&e) || !x.has(e.Position) })))
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
func (q *Queue) eachBlock(ctx context.Context, from, to bridge.Position, x *Exported, visit func([]bridge.Entry) error) error {
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
		x.add(p, next)
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
	s := q.shelf.from(p)
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
