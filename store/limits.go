package store

import (
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
	"fieldbridge/store/space"
	"fieldbridge/store/terms"
)

const (
	// freeEvery is how often the free space of the file system is asked for
	// while nothing is written.
	freeEvery = 10 * time.Second

	// dropTrouble is how long after a drop the queue is reported as full.
	dropTrouble = time.Minute
)

// limits is what the keeper knows of the disk.
type limits struct {
	space   space.Space
	other   int64 // bytes of files beside the segments
	counted bool  // other is right
	hopeful int64 // since when it seems no longer full, under drop-newest; ns since the start of the run, or 0
	dropped int64 // when the oldest segment was last dropped; ns since the start of the run
}

// makeRoom keeps the limits before something is written. It reports false when
// nothing may be written.
func (k *keeper) makeRoom() bool {
	k.dropAged()
	k.limits.space.Ask(k.shelf.Dir, k.now(), int64(k.cfg.Load().MinFree), segment.GrowBy)
	for {
		over := k.used()+segment.GrowBy > int64(k.cfg.Load().MaxSize)
		if !over && k.limits.space.Allows(segment.GrowBy) {
			k.setFull(false)
			return true
		}
		if k.thin.now() {
			continue
		}
		if k.cfg.Load().WhenFull == terms.DropNewest {
			k.setFull(true)
			return false
		}
		s := k.oldestIdle()
		if s == nil {
			// All is in flight or in memory: a little more does no harm, and a
			// disk that is really full says so.
			return true
		}
		k.limits.space.Gave(k.dropSegment(s, books.DroppedFull))
		k.limits.dropped = k.now()
		why, advice := k.limits.space.Full(k.shelf.Dir)
		k.raise(condition.QueueDropsOldest, bridge.ErrFull, why, advice)
	}
}

// setFull turns the policy drop-newest on or off.
func (k *keeper) setFull(full bool) {
	k.mu.Lock()
	was := k.full
	k.full = full
	k.mu.Unlock()
	switch {
	case full && !was:
		why, advice := k.limits.space.Full(k.shelf.Dir)
		k.raise(condition.QueueRefusesNew, bridge.ErrFull, why, advice)
	case !full && was:
		k.limits.hopeful = k.now() // the next write will tell
	}
	if full {
		k.limits.hopeful = 0
	}
}

// noLongerFull ends the report of a queue that was full and is not any more, once
// something was written, or there was nothing to write for a while.
func (k *keeper) noLongerFull(committed bool) {
	l := &k.limits
	if l.hopeful == 0 {
		return
	}
	k.mu.Lock()
	idle := k.mem.Pending().Batches == 0 && k.now()-l.hopeful >= int64(dropTrouble)
	k.mu.Unlock()
	if committed || idle {
		l.hopeful = 0
		k.recover(condition.QueueDropsOldest, condition.QueueRefusesNew)
	}
}

// calm ends the report of a full queue some time after the last drop, and lets
// a queue that was full look again.
func (k *keeper) calm() {
	k.mu.Lock()
	full, trouble := k.full, k.troubledByLimits()
	k.mu.Unlock()
	switch {
	case full:
		k.makeRoom()
	case trouble && k.limits.hopeful == 0 && k.now()-k.limits.dropped >= int64(dropTrouble):
		k.recover(condition.QueueDropsOldest, condition.QueueRefusesNew)
	}
}

// dropPending drops what is due in memory while the queue is full: the policy
// is drop-newest.
func (k *keeper) dropPending(upTo bridge.Position) {
	k.mu.Lock()
	g := k.mem.Give(upTo) // what is in flight may still arrive
	k.dropLocked(g.Gaps, g.Count, books.DroppedFull, 0, 0)
	k.mu.Unlock()
	for _, safe := range g.Safes {
		safe(bridge.ErrFull)
	}
}

// used returns the disk space of everything in the folder.
func (k *keeper) used() int64 {
	if !k.limits.counted {
		k.countOther()
	}
	total := k.limits.other
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.shelf.Segments {
		total += s.Bytes
	}
	return total
}

// countOther counts the files beside the segments, and keeps the quarantine
// below its limit.
func (k *keeper) countOther() {
	for _, name := range folder.TrimQuarantine(k.shelf.Dir, k.cfg.Load().Tenth()) {
		k.log.Warn("a file in quarantine is deleted, the oldest of too many", "file", name)
	}
	k.limits.other, k.limits.counted = folder.OtherSize(k.shelf.Dir), true
}

