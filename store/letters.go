package store

import (
	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
	"fieldbridge/store/segment"
)

// readLetters calls visit with the letters from number p on of one segment, until
// it wants no more, and returns the segment and where to go on; 0 at the end. A
// segment that is damaged is repaired first.
func (k *keeper) readLetters(p bridge.Position, visit func(folder.DeadLetter) (more bool, err error)) (*folder.Stored, bridge.Position, error) {
	for {
		s := k.letters.shelf.From(p)
		if s == nil {
			return nil, 0, nil
		}
		next, err := k.readSegment(s, p, visit)
		if s.Suspect == nil {
			return s, next, err
		}
		if err := k.repair(&k.letters.shelf, s); err != nil {
			k.mu.Lock()
			k.alarmLocked(k.now())
			k.mu.Unlock()
			return nil, 0, err
		}
		p = next
	}
}

// readSegment calls visit with the letters of a segment from number p on, and
// returns where to go on. If it finds the segment damaged, it says so in it.
func (k *keeper) readSegment(s *folder.Stored, p bridge.Position, visit func(folder.DeadLetter) (bool, error)) (bridge.Position, error) {
	file := s.File
	if file == nil {
		if s.Suspect != nil {
			return p, s.Suspect
		}
		var err error
		if file, err = segment.Open(s.Path, k.segmentSize(&k.letters.shelf)); err == nil {
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
func (k *keeper) someLetters() (s *folder.Stored, some []folder.DeadLetter, n bridge.Count, err error) {
	next := k.letters.from
	s, _, err = k.readLetters(next, func(l folder.DeadLetter) (bool, error) {
		if len(some) > 0 && l.Number != next {
			return false, nil
		}
		some, next = append(some, l), l.Number+1
		n = n.Add(bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))})
		return memory.Cost(n) < k.letters.most, nil
	})
	return s, some, n, err
}

// passLocked takes note that some of a segment, the oldest letters, are gone.
func (k *keeper) passLocked(s *folder.Stored, some []folder.DeadLetter, n bridge.Count) {
	k.letters.from = some[len(some)-1].Number + 1
	s.Done = s.Done.Add(n)
	k.metaDue = true
}

// dropLetters drops the oldest letters, some at a time.
func (k *keeper) dropLetters(cause string) (bridge.Count, error) {
	s, some, n, err := k.someLetters()
	if err != nil || s == nil {
		return bridge.Count{}, err
	}
	k.mu.Lock()
	for i := range some {
		k.books.DropDead(some[i].Letter(), cause)
	}
	k.postLocked()
	k.passLocked(s, some, n)
	k.mu.Unlock()
	err = k.writeMeta()
	k.removeGone()
	return n, err
}

// trimDead drops the oldest segments of dead letters beyond their limit, a tenth
// of max_size.
func (k *keeper) trimDead() error {
	for {
		total := int64(0)
		for _, s := range k.letters.shelf.Segments {
			total += s.Bytes
		}
		if total <= k.cfg.Load().tenth() || len(k.letters.shelf.Segments) < 2 || k.books.Index.Dead.Retry != nil {
			return nil
		}
		for last := k.letters.shelf.Segments[0].Last; k.letters.from <= last; {
			if n, err := k.dropLetters(books.DroppedDead); err != nil || n.Batches == 0 {
				return err
			}
		}
	}
}

// retrySome queues the oldest letters, and waits until they are on disk.
func (k *keeper) retrySome() (bridge.Count, error) {
	if k.books.Index.Dead.Retry != nil { // of a try before, when the disk failed
		if err := k.tend(true); err != nil {
			return bridge.Count{}, err
		}
	}
	s, some, n, err := k.someLetters()
	if err != nil || s == nil {
		return bridge.Count{}, err
	}
	k.mu.Lock()
	r := &books.Retry{From: some[0].Number, First: k.mem.End()}
	for i := range some {
		r.Readings = append(r.Readings, uint64(len(some[i].Readings)))
		k.mem.Push(&some[i].Batch, nil, k.now())
		k.books.Retry(some[i].Letter())
	}
	k.postLocked()
	k.books.Index.Dead.Retry = r
	k.passLocked(s, some, n)
	k.mu.Unlock()
	if err := k.writeMeta(); err != nil {
		return n, err
	}
	return n, k.tend(true)
}

// retried takes note that the letters are in the queue, once they are on disk or
// done there and that is recorded.
func (k *keeper) retried() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.books.Index.Dead.Retry; r != nil && k.mem.Base() >= r.First+bridge.Position(len(r.Readings)) {
		k.books.Index.Dead.Retry = nil
		k.metaDue = true
	}
}

// endRetry finds out at the start how many letters had come back into the queue:
// those stay there, the others are dead letters still.
func (k *keeper) endRetry() {
	r := k.books.Index.Dead.Retry
	if r == nil {
		return
	}
	k.books.Index.Dead.Retry = nil
	n := 0
	for p := r.First; n < len(r.Readings) && (k.books.Done.Has(p) || k.shelf.Of(p) != nil); p++ {
		n++
	}
	k.letters.from = r.From + bridge.Position(n)
	if s := k.letters.shelf.Of(r.From); s != nil {
		s.Done = s.Done.Add(r.Count(n))
	}
}
