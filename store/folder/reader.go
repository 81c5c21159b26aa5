package folder

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/journal"
	"fieldbridge/store/origins"
	"fieldbridge/store/segment"
)

// Reader looks at the folder of a gateway that does not run. Nothing is changed
// there: damage is told and left as it is. It begins no run. It is for one goroutine
// at a time; [Reader.Close] gives the folder back.
type Reader struct {
	limits  Limits
	lock    *os.File
	meta    books.Index
	done    books.Spans
	uptime  int64         // run time of the folder, ms
	origins *origins.Book // without what could not be read of it
	queue   Shelf
	letters Shelf
	journal []bridge.Entry  // what a kill has left in shared memory alone
	unread  error           // why what may be there cannot be read
	from    bridge.Position // the letters with lower numbers are gone, or back in the queue
	old     string          // a file of dead letters of an older release
	dead    bridge.Count
}

// Limits is how large what is in a folder may be, in bytes.
type Limits struct {
	Size    int64 // of everything
	Segment int64 // of a segment
}

// OpenReader opens the folder of a gateway that does not run. It returns a
// [disk.LockedError] if one does, and a [NewerFormatError].
func OpenReader(dir string, limits Limits) (*Reader, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	r := &Reader{limits: limits, queue: Shelf{Dir: dir}, letters: Shelf{Dir: filepath.Join(dir, DeadDir), Dead: true}}
	var err error
	// Held until Close, so that no gateway starts meanwhile and changes what is read.
	if r.lock, err = disk.Hold(dir); err != nil {
		return nil, err
	}
	if r.meta, _, err = ReadIndex(dir); err != nil {
		_ = r.Close()
		return nil, err
	}
	r.origins, _ = origins.Open(dir) // the next start sets a damaged one aside and says so
	var acks books.Record
	if f, err := os.Open(filepath.Join(dir, "acks")); err == nil {
		acks, _ = newestAcks(f)
		_ = f.Close()
	}
	r.done, r.uptime = acks.Done, max(r.meta.Uptime, acks.Uptime)
	r.list(&r.queue, r.meta.Segments)
	for _, s := range r.queue.Segments {
		if s.Written.Batches > 0 {
			r.done = s.CountDone(r.done, &acks)
		}
	}
	found := r.lookIntoJournal()
	r.list(&r.letters, r.meta.Dead.Segments)
	r.countDead()
	r.countRetried(&found)
	return r, nil
}

// Close gives the folder back.
func (r *Reader) Close() error {
	return disk.Unlock(r.lock)
}

func (r *Reader) segmentSize() int64 { return r.limits.Segment }

// list finds the segments of a shelf, and reads those that are not in the index.
// It takes as long as reading those; an index that is up to date leaves the newest one
// at most.
func (r *Reader) list(sh *Shelf, index []block.Account) {
	sh.Segments, _ = sh.List(index)
	for _, s := range sh.Segments {
		if !sh.Dead {
			s.Path = current(s.Path, &r.meta)
		}
		if s.Last == 0 {
			file, err := segment.Look(s.Path, r.segmentSize())
			if err == nil {
				s.Account, err = file.Survey(s.First, block.MaxPosition)
			}
			_ = file.Close()
			s.Suspect = err
		}
		r.uptime = max(r.uptime, s.Uptime)
	}
}

// lookIntoJournal finds what the next start will restore.
func (r *Reader) lookIntoJournal() journal.Found {
	found, err := journal.Look(r.queue.Dir)
	n := len(found.Batches)
	if r.unread = err; n == 0 {
		return found
	}
	end, runs := r.queue.End(), slices.Clone(r.meta.Runs)
	first, last := &found.Batches[0], &found.Batches[n-1]
	if !runs.Own(found.Run, found.Before, first.Position, last.Position, end, first.At.UnixMilli()-first.Mono) {
		return journal.Found{} // another copy's; the next start sets it aside
	}
	for i := range found.Batches {
		b := &found.Batches[i]
		if b.Position < end || found.Done[b.Position] || r.done.Has(b.Position) {
			continue
		}
		r.journal = append(r.journal, bridge.Entry{Batch: b.Batch, Position: b.Position, Run: found.Run,
			Seq: uint64(b.Position - found.Before)})
	}
	return found
}

// countRetried takes those out of the dead letters that a kill left on their way back into
// the queue: they are on disk there, or in the journal.
func (r *Reader) countRetried(found *journal.Found) {
	r.from = r.meta.Dead.From
	retry := r.meta.Dead.Retry
	if retry == nil {
		return
	}
	_, n := retry.Came(cmp.Or(retry.First, found.Again[retry.From]), func(p bridge.Position) bool {
		return r.done.Has(p) || r.queue.Of(p) != nil
	}, found.Has)
	r.dead = r.dead.Sub(retry.Count(n))
	r.from = max(r.from, retry.From+bridge.Position(n))
}

// countDead counts the dead letters that are not gone.
func (r *Reader) countDead() {
	m := &r.meta.Dead
	if old := filepath.Join(r.queue.Dir, OldFile); disk.Size(old) > 0 {
		n, _, _ := EachOldLetter(old, func(DeadLetter) error { return nil })
		r.old, r.dead = old, n
	}
	r.letters.Segments = slices.DeleteFunc(r.letters.Segments, func(s *Stored) bool {
		return s.Last != 0 && s.Last < m.From || r.old != "" && m.Turn != 0 && s.First >= m.Turn
	})
	for _, s := range r.letters.Segments {
		// Letters are purged from the front: in one segment some are gone and some are not.
		if s.First <= m.From && m.From <= s.Last {
			s.Done = m.Gone
		}
		r.dead = r.dead.Add(Surplus(s.Written, s.Done))
	}
}

