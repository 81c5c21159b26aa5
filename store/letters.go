package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/memory"
	"fieldbridge/store/segment"
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
		next, err := s.ReadLetters(p, l.k.segmentSize(&l.shelf), visit)
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

// someLetters returns the oldest letters: some of one segment, whose numbers follow
// one another. s is nil when there are none. With own it is an error if another gateway
// measured the oldest, and only those before the first of another's are returned.
func (l *letters) someLetters(own bool) (s *folder.Stored, some []folder.DeadLetter, n bridge.Count, err error) {
	next, cost := l.from, uint64(0)
	s, _, err = l.readLetters(next, func(x folder.DeadLetter) (bool, error) {
		other := ""
		if own {
			other = l.k.origins.Other(x.Run)
		}
		if len(some) > 0 && (x.Number != next || other != "") {
			return false, nil
		}
		if other != "" {
			return false, fmt.Errorf("the oldest dead letter was measured by %s, and would go out as this gateway's: "+
				"purge the dead letters, or name this gateway %s while you retry them", other, other)
		}
		some, next = append(some, x), x.Number+1
		n = n.Add(bridge.Count{Batches: 1, Readings: uint64(len(x.Readings))})
		cost += memory.CostOf(&x.Batch)
		return cost < l.most, nil
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
	s, some, n, err := l.someLetters(false)
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
		if total <= l.k.cfg.Load().Tenth() || len(l.shelf.Segments) < 2 || l.k.books.Index.Dead.Retry != nil {
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
	s, some, n, err := l.someLetters(true)
	if err != nil || s == nil {
		return bridge.Count{}, err
	}
	r := &books.Retry{From: some[0].Number}
	l.k.mu.Lock()
	for i := range some {
		r.Readings = append(r.Readings, uint64(len(some[i].Readings)))
	}
	l.k.books.Index.Dead.Retry, l.k.metaDue = r, true
	l.k.mu.Unlock()
	// Before the journal has them, which alone knows then what became of which.
	err = l.k.writeMeta()
	l.k.mu.Lock()
	if err != nil {
		l.k.books.Index.Dead.Retry = nil
		l.k.mu.Unlock()
		return n, err
	}
	r = &books.Retry{From: r.From, First: l.k.mem.End(), Readings: r.Readings}
	l.k.origins.Renumber(l.k.run, l.k.mem.Seq(r.First), len(some),
		func(i int) (string, uint64) { return some[i].Run, some[i].Seq })
	for i := range some {
		p, now := l.k.mem.End(), l.k.now()
		place := l.k.journal.Note(p, l.k.mem.Seq(p), now/1e6, some[i].Number, &some[i].Batch)
		l.k.mem.Push(&some[i].Batch, nil, now, place)
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
	r := l.k.books.Index.Dead.Retry
	if r != nil && l.k.owed == nil && l.k.mem.Base() >= r.First+bridge.Position(len(r.Readings)) {
		l.k.books.Index.Dead.Retry = nil
		l.k.metaDue = true
	}
}

// endRetry finds out at the start how many letters had come back into the queue: those
// stay there, the others are dead letters still. Those that the journal alone has are on
// their way until they are on disk.
func (l *letters) endRetry(left *journal.Found) {
	r := l.k.books.Index.Dead.Retry
	if r == nil {
		return
	}
	first := cmp.Or(r.First, left.Again[r.From]) // 0 if it had not yet begun
	durable, n := r.Came(first, func(p bridge.Position) bool {
		return l.k.books.Done.Has(p) || l.k.shelf.Of(p) != nil
	}, left.Has)
	l.from = r.From + bridge.Position(n)
	if s := l.shelf.Of(r.From); s != nil {
		s.Done = s.Done.Add(r.Count(n))
	}
	l.k.books.Index.Dead.Retry = r.Rest(first, durable, n)
}

// verify reads the dead letters. Damaged ones are repaired.
func (l *letters) verify(found func(folder.Verified)) error {
	if err := l.turnOver(true); err != nil {
		return err
	}
	var failed error
	for _, s := range slices.Clone(l.shelf.Segments) {
		s.Verified = false
		_, err := s.ReadLetters(max(s.First, l.from), l.k.segmentSize(&l.shelf),
			func(folder.DeadLetter) (bool, error) { return true, nil })
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
