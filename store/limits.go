package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

const (
	// memoryMost bounds what is kept in memory, in bytes: what cannot be written
	// beyond that is dropped, the oldest first. It is some 100,000 readings.
	memoryMost = 8 << 20
	// freeEvery is how often the free space of the file system is asked for
	// while nothing is written.
	freeEvery = 10 * time.Second

	// dropTrouble is how long after a drop the queue is reported as full.
	dropTrouble = time.Minute
)

// limits is what the keeper knows of the disk.
type limits struct {
	other   int64 // bytes of files beside the segments
	counted bool  // other is right
	tight   bool  // the file system has less than min_free, or no space at all
	noSpace int   // writes in a row that failed for want of space
	asked   int64 // when tight was found; ns since the start of the run
	credit  int64 // bytes that dropped segments gave, to be written while it is tight
	hopeful int64 // since when it is no longer full, as far as is known, under drop-newest; ns since the start of the run, or 0
	dropped int64 // when the oldest segment was last dropped; ns since the start of the run
}

// shedLocked drops the oldest batches in memory that nobody holds, when there
// are too many to keep. It returns whom to refuse.
func (q *Queue) shedLocked() []func(error) {
	g := q.mem.Shed(memoryMost * 15 / 16)
	q.dropLocked(g.Gaps, g.Count, books.DroppedDisk, 0, 0)
	return g.Safes
}

// refuseLocked handles Append of a queue that is full, drops what is new, and
// has no connection over which it might go nevertheless. It reports whether that
// is so.
func (q *Queue) refuseLocked(b *bridge.Batch, safe func(error)) bool {
	if !q.full || q.online {
		return false
	}
	if safe != nil {
		q.stats.refused++
		return true
	}
	n := bridge.Count{Batches: 1, Readings: uint64(len(b.Readings))}
	p := q.mem.End()
	q.mem.Pass()
	q.books.Accept(n)
	at := b.At.UnixMilli()
	q.dropLocked([]books.Span{{From: p, To: p + 1}}, n, books.DroppedFull, at, at)
	return true
}

// makeRoom keeps the limits before something is written. It reports false when
// nothing may be written.
func (q *Queue) makeRoom() bool {
	q.dropAged()
	q.askFree()
	for {
		over := q.used()+segment.GrowBy > int64(q.cfg.Load().MaxSize)
		tight := q.keep.limits.tight && q.keep.limits.credit < segment.GrowBy
		if !over && !tight {
			q.setFull(false)
			return true
		}
		if q.cfg.Load().WhenFull == DropNewest {
			q.setFull(true)
			return false
		}
		s := q.oldestIdle()
		if s == nil {
			// All is in flight or in memory: a little more does no harm, and a
			// disk that is really full says so.
			return true
		}
		freed := q.dropSegment(s, books.DroppedFull)
		q.keep.limits.dropped = q.now()
		if q.keep.limits.tight {
			q.keep.limits.credit += freed
		}
		q.raise(condition.QueueDropsOldest, errFull(over))
	}
}

func errFull(over bool) error {
	if over {
		return errors.New("max_size is reached")
	}
	return errors.New("less than min_free is free on the disk")
}

// setFull turns the policy drop-newest on or off.
func (q *Queue) setFull(full bool) {
	q.mu.Lock()
	was := q.full
	q.full = full
	q.mu.Unlock()
	switch {
	case full && !was:
		q.raise(condition.QueueRefusesNew, bridge.ErrFull)
	case !full && was:
		q.keep.limits.hopeful = q.now() // the next write will tell
	}
	if full {
		q.keep.limits.hopeful = 0
	}
}

// noLongerFull ends the report of a queue that was full and is not any more, once
// something was written, or there was nothing to write for a while.
func (q *Queue) noLongerFull(committed bool) {
	l := &q.keep.limits
	if l.hopeful == 0 {
		return
	}
	q.mu.Lock()
	idle := q.mem.Pending().Batches == 0 && q.now()-l.hopeful >= int64(dropTrouble)
	q.mu.Unlock()
	if committed || idle {
		l.hopeful = 0
		q.recover(condition.QueueDropsOldest, condition.QueueRefusesNew)
	}
}

// calm ends the report of a full queue some time after the last drop, and lets
// a queue that was full look again.
func (q *Queue) calm() {
	q.mu.Lock()
	full, trouble := q.full, q.troubledByLimits()
	q.mu.Unlock()
	switch {
	case full:
		q.makeRoom()
	case trouble && q.keep.limits.hopeful == 0 && q.now()-q.keep.limits.dropped >= int64(dropTrouble):
		q.recover(condition.QueueDropsOldest, condition.QueueRefusesNew)
	}
}

// dropPending drops what is due in memory while the queue is full: the policy
// is drop-newest.
func (q *Queue) dropPending(upTo bridge.Position) {
	q.mu.Lock()
	g := q.mem.Give(upTo) // what is in flight may still arrive
	q.dropLocked(g.Gaps, g.Count, books.DroppedFull, 0, 0)
	q.mu.Unlock()
	for _, safe := range g.Safes {
		safe(bridge.ErrFull)
	}
}

// used returns the disk space of everything in the folder.
func (q *Queue) used() int64 {
	if !q.keep.limits.counted {
		q.countOther()
	}
	total := q.keep.limits.other
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.shelf.Segments {
		total += s.Bytes
	}
	return total
}