// Inspect returns what is in the queue without reading its blocks.
// What it says is as of the last record of acknowledgements: up to 5 s of them may be
// missing after a kill.
func (r *Reader) Inspect() Report {
	out := Report{Dir: r.queue.Dir, Bytes: Size(r.queue.Dir), Dead: r.dead, MaxSize: r.limits.Size}
	for _, s := range r.queue.Segments {
		out.Waiting = out.Waiting.Add(s.Waiting())
	}
	for i := range r.journal {
		out.Journal = out.Journal.Add(bridge.Count{Batches: 1, Readings: uint64(len(r.journal[i].Readings))})
	}
	out.Waiting = out.Waiting.Add(out.Journal)
	if r.unread != nil {
		out.JournalUnread = r.unread.Error()
	}
	out.Fill(r.queue.Segments, &r.meta, r.uptime, r.origins)
	return out
}

// Verify reads every block of every segment, every dead letter, and what can still
// be read of the files in quarantine, and calls found with each file.
// It reads everything once, and takes as long as the disk needs for it; ctx ends it
// between two files.
func (r *Reader) Verify(ctx context.Context, found func(Verified)) error {
	for _, sh := range []*Shelf{&r.queue, &r.letters} {
		for _, s := range sh.Segments {
			if err := ctx.Err(); err != nil {
				return err
			}
			v := Verified{Bytes: s.Bytes, Count: s.Written}
			v.File, _ = filepath.Rel(r.queue.Dir, s.Path)
			if sh.Dead {
				v.Count = s.Waiting()
			}
			file, err := segment.Look(s.Path, r.segmentSize())
			if err == nil {
				err = file.Check(&s.Account)
			}
			_ = file.Close()
			if v.Damage = errors.Join(s.Suspect, err); v.Damage != nil {
				v.Count = bridge.Count{}
			}
			found(v)
		}
	}
	if r.old != "" {
		v := Verified{File: OldFile, Bytes: disk.Size(r.old)}
		var err error
		v.Count, v.Damage, err = EachOldLetter(r.old, func(DeadLetter) error { return nil })
		if v.Damage = errors.Join(v.Damage, err); v.Damage != nil {
			v.Count = bridge.Count{}
		}
		found(v)
	}
	return VerifyQuarantine(ctx, r.queue.Dir, found)
}

// Entries calls visit with the waiting batches, the oldest first, a block at a
// time, and last those that lie in the journal alone. What cannot be read is left out and counted.
func (r *Reader) Entries(ctx context.Context, f Filter, visit func([]bridge.Entry) error) (x Exported, err error) {
	for _, s := range r.queue.Segments {
		if err := r.entries(ctx, s, f, &x, visit); err != nil {
			return x, err
		}
	}
	for some := range slices.Chunk(r.journal, 1024) {
		if err := ctx.Err(); err != nil {
			return x, err
		}
		x.Add(some[0].Position, some[len(some)-1].Position+1)
		some = slices.DeleteFunc(slices.Clone(some), func(e bridge.Entry) bool { return !f.Allows(&e) })
		if len(some) == 0 {
			continue
		}
		if err := visit(r.origins.Sign(some)); err != nil {
			return x, err
		}
	}
	if r.unread != nil {
		x.Unread++
	}
	return x, nil
}

// entries gives the waiting batches of one segment. The error is that of visit, or
// of ctx.
func (r *Reader) entries(ctx context.Context, s *Stored, f Filter, x *Exported,
	visit func([]bridge.Entry) error) error {
	file, err := segment.Look(s.Path, r.segmentSize())
	if err == nil {
		err = file.Check(&s.Account)
	}
	defer func() { _ = file.Close() }()
	var d block.Decoder
	var buf []byte
	for p := r.done.Next(s.First); err == nil && p <= s.Last; p = r.done.Next(p) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var h block.Header
		var entries []bridge.Entry
		if buf, h, err = file.Find(p, buf); err != nil || buf == nil {
			break
		}
		if entries, _, err = d.Decode(&h, h.Payload(buf)); err != nil {
			break
		}
		// A block is acknowledged batch by batch, but stays on disk whole.
		entries = slices.DeleteFunc(entries, func(e bridge.Entry) bool { return r.done.Has(e.Position) || !f.Allows(&e) })
		if len(entries) > 0 {
			if err := visit(r.origins.Sign(entries)); err != nil {
				return err
			}
		}
		x.Add(p, h.Last+1)
		p = h.Last + 1
	}
	if err != nil {
		x.Unread++
	}
	return nil
}

// Dead calls visit with the dead letters, the oldest first. What cannot be read is
// left out.
func (r *Reader) Dead(ctx context.Context, visit func(DeadLetter) error) error {
	var failed error
	see := func(l DeadLetter) (bool, error) {
		l.Origin = r.origins.Origin(l.Run, l.Seq)
		failed = errors.Join(ctx.Err(), visit(l))
		return failed == nil, nil
	}
	if r.old != "" {
		// Damage ends the walk early, as in a segment below.
		_, _, _ = EachOldLetter(r.old, func(l DeadLetter) error {
			_, _ = see(l)
			return failed
		})
	}
	for _, s := range r.letters.Segments {
		if failed != nil {
			break
		}
		file, err := segment.Look(s.Path, r.segmentSize())
		if err != nil {
			continue
		}
		var d block.Decoder
		_, _ = EachLetter(file, max(s.First, r.from), s.Last, &d, see)
		_ = file.Close()
	}
	return failed
}
