package store

import (
	"errors"
	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
	"fieldbridge/store/segment"
	"slices"
)

// readLetters calls visit with the letters from number p on of one segment, until
// it wants no more, and returns the segment and where to go on; 0 at the end. A
// segment that is damaged is repaired first.
func (l *letters) readLetters(
	p bridge.Position, visit func(folder.DeadLetter) (more bool, err error),
) (*folder.Stored, bridge.Position, error) {
	for {
		s := l.shelf.From(p)
		if s == nil {
			return nil, 0, nil
		}
		next, err := l.readSegment(s, p, visit)
		if s.Suspect == nil {
			return s, next, err
		}
		if err := l.k.repair(&l.shelf, s); err != nil {
			l.k.mu.Lock()
			l.k.alarmLocked(l.k.now())
			l.k.mu.Unlock()
			return nil, 0, err
		}
		p = next
	}
}

// readSegment calls visit with the letters of a segment from number p on, and
// returns where to go on. If it finds the segment damaged, it says so in it.
func (l *letters) readSegment(
	s *folder.Stored, p bridge.Position, visit func(folder.DeadLetter) (bool, error),
) (bridge.Position, error) {
	file := s.File
	if file == nil {
		if s.Suspect != nil {
			return p, s.Suspect
		}
		var err error
		if file, err = segment.Open(s.Path, l.k.segmentSize(&l.shelf)); err == nil {
			defer func() { _ = file.Close() }()
			if !s.Verified {
				err = file.Check(&s.Account)
				s.Verified = err == nil
			}
		}
		if err != nil {
			if segment.IsDamage(err) {
				s.Suspect = err
			}
			return p, err
		}
	}
	var d block.Decoder
	p, err := folder.EachLetter(file, p, s.Last, &d, visit)
	if segment.IsDamage(err) {
		s.Suspect = err
	}
	return p, err
}

// lettersCost is how much memory letters that are retried or purged together may
// take, in bytes: little beside what the memory holds.
const lettersCost = memoryMost / 8

// someLetters returns the oldest letters: some of one segment, whose numbers follow
// one another. s is nil when there are none.
func (l *letters) someLetters() (s *folder.Stored, some []folder.DeadLetter, n bridge.Count, err error) {
	next := l.from
	s, _, err = l.readLetters(next, func(x folder.DeadLetter) (bool, error) {
		if len(some) > 0 && x.Number != next {
			return false, nil
		}
		some, next = append(some, x), x.Number+1
		n = n.Add(bridge.Count{Batches: 1, Readings: uint64(len(x.Readings))})
		return memory.Cost(n) < l.most, nil
	})
	return s, some, n, err
}

// passLocked takes note that some of a segment, the oldest letters, are gone.
func (l *letters) passLocked(s *folder.Stored, some []folder.DeadLetter, n bridge.Count) {
	l.from = some[len(some)-1].Number + 1
	s.Done = s.Done.Add(n)
	l.k.metaDue = true
}

// dropLetters drops the oldest letters, some at a time.
func (l *letters) dropLetters(cause string) (bridge.Count, error) {
	s, some, n, err := l.someLetters()
	if err != nil || s == nil {
		return bridge.Count{}, err
	}
	l.k.mu.Lock()
	for i := range some {
		l.k.books.DropDead(some[i].Letter(), cause)
	}
	l.k.postLocked()
	l.passLocked(s, some, n)
	l.k.mu.Unlock()
	err = l.k.writeMeta()
	l.removeGone()
	return n, err
}

// trimDead drops the oldest segments of dead letters beyond their limit, a tenth
// of max_size.
func (l *letters) trimDead() error {
	for {
		total := int64(0)
		for _, s := range l.shelf.Segments {
			total += s.Bytes
		}
		if total <= l.k.cfg.Load().tenth() || len(l.shelf.Segments) < 2 || l.k.books.Index.Dead.Retry != nil {
			return nil
		}
		for last := l.shelf.Segments[0].Last; l.from <= last; {
			if n, err := l.dropLetters(books.DroppedDead); err != nil || n.Batches == 0 {
				return err
			}
		}
	}
}

// retrySome queues the oldest letters, and waits until they are on disk.
func (l *letters) retrySome() (bridge.Count, error) {
	if l.k.books.Index.Dead.Retry != nil { // of a try before, when the disk failed
		if err := l.k.tend(true); err != nil {
			return bridge.Count{}, err
		}
	}
	s, some, n, err := l.someLetters()
	if err != nil || s == nil {
		return bridge.Count{}, err
	}
	l.k.mu.Lock()
	r := &books.Retry{From: some[0].Number, First: l.k.mem.End()}
	for i := range some {
		r.Readings = append(r.Readings, uint64(len(some[i].Readings)))
		p := l.k.mem.End() // it is not in the journal: until it is on disk it is a dead letter
		l.k.mem.Push(&some[i].Batch, nil, l.k.now(), l.k.journal.Head())
		l.k.journal.Done(p, p+1)
		l.k.books.Retry(some[i].Letter())
	}
	l.k.postLocked()
	l.k.books.Index.Dead.Retry = r
	l.passLocked(s, some, n)
	l.k.mu.Unlock()
	if err := l.k.writeMeta(); err != nil {
		return n, err
	}
	return n, l.k.tend(true)
}

// retried takes note that the letters are in the queue, once they are on disk or
// done there and that is recorded.
func (l *letters) retried() {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	if r := l.k.books.Index.Dead.Retry; r != nil && l.k.mem.Base() >= r.First+bridge.Position(len(r.Readings)) {
		l.k.books.Index.Dead.Retry = nil
		l.k.metaDue = true
	}
}

// endRetry finds out at the start how many letters had come back into the queue:
// those stay there, the others are dead letters still.
func (l *letters) endRetry() {
	r := l.k.books.Index.Dead.Retry
	if r == nil {
		return
	}
	l.k.books.Index.Dead.Retry = nil
	n := 0
	for p := r.First; n < len(r.Readings) && (l.k.books.Done.Has(p) || l.k.shelf.Of(p) != nil); p++ {
		n++
	}
	l.from = r.From + bridge.Position(n)
	if s := l.shelf.Of(r.From); s != nil {
		s.Done = s.Done.Add(r.Count(n))
	}
}

// verify reads the dead letters. Damaged ones are repaired.
func (l *letters) verify(found func(folder.Verified)) error {
	if err := l.turnOver(true); err != nil {
		return err
	}
	var failed error
	for _, s := range slices.Clone(l.shelf.Segments) {
		s.Verified = false
		_, err := l.readSegment(s, max(s.First, l.from), func(folder.DeadLetter) (bool, error) { return true, nil })
		v := folder.Verified{File: l.k.name(s.Path), Bytes: s.Bytes, Count: s.Waiting(), Damage: err}
		if err != nil {
			v.Count = bridge.Count{}
		}
		found(v)
		if segment.IsDamage(err) {
			failed = errors.Join(failed, l.k.repair(&l.shelf, s))
		}
	}
	return failed
}
