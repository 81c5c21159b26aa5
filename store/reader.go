package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// Reader looks at the folder of a gateway that does not run. Nothing is changed
// there: damage is told and left as it is. It begins no run. It is for one goroutine
// at a time; [Reader.Close] gives the folder back.
type Reader struct {
	cfg     Config
	lock    *os.File
	meta    books.Index
	done    books.Spans
	uptime  int64 // run time of the folder, ms
	queue   shelf
	letters shelf
	old     string // a file of dead letters of an older release
	dead    bridge.Count
}

// OpenStopped opens the folder of a gateway that does not run. It returns a
// [disk.LockedError] if one does, and a [NewerFormatError].
func OpenStopped(cfg Config) (*Reader, error) {
	dir := string(cfg.Dir)
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	r := &Reader{cfg: cfg, queue: shelf{dir: dir}, letters: shelf{dir: filepath.Join(dir, deadDir), dead: true}}
	var err error
	if r.lock, err = disk.Hold(dir); err != nil {
		return nil, err
	}
	if r.meta, _, err = readMeta(dir); err != nil {
		r.Close()
		return nil, err
	}
	var acks books.Record
	if f, err := os.Open(filepath.Join(dir, "acks")); err == nil {
		acks, _ = newestAcks(f)
		f.Close()
	}
	r.done, r.uptime = acks.Done, max(r.meta.Uptime, acks.Uptime)
	r.list(&r.queue, r.meta.Segments)
	for _, s := range r.queue.segments {
		if s.Written.Batches > 0 {
			r.done = s.countDone(r.done, &acks)
		}
	}
	r.list(&r.letters, r.meta.Dead.Segments)
	r.countDead()
	return r, nil
}

// Close gives the folder back.
func (r *Reader) Close() error {
	if r.lock == nil {
		return nil
	}
	return r.lock.Close()
}

func (r *Reader) segmentSize() int64 { return r.cfg.segmentSize() }

// list finds the segments of a shelf, and reads those that are not in the index.
func (r *Reader) list(sh *shelf, index []block.Account) {
	sh.segments, _ = sh.list(index)
	for _, s := range sh.segments {
		if s.Last == 0 {
			file, err := segment.Look(s.path, r.segmentSize())
			if err == nil {
				s.Account, err = file.Survey(s.First, block.MaxPosition)
			}
			file.Close()
			s.suspect = err
		}
		r.uptime = max(r.uptime, s.Uptime)
	}
}

// countDead counts the dead letters that are not gone.
func (r *Reader) countDead() {
	m := &r.meta.Dead
	if old := filepath.Join(r.queue.dir, oldFile); disk.Size(old) > 0 {
		n, _, _ := eachOldLetter(old, func(DeadLetter) error { return nil })
		r.old, r.dead = old, n
	}
	r.letters.segments = slices.DeleteFunc(r.letters.segments, func(s *stored) bool {
		return s.Last != 0 && s.Last < m.From || r.old != "" && m.Turn != 0 && s.First >= m.Turn
	})
	for _, s := range r.letters.segments {
		if s.First <= m.From && m.From <= s.Last {
			s.done = m.Gone
		}
		r.dead = r.dead.Add(surplus(s.Written, s.done))
	}
}

// Inspect returns what is in the queue without reading its blocks.
func (r *Reader) Inspect() Report {
	out := Report{Dir: r.queue.dir, Bytes: folderSize(r.queue.dir), Dead: r.dead, MaxSize: int64(r.cfg.MaxSize)}
	for _, s := range r.queue.segments {
		out.Waiting = out.Waiting.Add(s.waiting())
	}
	out.fill(r.queue.segments, &r.meta, r.uptime)
	return out
}

// Verify reads every block of every segment, every dead letter, and what can still
// be read of the files in quarantine, and calls found with each file.
func (r *Reader) Verify(ctx context.Context, found func(Verified)) error {
	for _, sh := range []*shelf{&r.queue, &r.letters} {
		for _, s := range sh.segments {
			if err := ctx.Err(); err != nil {
				return err
			}
			v := Verified{Bytes: s.bytes, Count: s.Written}
			v.File, _ = filepath.Rel(r.queue.dir, s.path)
			if sh.dead {
				v.Count = s.waiting()
			}
			file, err := segment.Look(s.path, r.segmentSize())
			if err == nil {
				err = file.Check(&s.Account)
			}
			file.Close()
			if v.Damage = errors.Join(s.suspect, err); v.Damage != nil {
				v.Count = bridge.Count{}
			}
			found(v)
		}
	}
	if r.old != "" {
		v := Verified{File: oldFile, Bytes: disk.Size(r.old)}
		var err error
		v.Count, v.Damage, err = eachOldLetter(r.old, func(DeadLetter) error { return nil })
		if v.Damage = errors.Join(v.Damage, err); v.Damage != nil {
			v.Count = bridge.Count{}
		}
		found(v)
	}
	return verifyQuarantine(ctx, r.queue.dir, found)
}

// Entries calls visit with the waiting batches, the oldest first, a block at a
// time. What cannot be read is left out and counted.
func (r *Reader) Entries(ctx context.Context, f Filter, visit func([]bridge.Entry) error) (x Exported, err error) {
	for _, s := range r.queue.segments {
		if err := r.entries(ctx, s, f, &x, visit); err != nil {
			return x, err
		}
	}
	return x, nil
}

// entries gives the waiting batches of one segment. The error is that of visit, or
// of ctx.
func (r *Reader) entries(ctx context.Context, s *stored, f Filter, x *Exported, visit func([]bridge.Entry) error) error {
	file, err := segment.Look(s.path, r.segmentSize())
	if err == nil {
		err = file.Check(&s.Account)
	}
	defer file.Close()
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
		entries = slices.DeleteFunc(entries, func(e bridge.Entry) bool { return r.done.Has(e.Position) || !f.allows(&e) })
		if len(entries) > 0 {
			if err := visit(entries); err != nil {
				return err
			}
		}
		x.add(p, h.Last+1)
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
		failed = errors.Join(ctx.Err(), visit(l))
		return failed == nil, nil
	}
	if r.old != "" {
		eachOldLetter(r.old, func(l DeadLetter) error {
			see(l)
			return failed
		})
	}
	for _, s := range r.letters.segments {
		if failed != nil {
			break
		}
		file, err := segment.Look(s.path, r.segmentSize())
		if err != nil {
			continue
		}
		var d block.Decoder
		eachLetter(file, max(s.First, r.meta.Dead.From), s.Last, &d, see)
		file.Close()
	}
	return failed
}
