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
	"fieldbridge/store/segment"
)

// letters are the dead letters on disk; all of it is the keeper's. They leave from
// the oldest on, so that one number says which are gone.
type letters struct {
	shelf folder.Shelf
	from  bridge.Position // the letters with lower numbers are gone
	most  uint64          // memory of those that are retried or purged together, in bytes
	made  bool            // the folder
	old   oldLetters
}

// next returns the number of the next letter.
func (l *letters) next() bridge.Position {
	next := max(l.from, 1)
	if n := len(l.shelf.Segments); n > 0 {
		next = max(next, l.shelf.Segments[n-1].Last+1)
	}
	return next
}

// burial is a dead letter that is not yet on disk.
type burial struct {
	position bridge.Position
	batch    bridge.Batch // if it was in memory, else it is in a segment
	inMemory bool
	counted  bool // in what is done of its segment
	cause    string
	count    bridge.Count
	safe     func(error)
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
func (q *Queue) bury() error {
	q.mu.Lock()
	waiting := len(q.dead)
	q.mu.Unlock()
	if waiting == 0 || q.letters.old.path != "" { // those come first
		return nil
	}
	if err := q.writeMeta(); err != nil {
		return err
	}
	q.keep.limits.counted = false
	for waiting > 0 {
		n, err := q.burySome()
		if err != nil {
			return fmt.Errorf("write dead letters: %w", err)
		}
		waiting -= n
	}
	return q.trimDead()
}

// burySome writes the oldest of those that wait, and returns how many.
func (q *Queue) burySome() (int, error) {
	q.mu.Lock()
	some := q.dead[:min(len(q.dead), buryMost)]
	q.mu.Unlock()
	w := letterWriter{q: q}
	var lost []int
	n := 0
	for n < len(some) && w.room() {
		entry, err := q.entryOf(&some[n])
		if err == nil {
			err = w.add(&entry, some[n].cause)
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
	q.mu.Lock()
	q.dead = q.dead[n:]
	if len(q.dead) == 0 {
		q.dead = nil
	}
	q.acksDueLocked() // they are on disk now: what was done may be recorded
	for _, i := range lost {
		q.books.LoseDead(some[i].count)
		q.books.StoneAt(some[i].position, some[i].count, books.Damaged, 0)
	}
	q.mu.Unlock()
	for i := range some {
		if some[i].safe != nil {
			some[i].safe(nil)
		}
	}
	return n, nil
}

// entryOf returns the batch that is to be buried.
func (q *Queue) entryOf(d *burial) (bridge.Entry, error) {
	if d.inMemory {
		return bridge.Entry{Batch: d.batch, Position: d.position, Run: q.run, Seq: q.mem.Seq(d.position)}, nil
	}
	return q.readEntry(d.position)
}

// readEntry reads one batch from its segment.
func (q *Queue) readEntry(p bridge.Position) (bridge.Entry, error) {
	q.mu.Lock()
	s := q.shelf.Of(p)
	q.mu.Unlock()
	if s == nil {
		return bridge.Entry{}, segment.Damaged("no segment has batch %d", p)
	}
	q.files.Lock()
	defer q.files.Unlock()
	entries, _, err := q.readBlock(s, p)
	if err != nil {
		q.unreadable(s, err)
		return bridge.Entry{}, err
	}
	for i := range entries {
		if entries[i].Position == p {
			return entries[i], nil
		}
	}
	return bridge.Entry{}, segment.Damaged("batch %d is not where it should be", p)
}

// letterWriter writes dead letters, those that are added before a flush in one
// transaction.
type letterWriter struct {
	q     *Queue
	some  []encoded
	bytes int
}

// add takes a letter for the next flush.
func (w *letterWriter) add(e *bridge.Entry, cause string) error {
	l := &w.q.letters
	h := block.Header{Run: e.Run, Seq: e.Seq, Wall: time.Now().UnixMilli(), Uptime: w.q.uptime(), Before: l.shelf.Total(),
		Cause: cause[:min(len(cause), maxCause)], Origin: e.Position}
	number := l.next()
	if n := len(w.some); n > 0 {
		last := &w.some[n-1].header
		number, h.Before = last.Last+1, last.Before.Add(last.Count)
	}
	data, err := w.q.keep.encoder.Encode(&h, []block.Numbered{{Batch: e.Batch, Position: number}})
	if err != nil {
		return segment.Damaged("batch %s %d: %w", e.Run, e.Seq, err)
	}
	w.some = append(w.some, encoded{h, slices.Clone(data)})
	w.bytes += len(data)
	return nil
}

// room reports whether another letter should go into the same transaction.
func (w *letterWriter) room() bool {
	return len(w.some) < buryMost && int64(w.bytes) < min(buryMostBytes, w.q.segmentSize(&w.q.letters.shelf)/8)
}

// flush makes durable what was added.
func (w *letterWriter) flush() error {
	if len(w.some) == 0 {
		return nil
	}
	err := w.q.append(&w.q.letters.shelf, w.some...)
	w.some, w.bytes = nil, 0
	return err
}

// buryingLocked reports whether a segment has a batch that is to become a dead
// letter and is not one on disk yet. Until then it must stay.
func (q *Queue) buryingLocked(s *folder.Stored) bool {
	return slices.ContainsFunc(q.dead, func(d burial) bool {
		return d.counted && d.position >= s.First && d.position <= s.Last
	})
}

// settledLocked returns what may be recorded as done: not what is on its way to
// the dead letters, which a kill would take.
func (q *Queue) settledLocked() (done books.Spans, counts map[bridge.Position]bridge.Count) {
	buried := make([]bridge.Position, len(q.dead))
	for i := range q.dead {
		buried[i] = q.dead[i].position
	}
	done = q.books.Done.Without(buried...)
	counts = make(map[bridge.Position]bridge.Count, len(q.shelf.Segments))
	for _, s := range q.shelf.Segments {
		if s.Done.Batches > 0 {
			counts[s.First] = s.Done
		}
	}
	for i := range q.dead {
		if s := q.shelf.Of(q.dead[i].position); s != nil && q.dead[i].counted {
			counts[s.First] = counts[s.First].Sub(q.dead[i].count)
		}
	}
	return done, counts
}

// openLetters finds the dead letters. The queue's own segments were found before.
func (q *Queue) openLetters() {
	l, m := &q.letters, &q.books.Index.Dead
	l.shelf.Dir, l.shelf.Dead, l.from = filepath.Join(q.shelf.Dir, folder.DeadDir), true, m.From
	if info, err := os.Lstat(l.shelf.Dir); err == nil {
		if l.made = info.IsDir(); !l.made {
			q.quarantine(l.shelf.Dir, errors.New("there is something else in place of the dead letters"))
		}
	}
	found, missing := l.shelf.List(m.Segments)
	q.openOldLetters(&found)
	q.openShelf(&l.shelf, found, false)
	if s := l.shelf.Of(l.from); s != nil && m.Gone.Batches <= s.Written.Batches && m.Gone.Readings <= s.Written.Readings {
		s.Done = m.Gone
	}
	q.endRetry()
	for _, s := range slices.Clone(l.shelf.Segments) {
		if s.Last < l.from {
			q.remove(&l.shelf, s) // it was about to be removed
			continue
		}
		q.books.FindDead(s.Waiting())
	}
	if w := m.Writer; w > l.from && !slices.ContainsFunc(found, func(s *folder.Stored) bool { return s.First == w }) {
		q.log.Error("the newest segment of dead letters is gone", "file", folder.SegmentPath(l.shelf.Dir, w))
	}
	for _, a := range missing {
		lost := a.Written
		if a.First <= m.From {
			lost = folder.Surplus(lost, m.Gone)
		}
		if a.Last >= l.from && lost.Batches > 0 {
			q.log.Error("a segment of dead letters is gone", "file", folder.SegmentPath(l.shelf.Dir, a.First), "batches", lost.Batches)
			q.books.FindDamaged(lost)
		}
	}
	q.settleLetters()
	q.removeDeadDir()
}

// settleLetters takes the letters of the newest segment for done in the queue: a
// crash may have come before that was recorded.
func (q *Queue) settleLetters() {
	n := len(q.letters.shelf.Segments)
	if n == 0 || !q.letters.shelf.Segments[n-1].Verified {
		return // it was sealed, and the record came after that
	}
	s := q.letters.shelf.Segments[n-1]
	file := s.File
	if file == nil {
		var err error
		if file, err = segment.Open(s.Path, q.segmentSize(&q.letters.shelf)); err != nil {
			return
		}
		defer file.Close()
	}
	file.Walk(func(h *block.Header, _ []byte) error {
		r := q.books.Index.Runs.Named(h.Run)
		if r == nil {
			return nil
		}
		p := r.Base + bridge.Position(h.Seq)
		// After another crash a position may be that of another batch.
		if q.books.Index.Runs.At(p) != r || q.books.Done.Has(p) {
			return nil
		}
		q.books.Forget(p, p+1)
		if s := q.shelf.Of(p); s != nil {
			s.Done = s.Done.Add(h.Count)
		}
		return nil
	})
}

// deadMetaLocked returns what the index is to have of the dead letters.
func (q *Queue) deadMetaLocked() books.DeadIndex {
	l := &q.letters
	m := books.DeadIndex{From: l.from, Turn: q.books.Index.Dead.Turn, Retry: q.books.Index.Dead.Retry}
	gone := bridge.Count{}
	if r := m.Retry; r != nil { // they stay until they are in the queue
		m.From, gone = r.From, r.Count(len(r.Readings))
	}
	for _, s := range l.shelf.Segments {
		if s.First <= m.From && m.From <= s.Last {
			m.Gone = s.Done.Sub(gone)
		}
		if s == l.shelf.Writer {
			m.Writer = s.First
		} else {
			m.Segments = append(m.Segments, s.Account)
		}
	}
	return m
}

// nameLetters leaves tombstones for the letters of a segment that are not among the
// survivors. All were told to be dead under their names; those between two survivors
// of one run can be named once more.
func (q *Queue) nameLetters(s *folder.Stored, kept *survivors, found []segment.Found) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, g := range kept.positions.Missing(max(s.First, q.letters.from), s.Last+1) {
		i := slices.IndexFunc(found, func(f segment.Found) bool { return f.First >= g.To })
		if i <= 0 {
			continue
		}
		a, b := &found[i-1], &found[i]
		if a.Run != b.Run || b.Seq < a.Seq+2 {
			continue
		}
		n := bridge.Count{Batches: uint64(g.To - g.From), Readings: folder.Surplus(b.Before, a.Before.Add(a.Count)).Readings}
		q.books.AddStone(books.Stone{Run: a.Run, First: a.Seq + 1, Last: b.Seq - 1, Count: n, Cause: books.Damaged})
	}
}

// removeDeadDir removes the folder of the dead letters with the last of them.
func (q *Queue) removeDeadDir() {
	if l := &q.letters; l.made && len(l.shelf.Segments) == 0 {
		os.Remove(l.shelf.Dir)
		l.made = false
	}
}

// removeGone deletes the segments whose letters are all gone, once the index says
// so.
func (q *Queue) removeGone() {
	l := &q.letters
	q.mu.Lock()
	recorded := !q.metaDue && q.books.Index.Dead.Retry == nil
	q.mu.Unlock()
	for recorded && len(l.shelf.Segments) > 0 && l.shelf.Segments[0].Last < l.from {
		q.remove(&l.shelf, l.shelf.Segments[0])
		q.keep.limits.counted = false
	}
	q.removeDeadDir()
}
