package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/segment"
)

// letters are the dead letters on disk; all of it is the keeper's. They leave from
// the oldest on, so that one number says which are gone.
type letters struct {
	k     *keeper
	shelf folder.Shelf
	from  bridge.Position // the letters with lower numbers are gone
	// most is how much memory those may take that are retried or purged together, in
	// bytes: little beside what the memory holds.
	most uint64
	made bool // the folder
	old  oldLetters
}

// next returns the number of the next letter.
func (l *letters) next() bridge.Position {
	next := max(l.from, 1)
	if n := len(l.shelf.Segments); n > 0 {
		next = max(next, l.shelf.Segments[n-1].Last+1)
	}
	return next
}

const (
	// maxCause is how much of a cause is kept, in bytes.
	maxCause = 500
	// Letters are written some at a time.
	buryMost      = 64
	buryMostBytes = 256 << 10
)

// bury writes the dead letters that are not yet on disk, and before that their
// tombstones: a batch that is told to be dead and still waits, after a cut in
// between, does no harm. Only then may it be recorded that they are done.
func (l *letters) bury() error {
	l.k.mu.Lock()
	waiting := len(l.k.dead)
	l.k.mu.Unlock()
	if waiting == 0 || l.old.path != "" { // those come first
		return nil
	}
	if err := l.k.writeMeta(); err != nil {
		return err
	}
	l.k.recordNews()
	l.k.limits.counted = false
	for waiting > 0 {
		n, err := l.burySome(waiting)
		if err != nil {
			return fmt.Errorf("write dead letters: %w", err)
		}
		waiting -= n
	}
	return l.trimDead()
}