// countOther counts the files beside the segments, and keeps the quarantine
// below its limit.
func (q *Queue) countOther() {
	q.trimQuarantine()
	total := int64(0)
	filepath.WalkDir(q.shelf.Dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if _, ok := folder.SegmentFirst(e.Name()); ok && filepath.Dir(path) == q.shelf.Dir {
			return nil
		}
		if info, err := e.Info(); err == nil {
			total += disk.Allocated(info)
		}
		return nil
	})
	q.keep.limits.other, q.keep.limits.counted = total, true
}

// trimQuarantine deletes the oldest files in quarantine beyond its limit.
func (q *Queue) trimQuarantine() {
	dir := filepath.Join(q.shelf.Dir, folder.QuarantineDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	type old struct {
		name string
		size int64
		time time.Time
	}
	var files []old
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, old{e.Name(), disk.Allocated(info), info.ModTime()})
			total += disk.Allocated(info)
		}
	}
	slices.SortFunc(files, func(a, b old) int { return a.time.Compare(b.time) })
	for _, f := range files {
		if total <= q.cfg.Load().tenth() {
			return
		}
		total -= f.size
		if err := os.RemoveAll(filepath.Join(dir, f.name)); err == nil {
			q.log.Warn("a file in quarantine is deleted, the oldest of too many", "file", f.name)
		}
	}
}

// askFree finds out whether the file system has enough space left.
func (q *Queue) askFree() {
	l := &q.keep.limits
	now := q.now()
	if l.asked != 0 && now-l.asked < int64(time.Second) {
		return
	}
	l.asked = now
	var st syscall.Statfs_t
	if err := syscall.Statfs(q.shelf.Dir, &st); err != nil {
		return // a write will tell
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	// A quota does not show in the free space: it is believed after some tries.
	tight := free < int64(q.cfg.Load().MinFree) || l.noSpace > 0 && free < segment.GrowBy || l.noSpace >= 3
	if tight && !l.tight || !tight {
		l.credit = 0
	}
	l.tight = tight
}

// oldestIdle returns the oldest segment with nothing in flight. The one that is
// being written is closed for it, if it is the only one.
func (q *Queue) oldestIdle() *folder.Stored {
	s := q.findIdle()
	if s != nil && s == q.shelf.Writer {
		q.seal(&q.shelf)
	}
	return s
}

func (q *Queue) findIdle() *folder.Stored {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.shelf.Segments {
		if s.Written.Batches > 0 && !q.buryingLocked(s) && !q.mem.ClaimedWithin(s.First, s.Last) {
			return s
		}
	}
	return nil
}

// dropSegment drops what waits in a segment, and deletes its file. It returns
// the bytes that this gives.
func (q *Queue) dropSegment(s *folder.Stored, cause string) int64 {
	q.mu.Lock()
	lost := s.Waiting()
	q.dropLocked(q.books.Done.Missing(s.First, s.Last+1), lost, cause, s.Oldest, s.Newest)
	s.Done = s.Written
	q.books.Index.Removed = append(q.books.Index.Removed, s.First)
	q.metaDue = true
	bytes := s.Bytes
	q.mu.Unlock()
	q.forget(&q.shelf, s)
	// The account of it first: after a cut in between, the file is deleted at
	// the next start. On a full disk there may be no room for that.
	if err := q.writeMeta(); err != nil {
		q.log.Warn("a segment is dropped before that is recorded", "err", err)
	}
	q.remove(&q.shelf, s)
	q.mu.Lock()
	q.books.Index.Removed = slices.DeleteFunc(q.books.Index.Removed, func(p bridge.Position) bool { return p == s.First })
	q.mu.Unlock()
	q.log.Warn("readings are dropped", "cause", cause, "readings", lost.Readings, "batches", lost.Batches,
		"from", unixMilli(s.Oldest).Format(time.RFC3339), "to", unixMilli(s.Newest).Format(time.RFC3339))
	return bytes
}

// dropAged drops the segments whose newest block is older than max_age.
func (q *Queue) dropAged() {
	if q.cfg.Load().MaxAge == 0 {
		return
	}
	for {
		q.mu.Lock()
		var s *folder.Stored
		if len(q.shelf.Segments) > 0 && q.shelf.Segments[0].Uptime+q.cfg.Load().MaxAge.D().Milliseconds() <= q.uptime() {
			s = q.shelf.Segments[0]
		}
		q.mu.Unlock()
		if s == nil || q.findIdle() != s {
			return
		}
		if s == q.shelf.Writer {
			q.seal(&q.shelf)
		}
		q.dropSegment(s, books.DroppedAge)
	}
}

// ageDueLocked returns when the next segment is too old, 0 for never.
func (q *Queue) ageDueLocked() int64 {
	if q.cfg.Load().MaxAge == 0 || len(q.shelf.Segments) == 0 {
		return 0
	}
	left := q.shelf.Segments[0].Uptime + q.cfg.Load().MaxAge.D().Milliseconds() - q.uptime()
	return max(q.now()+left*int64(time.Millisecond), q.now()+int64(time.Second))
}

// noteFailure remembers what a failed write says about the disk.
func (q *Queue) noteFailure(err error) {
	if disk.NoRoom(err) {
		q.keep.limits.noSpace++
		q.keep.limits.asked = 0 // ask again
	}
}
