package store

import (
	"errors"
	"os"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
	"fieldbridge/store/thin"
)

const (
	// thinBefore is how many segments before a limit thinning begins: as long as they
	// last it need not hurry.
	thinBefore = 2
	// thinPoint is for how many bytes of the memory one point may be thinned.
	thinPoint = 128
	// thinAgain is how long after a write for which there was no room it is tried again.
	thinAgain = time.Minute
)

// thinning is what the keeper knows of the aggregates that it makes.
type thinning struct {
	k      *keeper
	rules  thin.Rules       // nil: nothing is thinned
	job    *folder.Slimming // under way, nil for none
	after  int64            // none before; ns since the start of the run
	broken []*folder.Stored // what could not be thinned
}

// ThinBy has the queue make aggregates of its oldest readings before it drops any, as
// rules say.
func (q *Queue) ThinBy(rules thin.Rules) {
	select {
	case q.keep.asks <- func() { q.keep.thin.rules = rules }:
	case <-q.keep.ended:
	}
}

// ahead begins to thin the oldest detail when a limit is near.
func (t *thinning) ahead() {
	if t.rules == nil || t.rules.Levels() == 0 {
		return
	}
	near := thinBefore * t.k.segmentSize(&t.k.shelf)
	if t.k.used()+near+segment.GrowBy <= int64(t.k.cfg.Load().MaxSize) && !t.k.limits.space.Near(near) {
		t.k.recover(condition.QueueThins)
		return
	}
	if t.job != nil || t.k.now() < t.after || !t.next() {
		return
	}
	j, rules, most := t.job, t.rules, t.most()
	go func() {
		j.Run(rules, most)
		select {
		case t.k.asks <- func() {
			if t.job == j && t.finish() {
				t.ahead()
			}
		}:
		case <-t.k.stop: // who stops waits for it, and removes what it made
		}
	}()
}

// most returns how many points may be thinned at once.
func (t *thinning) most() int { return int(t.k.cfg.Load().MemoryMost() / thinPoint) }

// now makes aggregates of the oldest detail when a limit is reached. It reports
// whether there is less on disk now.
func (t *thinning) now() bool {
	for t.rules != nil && t.k.now() >= t.after {
		switch {
		case t.job != nil:
			t.job.Hurry()
			<-t.job.Ended
		case t.next():
			t.job.Hurry()
			t.job.Run(t.rules, t.most())
		default:
			return false
		}
		t.k.pulse.Within(diskTime)
		if t.finish() {
			return true
		}
	}
	return false
}

// next makes ready what is to be thinned next, if there is something.
func (t *thinning) next() bool {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	size := t.k.segmentSize(&t.k.shelf)
	some, level := t.k.shelf.Next(t.rules.Levels(), size, func(s *folder.Stored) bool {
		return t.restsLocked(s) && !slices.Contains(t.broken, s)
	})
	if some != nil {
		t.job = folder.NewSlimming(some, level, t.k.books.Done, t.k.block, size)
	}
	return some != nil
}

// restsLocked reports whether nobody reads or writes a segment, and all of it is in one
// lane.
func (t *thinning) restsLocked(s *folder.Stored) bool {
	mark := t.k.books.Mark()
	return s != t.k.shelf.Writer && s.Written.Batches > 0 && s.Suspect == nil && !t.k.dead.In(s) &&
		(s.Last < mark || s.First >= mark) && !t.k.mem.ClaimedWithin(s.First, s.Last) && !t.k.mem.Loaded(s.First, s.Last)
}

var errDisturbed = errors.New("a segment is read while it is thinned")

// finish ends a slimming: what it made takes the place of what it was made of. It reports
// whether that is so.
func (t *thinning) finish() bool {
	j := t.job
	t.job = nil
	err := j.Err
	if err == nil && j.Worth {
		err = errors.Join(t.k.record(true), t.replace(j)) // what is done is left out of it
	}
	if err == nil && j.Worth {
		t.k.raise(condition.QueueThins, nil)
		t.k.log.Info("readings are thinned", "readings", j.Tally.Thinned.Readings, "aggregates", j.Tally.Made,
			"from", time.UnixMilli(j.To.Oldest).UTC().Format(time.RFC3339),
			"to", time.UnixMilli(j.To.Newest).UTC().Format(time.RFC3339))
		return true
	}
	if err == nil {
		t.k.mu.Lock()
		for _, s := range j.Segments {
			s.Thinned = j.Level
		}
		t.k.mu.Unlock()
		return false
	}
	t.k.log.Debug("readings are not thinned", "file", j.Name(), "err", err)
	switch {
	case errors.Is(err, errDisturbed):
	case disk.NoRoom(err):
		t.after = t.k.now() + int64(thinAgain)
	default:
		t.broken = append(t.broken, j.Segments[0])
	}
	j.GiveUp()
	return false
}

// replace puts what a slimming made in the place of what it was made of. The index says so
// first: a cut after it is followed by a start that goes on, one before it changes
// nothing. Nobody reads meanwhile.
func (t *thinning) replace(j *folder.Slimming) error {
	t.k.files.Lock()
	defer t.k.files.Unlock()
	t.k.mu.Lock()
	if !j.Untouched(&t.k.shelf, t.restsLocked) {
		t.k.mu.Unlock()
		return errDisturbed
	}
	j.To.Record = t.k.acks.Number()
	m := t.k.snapshotMetaLocked()
	j.Begin(&m)
	t.k.mu.Unlock()
	for _, s := range j.Segments {
		t.k.read.Close(s)
	}
	n, err := folder.WriteIndex(t.k.shelf.Dir, m)
	if err == nil {
		err = j.Replace()
	}
	bytes := disk.Size(j.Name())
	if err == nil {
		for _, s := range j.Segments[1:] {
			t.k.forget(&t.k.shelf, s)
			_ = os.Remove(s.Path) // the index says that it is gone
		}
	}
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.k.books.Told(err == nil)
	t.k.metaDueLocked() // it also takes back what could not be done
	if err != nil {
		return err
	}
	t.k.stats.Wrote(n, true)
	t.k.stats.Wrote(int(j.Written)+segment.CreateBytes, true)
	s := j.Segments[0]
	s.Account, s.Done, s.Bytes, s.Verified = j.To, bridge.Count{}, bytes, true
	t.k.books.Thin(&j.Thinning)
	t.k.postLocked()
	t.k.ackDue = 1
	return nil
}