// burySome writes the most oldest at most, whose tombstones are on disk; it returns how many.
func (l *letters) burySome(most int) (int, error) {
	l.k.mu.Lock()
	some := l.k.dead[:min(most, buryMost)]
	l.k.mu.Unlock()
	w := letterWriter{l: l}
	var lost []int
	n := 0
	for n < len(some) && w.room() {
		entry, err := l.entryOf(&some[n])
		if err == nil {
			err = w.add(&entry, some[n].Cause)
		} else if segment.IsDamage(err) {
			lost, err = append(lost, n), nil
		}
		if err != nil {
			return 0, err
		}
		n++
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	some = some[:n:n]
	l.k.mu.Lock()
	l.k.dead = l.k.dead[n:]
	if len(l.k.dead) == 0 {
		l.k.dead = nil
	}
	for i := range some {
		l.k.mem.Buried(some[i].Position)
		l.k.journal.Done(some[i].Position, some[i].Position+1)
	}
	l.k.trimLocked()
	l.k.acksDueLocked() // they are on disk now: what was done may be recorded
	for _, i := range lost {
		l.k.books.LoseBuried(some[i].Position, some[i].Count)
	}
	l.k.postLocked()
	l.k.mu.Unlock()
	for i := range some {
		if some[i].Safe != nil {
			some[i].Safe(nil)
		}
	}
	return n, nil
}

// entryOf returns the batch that is to be buried.
func (l *letters) entryOf(d *folder.Burial) (bridge.Entry, error) {
	if d.InMemory {
		return bridge.Entry{Batch: d.Batch, Position: d.Position, Run: l.k.run, Seq: l.k.mem.Seq(d.Position)}, nil
	}
	return l.k.running().Entry(d.Position)
}

// letterWriter writes dead letters, those that are added before a flush in one
// transaction.
type letterWriter struct {
	l     *letters
	some  []folder.Encoded
	bytes int
}

// add takes a letter for the next flush.
func (w *letterWriter) add(e *bridge.Entry, cause string) error {
	l := w.l
	h := block.Header{Run: e.Run, Seq: e.Seq, Wall: time.Now().UnixMilli(), Uptime: w.l.k.uptime(),
		Before: l.shelf.Total(), Cause: cause[:min(len(cause), maxCause)], Origin: e.Position}
	number := l.next()
	if n := len(w.some); n > 0 {
		last := &w.some[n-1].Header
		number, h.Before = last.Last+1, last.Before.Add(last.Count)
	}
	data, err := w.l.k.encoder.Encode(&h, []block.Numbered{{Batch: e.Batch, Position: number}})
	if err != nil {
		return segment.Damaged("batch %s %d: %w", e.Run, e.Seq, err)
	}
	w.some = append(w.some, folder.Encoded{Header: h, Bytes: slices.Clone(data)})
	w.bytes += len(data)
	return nil
}

// room reports whether another letter should go into the same transaction.
func (w *letterWriter) room() bool {
	return len(w.some) < buryMost && int64(w.bytes) < min(buryMostBytes, w.l.k.segmentSize(&w.l.shelf)/8)
}

// flush makes durable what was added.
func (w *letterWriter) flush() error {
	if len(w.some) == 0 {
		return nil
	}
	err := w.l.k.append(&w.l.shelf, w.some...)
	w.some, w.bytes = nil, 0
	return err
}

// openLetters finds the dead letters. left is what a kill has left in the journal: a
// letter that is in there is on its way back into the queue. The queue's own segments
// were found before.
func (l *letters) openLetters(left *journal.Found) {
	m := &l.k.books.Index.Dead
	l.shelf.Dir, l.shelf.Dead, l.from = filepath.Join(l.k.shelf.Dir, folder.DeadDir), true, m.From
	if info, err := os.Lstat(l.shelf.Dir); err == nil {
		if l.made = info.IsDir(); !l.made {
			l.k.quarantine(l.shelf.Dir, errors.New("there is something else in place of the dead letters"))
		}
	}
	found, missing := l.shelf.List(m.Segments)
	l.openOldLetters(&found)
	l.k.openShelf(&l.shelf, found, false)
	if s := l.shelf.Of(l.from); s != nil && m.Gone.Batches <= s.Written.Batches && m.Gone.Readings <= s.Written.Readings {
		s.Done = m.Gone
	}
	l.endRetry(left)
	for _, s := range slices.Clone(l.shelf.Segments) {
		if s.Last < l.from && m.Retry == nil {
			l.k.remove(&l.shelf, s) // it was about to be removed
			continue
		}
		l.k.books.FindDead(s.Waiting())
	}
	if w := m.Writer; w > l.from && !slices.ContainsFunc(found, func(s *folder.Stored) bool { return s.First == w }) {
		l.k.log.Error("the newest segment of dead letters is gone", "file", folder.SegmentPath(l.shelf.Dir, w))
	}
	for _, a := range missing {
		lost := a.Written
		if a.First <= m.From {
			lost = folder.Surplus(lost, m.Gone)
		}
		if a.Last >= l.from && lost.Batches > 0 {
			l.k.log.Error("a segment of dead letters is gone",
				"file", folder.SegmentPath(l.shelf.Dir, a.First), "batches", lost.Batches)
			l.k.books.FindDamaged(lost)
		}
	}
	l.settleLetters()
	l.removeDeadDir()
}

// settleLetters takes the letters of the newest segment for done in the queue: a
// crash may have come before that was recorded.
func (l *letters) settleLetters() {
	// After damage the letters that follow it stay dead and come twice: repair names what is lost.
	l.shelf.EachNewest(l.k.segmentSize(&l.shelf), func(h *block.Header) {
		r := l.k.books.Index.Runs.Named(h.Run)
		if r == nil {
			return
		}
		p := r.Base + bridge.Position(h.Seq)
		// After another crash a position may be that of another batch.
		if l.k.books.Index.Runs.At(p) != r || l.k.books.Done.Has(p) {
			return
		}
		l.k.books.Forget(p, p+1)
		l.k.ackDue = 1 // before the segment may go
		if s := l.k.shelf.Of(p); s != nil && l.k.read.Has(s, p, l.k.segmentSize(&l.k.shelf)) {
			s.Done = s.Done.Add(h.Count)
		}
	})
}

// deadMetaLocked returns what the index is to have of the dead letters.
func (l *letters) deadMetaLocked() books.DeadIndex {
	m := books.DeadIndex{From: l.from, Turn: l.k.books.Index.Dead.Turn, Retry: l.k.books.Index.Dead.Retry}
	gone := bridge.Count{}
	if r := m.Retry; r != nil { // they stay until they are in the queue
		m.From = r.From
		if r.First != 0 {
			gone = r.Count(len(r.Readings))
		}
	}
	for _, s := range l.shelf.Segments {
		if s.First <= m.From && m.From <= s.Last {
			m.Gone = s.Done.Sub(gone)
		}
	}
	m.Segments, m.Writer = l.shelf.Accounts()
	return m
}

// removeDeadDir removes the folder of the dead letters with the last of them.
func (l *letters) removeDeadDir() {
	if l.made && len(l.shelf.Segments) == 0 {
		_ = os.Remove(l.shelf.Dir)
		l.made = false
	}
}

// removeGone deletes the segments whose letters are all gone, once the index says
// so.
func (l *letters) removeGone() {
	l.k.mu.Lock()
	recorded := !l.k.metaDue && l.k.books.Index.Dead.Retry == nil
	l.k.mu.Unlock()
	for recorded && len(l.shelf.Segments) > 0 && l.shelf.Segments[0].Last < l.from {
		l.k.remove(&l.shelf, l.shelf.Segments[0])
		l.k.limits.counted = false
	}
	l.removeDeadDir()
}