// oldestIdle returns the oldest segment with nothing in flight. The one that is
// being written is closed for it, if it is the only one.
func (k *keeper) oldestIdle() *folder.Stored {
	s := k.findIdle()
	if s != nil && s == k.shelf.Writer {
		k.seal(&k.shelf)
	}
	return s
}

func (k *keeper) findIdle() *folder.Stored {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.shelf.Segments {
		if s.Written.Batches > 0 && !k.dead.In(s) && !k.mem.ClaimedWithin(s.First, s.Last) {
			return s
		}
	}
	return nil
}

// dropSegment drops what waits in a segment, and deletes its file. It returns
// the bytes that this gives.
func (k *keeper) dropSegment(s *folder.Stored, cause string) int64 {
	k.mu.Lock()
	lost := s.Waiting()
	k.dropLocked(k.books.Done.Missing(s.First, s.Last+1), lost, cause, s.Oldest, s.Newest)
	s.Done = s.Written
	k.books.Index.Removed = append(k.books.Index.Removed, s.First)
	k.metaDue = true
	bytes := s.Bytes
	k.mu.Unlock()
	k.forget(&k.shelf, s)
	// The account of it first: after a cut in between, the file is deleted at
	// the next start. On a full disk there may be no room for that.
	if err := k.writeMeta(); err != nil {
		k.log.Warn("a segment is dropped before that is recorded", "err", err)
	}
	k.remove(&k.shelf, s)
	k.mu.Lock()
	k.books.Index.Removed = slices.DeleteFunc(k.books.Index.Removed, func(p bridge.Position) bool { return p == s.First })
	k.mu.Unlock()
	k.log.Warn("readings are dropped", "cause", cause, "readings", lost.Readings, "batches", lost.Batches,
		"from", time.UnixMilli(s.Oldest).UTC().Format(time.RFC3339), "to",
		time.UnixMilli(s.Newest).UTC().Format(time.RFC3339))
	return bytes
}

// dropAged drops the segments whose newest block is older than max_age.
func (k *keeper) dropAged() {
	if k.cfg.Load().MaxAge == 0 {
		return
	}
	for {
		k.mu.Lock()
		var s *folder.Stored
		if len(k.shelf.Segments) > 0 && k.shelf.Segments[0].Uptime+k.cfg.Load().MaxAge.D().Milliseconds() <= k.uptime() {
			s = k.shelf.Segments[0]
		}
		k.mu.Unlock()
		if s == nil || k.findIdle() != s {
			return
		}
		if s == k.shelf.Writer {
			k.seal(&k.shelf)
		}
		k.dropSegment(s, books.DroppedAge)
	}
}

// ageDueLocked returns when the next segment is too old, 0 for never.
func (k *keeper) ageDueLocked() int64 {
	if k.cfg.Load().MaxAge == 0 || len(k.shelf.Segments) == 0 {
		return 0
	}
	left := k.shelf.Segments[0].Uptime + k.cfg.Load().MaxAge.D().Milliseconds() - k.uptime()
	return max(k.now()+left*int64(time.Millisecond), k.now()+int64(time.Second))
}

// tellBudget keeps the account of the flash budget, and tells what it costs and when it
// does not suffice.
func (k *keeper) tellBudget(committed bool) {
	k.mu.Lock()
	k.spendLocked()
	now := k.now()
	due, at := k.commitDueLocked()
	k.told.Note(now, due != 0 && due <= now && at > now, k.flash.Pace())
	if committed {
		k.flash.Committed(k.uptime())
	}
	if k.flash.Stale() {
		k.metaDueLocked()
	}
	over, even := k.flash.Overdrawn(), k.flash.Even()
	k.mu.Unlock()
	if pace, news := k.told.News(now); news && pace > 0 {
		k.raise(condition.QueueTurnedDown, nil, pace)
	} else if news {
		k.recover(condition.QueueTurnedDown)
	}
	if over {
		k.raise(condition.QueueOverdrawn, nil, k.cfg.Load().FlashBudget)
	} else if even {
		k.recover(condition.QueueOverdrawn)
	}
}
