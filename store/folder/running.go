package folder

import (
	"context"
	"path/filepath"
	"slices"
	"sync"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/origins"
	"fieldbridge/store/segment"
)

// Running reads the segments of a queue that runs: beside who writes, and who delivers.
type Running struct {
	Files      sync.Locker // guards the open files, held while a block is read; Mu is taken under it
	Mu         sync.Locker // guards the shelf and the books
	Shelf      *Shelf
	Books      *books.Books
	Blocks     *Blocks
	Origins    *origins.Book
	Size       int64                // how large a segment grows, in bytes
	Unreadable func(*Stored, error) // called with what cannot be read
}

// Verify reads every block of every segment, and calls found with each file.
func (r *Running) Verify(ctx context.Context, found func(Verified)) error {
	for p := bridge.Position(1); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Mu.Lock()
		s := r.Shelf.From(p)
		var last bridge.Position
		v := Verified{}
		if s != nil {
			last = s.Last
			v.File, v.Bytes, v.Count = filepath.Base(s.Path), s.Bytes, s.Written
		}
		r.Mu.Unlock()
		if s == nil {
			return nil
		}
		if v.Damage = r.verify(s); v.Damage != nil {
			v.Count = bridge.Count{}
			r.Unreadable(s, v.Damage)
		}
		found(v)
		p = max(p, last) + 1
	}
}

func (r *Running) verify(s *Stored) error {
	r.Files.Lock()
	defer r.Files.Unlock()
	if s.File == nil {
		s.Verified = false
		return r.Blocks.Open(s, r.Size) // which verifies
	}
	return s.File.Walk(func(*block.Header, []byte) error { return nil })
}

// Entries calls visit with the waiting batches that a filter allows, the oldest first, a
// block at a time, and notes in x what it has read.
func (r *Running) Entries(ctx context.Context, f Filter, x *Exported, visit func([]bridge.Entry) error) error {
	return r.Each(ctx, 1, block.MaxPosition, x, func(entries []bridge.Entry) error {
		entries = slices.DeleteFunc(entries, func(e bridge.Entry) bool { return !f.Allows(&e) })
		if len(entries) == 0 {
			return nil
		}
		return visit(entries)
	})
}

// Each calls visit with the waiting batches of each block that has some of from <= p < to,
// and notes in x what it has read.
func (r *Running) Each(
	ctx context.Context, from, to bridge.Position, x *Exported, visit func([]bridge.Entry) error,
) error {
	for p := from; p < to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, next, err := r.waiting(p)
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

// waiting reads the waiting batches of the first block at or after p, and returns where
// to go on; 0 at the end.
func (r *Running) waiting(p bridge.Position) ([]bridge.Entry, bridge.Position, error) {
	r.Files.Lock()
	defer r.Files.Unlock()
	r.Mu.Lock()
	p = r.Books.Done.Next(p)
	s := r.Shelf.From(p)
	var last bridge.Position
	if s != nil {
		last = s.Last
	}
	r.Mu.Unlock()
	if s == nil {
		return nil, 0, nil
	}
	entries, h, err := r.Blocks.Read(s, p, r.Size)
	if err != nil {
		r.Unreadable(s, err)
		return nil, last + 1, err // it is repaired, or reported by Verify
	}
	if h == nil {
		return nil, last + 1, nil
	}
	r.Mu.Lock()
	defer r.Mu.Unlock()
	entries = slices.DeleteFunc(entries, func(e bridge.Entry) bool { return r.Books.Done.Has(e.Position) })
	return r.Origins.Sign(entries), h.Last + 1, nil
}

// Entry reads one batch.
func (r *Running) Entry(p bridge.Position) (bridge.Entry, error) {
	r.Mu.Lock()
	s := r.Shelf.Of(p)
	r.Mu.Unlock()
	if s == nil {
		return bridge.Entry{}, segment.Damaged("no segment has batch %d", p)
	}
	r.Files.Lock()
	defer r.Files.Unlock()
	entries, _, err := r.Blocks.Read(s, p, r.Size)
	if err != nil {
		r.Unreadable(s, err)
		return bridge.Entry{}, err
	}
	for i := range entries {
		if entries[i].Position == p {
			return entries[i], nil
		}
	}
	return bridge.Entry{}, segment.Damaged("batch %d is not where it should be", p)
}
