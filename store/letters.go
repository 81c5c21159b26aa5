package store

import (
	"context"
	"errors"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
	"fieldbridge/store/segment"
)

// Dead calls visit with the dead letters on disk, the oldest first.
func (q *Queue) Dead(ctx context.Context, visit func(folder.DeadLetter) error) error {
	return q.ask(ctx, func() error {
		if err := q.turnOver(true); err != nil {
			return err
		}
		for p := q.letters.from; ; {
			_, next, err := q.readLetters(p, func(l folder.DeadLetter) (bool, error) { return true, visit(l) })
			if err != nil || next == 0 {
				return err
			}
			p = next
		}
	})
}

// readLetters calls visit with the letters from number p on of one segment, until
// it wants no more, and returns the segment and where to go on; 0 at the end. A
// segment that is damaged is repaired first.
func (q *Queue) readLetters(p bridge.Position, visit func(folder.DeadLetter) (more bool, err error)) (*folder.Stored, bridge.Position, error) {
	for {
		s := q.letters.shelf.From(p)
		if s == nil {
			return nil, 0, nil
		}
		next, err := q.readSegment(s, p, visit)
		if s.Suspect == nil {
			return s, next, err
		}
		if err := q.repair(&q.letters.shelf, s); err != nil {
			q.mu.Lock()
			q.alarmLocked(q.now())
			q.mu.Unlock()
			return nil, 0, err
		}
		p = next
	}
}

// readSegment calls visit with the letters of a segment from number p on, and
// returns where to go on. If it finds the segment damaged, it says so in it.
func (q *Queue) readSegment(s *folder.Stored, p bridge.Position, visit func(folder.DeadLetter) (bool, error)) (bridge.Position, error) {
	file := s.File
	if file == nil {
		if s.Suspect != nil {
			return p, s.Suspect
		}
		var err error
		if file, err = segment.Open(s.Path, q.segmentSize(&q.letters.shelf)); err == nil {
			defer file.Close()
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
func (q *Queue) someLetters() (s *folder.Stored, some []folder.DeadLetter, n bridge.Count, err error) {
	next := q.letters.from
	s, _, err = q.readLetters(next, func(l folder.DeadLetter) (bool, error) {
		if len(some) > 0 && l.Number != next {
			return false, nil
		}
		some, next = append(some, l), l.Number+1
		n = n.Add(bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))})
		return memory.Cost(n) < q.letters.most, nil
	})
	return s, some, n, err
}

// passLocked takes note that some of a segment, the oldest letters, are gone.
func (q *Queue) passLocked(s *folder.Stored, some []folder.DeadLetter, n bridge.Count) {
	q.letters.from = some[len(some)-1].Number + 1
	s.Done = s.Done.Add(n)
	q.metaDue = true
}

// RetryDead queues the dead letters once more, as batches of this run. It
// returns how many there were.
func (q *Queue) RetryDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, q.retrySome)
}

// PurgeDead drops the dead letters, and returns how many there were.
func (q *Queue) PurgeDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, func() (bridge.Count, error) { return q.dropLetters(books.Purged) })
}

// emptyDead takes the dead letters out, some at a time.
func (q *Queue) emptyDead(ctx context.Context, take func() (bridge.Count, error)) (total bridge.Count, err error) {
	for {
		var n bridge.Count
		err := q.ask(ctx, func() (err error) {
			// The batches that they were are recorded as done first: nothing says so
			// any more when they are gone.
			if err = errors.Join(q.turnOver(true), q.bury(), q.record(true)); err == nil {
				n, err = take()
			}
			return err
		})
		total = total.Add(n)
		if err != nil || n.Batches == 0 {
			q.nudgeBoth()
			return total, err
		}
	}
}

// dropLetters drops the oldest letters, some at a time.
func (q *Queue) dropLetters(cause string) (bridge.Count, error) {
	s, some, n, err := q.someLetters()
	if err != nil || s == nil {
		return bridge.Count{}, err
	}
	q.mu.Lock()
	for i := range some {
		q.books.DropDead(some[i].Letter(), cause)
	}
	q.postLocked()
	q.passLocked(s, some, n)
	q.mu.Unlock()
	err = q.writeMeta()
	q.removeGone()
	return n, err
}

// trimDead drops the oldest segments of dead letters beyond their limit, a tenth
// of max_size.
func (q *Queue) trimDead() error {
	for {
		total := int64(0)
		for _, s := range q.letters.shelf.Segments {
			total += s.Bytes
		}
		if total <= q.cfg.Load().tenth() || len(q.letters.shelf.Segments) < 2 || q.books.Index.Dead.Retry != nil {
			return nil
		}
		for last := q.letters.shelf.Segments[0].Last; q.letters.from <= last; {
			if n, err := q.dropLetters(books.DroppedDead); err != nil || n.Batches == 0 {
				return err
			}
		}
	}
}

// retrySome queues the oldest letters, and waits until they are on disk.
func (q *Queue) retrySome() (bridge.Count, error) {
	if q.books.Index.Dead.Retry != nil { // of a try before, when the disk failed
		if err := q.tend(true); err != nil {
			return bridge.Count{}, err
		}
	}
	s, some, n, err := q.someLetters()
	if err != nil || s == nil {
		return bridge.Count{}, err
	}
	q.mu.Lock()
	r := &books.Retry{From: some[0].Number, First: q.mem.End()}
	for i := range some {
		r.Readings = append(r.Readings, uint64(len(some[i].Readings)))
		q.mem.Push(some[i].Batch, nil, q.now())
		q.books.Retry(some[i].Letter())
	}
	q.postLocked()
	q.books.Index.Dead.Retry = r
	q.passLocked(s, some, n)
	q.mu.Unlock()
	if err := q.writeMeta(); err != nil {
		return n, err
	}
	return n, q.tend(true)
}

// retried takes note that the letters are in the queue, once they are on disk or
// done there and that is recorded.
func (q *Queue) retried() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.books.Index.Dead.Retry; r != nil && q.mem.Base() >= r.First+bridge.Position(len(r.Readings)) {
		q.books.Index.Dead.Retry = nil
		q.metaDue = true
	}
}

// endRetry finds out at the start how many letters had come back into the queue:
// those stay there, the others are dead letters still.
func (q *Queue) endRetry() {
	r := q.books.Index.Dead.Retry
	if r == nil {
		return
	}
	q.books.Index.Dead.Retry = nil
	n := 0
	for p := r.First; n < len(r.Readings) && (q.books.Done.Has(p) || q.shelf.Of(p) != nil); p++ {
		n++
	}
	q.letters.from = r.From + bridge.Position(n)
	if s := q.letters.shelf.Of(r.From); s != nil {
		s.Done = s.Done.Add(r.Count(n))
	}
}
