package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

// quarantine sets a damaged file aside. If that is impossible it stays where it
// is, and is in nobody's way.
func (k *keeper) quarantine(path string, cause error) {
	k.setAside(path, cause, os.Rename)
}

// replaceDamaged sets a damaged file aside and puts the one at by in its place.
// There is a file at path all the time: a cut in between brings the damaged one.
func (k *keeper) replaceDamaged(path, by string, cause error) error {
	if !k.setAside(path, cause, os.Link) {
		k.setAside(path, cause, os.Rename) // links are not for every file system
	}
	if err := os.Rename(by, path); err != nil {
		return fmt.Errorf("put a repaired file in its place: %w", err)
	}
	return disk.SyncDir(filepath.Dir(path))
}

// setAside moves or links a damaged file to the quarantine, and tells it.
func (k *keeper) setAside(path string, cause error, move func(from, to string) error) bool {
	to, err := folder.SetAside(k.shelf.Dir, path, strings.ReplaceAll(k.name(path), "/", "-"), move)
	if err != nil {
		k.log.Error("a damaged file of the queue cannot be set aside", "file", path, "damage", cause, "err", err)
		return false
	}
	k.log.Error("a damaged file of the queue is set aside", "file", path, "now", to, "damage", cause)
	k.limits.counted = false
	k.mu.Lock()
	k.stats.Quarantined++
	k.mu.Unlock()
	k.raise(condition.QueueDamaged, nil, cause, to)
	return true
}

// repairSuspects repairs the segments that could not be read.
func (k *keeper) repairSuspects() {
	if k.now() < k.repairAt {
		return
	}
	type suspect struct {
		shelf  *folder.Shelf
		stored *folder.Stored
	}
	var suspects []suspect
	k.mu.Lock()
	for _, sh := range k.shelves() {
		for _, s := range sh.Segments {
			if s.Suspect != nil {
				suspects = append(suspects, suspect{sh, s})
			}
		}
	}
	k.mu.Unlock()
	for _, s := range suspects {
		k.pulse.Within(diskTime)
		if err := k.repair(s.shelf, s.stored); err != nil {
			k.repairAt = k.now() + int64(retryMost)
			if errors.Is(err, errUnread) {
				k.repairAt = k.now() + int64(rereadEvery)
			}
			k.log.Debug("a segment cannot be repaired now, trying again", "file", s.stored.Path, "err", err)
			k.raise(condition.QueueUnreadable, err, disk.Advice(err))
			continue
		}
		k.recover(condition.QueueUnreadable)
		k.nudgeBoth()
	}
}

const (
	// patience is how long a disk that gives errors may take to come to its
	// senses, before what it does not give is taken for lost.
	patience    = time.Minute
	rereadEvery = 2 * time.Second
)

var errUnread = fmt.Errorf("the disk does not give all of it: %w", syscall.EIO)

// mended reports whether a segment that could not be read now can, all of it:
// nothing was wrong with it but the disk. An error may pass.
func (k *keeper) mended(sh *folder.Shelf, s *folder.Stored) (bool, error) {
	k.files.Lock()
	defer k.files.Unlock()
	k.read.Close(s)
	file, err := segment.Open(s.Path, k.segmentSize(sh))
	if err == nil {
		err = file.Check(&s.Account)
	}
	_ = file.Close()
	if segment.IsDamage(err) || errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// repair keeps of a damaged segment what can be read, in a new file, and sets
// the damaged one aside. What is lost is counted and named in tombstones. An
// error means that nothing was changed, as when the disk is full.
func (k *keeper) repair(sh *folder.Shelf, s *folder.Stored) error {
	if s == sh.Writer {
		k.seal(sh)
	}
	if ok, err := k.mended(sh, s); ok || err != nil {
		return k.readAgain(s, err)
	}
	cause := s.Suspect
	found, err := segment.Salvage(s.Path, s.First, s.Last+1)
	defer func() { _ = found.Close() }()
	unread := func() bool { return found != nil && found.Unread > 0 || errors.Is(err, syscall.EIO) }
	if unread() {
		if k.patient(s) {
			return errUnread
		}
	} else if ok, err := k.mended(sh, s); ok || err != nil { // the disk came to its senses meanwhile
		return k.readAgain(s, err)
	}
	kept := k.survey(sh, found)
	if unread() && k.patient(s) {
		return errUnread
	}
	var account block.Account
	tmp := s.Path + ".repair" + disk.Temporary
	if kept.Waiting.Batches > 0 {
		if account, err = found.Rebuild(tmp, k.segmentSize(sh)); err != nil {
			_ = os.Remove(tmp)
			return err
		}
	}
	lost := k.lose(sh, s, &kept, account)
	if sh.Dead && found != nil {
		k.mu.Lock()
		kept.NameLetters(&k.books, max(s.First, k.letters.from), s.Last, found.Blocks)
		k.mu.Unlock()
	}
	// First the account of it, then the files: after a cut in between, the
	// damaged file is found and repaired once more, and no more is lost.
	if err := k.writeMeta(); err != nil && kept.Waiting.Batches > 0 {
		_ = os.Remove(tmp)
		return err
	}
	cause = fmt.Errorf("segment %s is damaged, %d readings are lost: %w", k.name(s.Path), lost.Readings, cause)
	if kept.Waiting.Batches == 0 {
		k.quarantine(s.Path, cause)
		k.forget(sh, s)
		return nil
	}
	if err := k.replaceDamaged(s.Path, tmp, cause); err != nil {
		k.log.Error("a damaged segment of the queue is not repaired", "file", s.Path, "err", err)
	}
	k.mu.Lock()
	s.Suspect = nil
	s.Bytes = disk.Size(s.Path)
	k.mu.Unlock()
	k.files.Lock()
	s.Verified = true
	k.files.Unlock()
	return nil
}

// patient takes note that the disk does not give all of a segment, and reports
// whether that may pass yet.
func (k *keeper) patient(s *folder.Stored) bool {
	if s.UnreadSince == 0 {
		s.UnreadSince = k.now()
	}
	return k.now()-s.UnreadSince < int64(patience)
}

// readAgain takes note that nothing is wrong with a segment, if there is no error.
func (k *keeper) readAgain(s *folder.Stored, err error) error {
	if err != nil {
		return err
	}
	k.mu.Lock()
	s.Suspect = nil
	k.mu.Unlock()
	s.UnreadSince = 0
	k.log.Info("a segment can be read again", "file", s.Path)
	return nil
}

// survey counts what was found in a damaged segment, which may be nothing.
func (k *keeper) survey(sh *folder.Shelf, found *segment.Salvaged) folder.Survivors {
	return folder.SurvivorsOf(found, func(p bridge.Position) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return sh.Dead && p < k.letters.from || !sh.Dead && k.books.Done.Has(p)
	})
}

// lose accounts for what is lost of a segment: what waited in it and is not
// among the survivors.
func (k *keeper) lose(sh *folder.Shelf, s *folder.Stored, kept *folder.Survivors, account block.Account) bridge.Count {
	k.mu.Lock()
	defer k.mu.Unlock()
	lost := folder.Surplus(s.Waiting(), kept.Waiting)
	// What was recorded as done may be among what is lost: then more waits.
	more := folder.Surplus(kept.Waiting, s.Waiting())
	if sh.Dead {
		k.books.FindDead(more)
		k.books.LoseDead(lost)
	} else {
		k.books.Find(more)
		var gaps []books.Span
		for _, g := range k.books.Done.Missing(s.First, s.Last+1) {
			gaps = append(gaps, kept.Positions.Missing(g.From, g.To)...)
		}
		k.damageLocked(gaps, lost, s.Oldest, s.Newest)
	}
	s.Written, s.Done = account.Written, kept.Done
	if kept.Waiting.Batches > 0 {
		account.First, account.Repaired = s.First, true
		s.Account = account
	}
	k.metaDue = true
	k.ackDue = k.now()
	return lost
}

// salvageUnknown looks for whole blocks in a segment of which nothing is known,
// at the start. What lies between them is counted by their neighbours; what may
// have come after the last one is not known.
func (k *keeper) salvageUnknown(sh *folder.Shelf, s *folder.Stored, limit bridge.Position, cause error) {
	found, err := segment.Salvage(s.Path, s.First, limit)
	_ = found.Close()
	var blocks []segment.Found
	if err == nil {
		blocks = found.Blocks
	}
	s.Last, s.Written = s.First-1, bridge.Count{}
	if len(blocks) > 0 {
		for i := range blocks {
			s.Take(&blocks[i].Header)
			if !sh.Dead {
				k.learnRun(&blocks[i].Header)
			}
		}
		before := blocks[0].Before
		if !sh.Dead && k.books.Index.Writer == s.First {
			before = k.books.Index.Before
		} else if n := len(sh.Segments); n > 0 {
			before = sh.Segments[n-1].Total
		}
		s.Written = s.Total.Sub(before)
	}
	end := limit - 1
	if limit == block.MaxPosition {
		end = 0
	}
	if !sh.Dead {
		k.missAfter(s.Last, end)
	}
	if len(blocks) == 0 {
		k.quarantine(s.Path, fmt.Errorf("segment %s is damaged, nothing in it can be read: %w", k.name(s.Path), cause))
		s.Last = 0
		return
	}
	s.Suspect = cause
}

// missAfter adds an open-ended tombstone for what may have come after position
// p, up to end if that is known.
func (k *keeper) missAfter(p, end bridge.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.books.MissAfter(p, end)
	k.postLocked()
}

// learnRuns adds the runs of a segment's blocks to the index, if that was lost.
func (k *keeper) learnRuns(s *folder.Stored) {
	// What cannot be read is found, and named, when it is needed.
	_ = s.File.Walk(func(h *block.Header, _ []byte) error {
		k.learnRun(h)
		return nil
	})
}

func (k *keeper) learnRun(h *block.Header) {
	k.books.Index.Runs.Learn(h.Run, h.First-bridge.Position(h.Seq), h.Wall-h.Mono)
}

// missSegments accounts for the segments of the index that are not there and
// are not known to be done.
func (k *keeper) missSegments(missing []block.Account, acks *books.Record) {
	w := k.books.Index.Writer
	known := slices.ContainsFunc(k.shelf.Segments, func(s *folder.Stored) bool { return s.First == w })
	if w != 0 && !known && (acks.Next <= w || k.books.Done.Next(w) < acks.Next) {
		k.log.Error("the newest segment of the queue is gone", "file", folder.SegmentPath(k.shelf.Dir, w))
		k.missAfter(w-1, 0)
	}
	for i := range missing {
		m := &missing[i]
		if slices.Contains(k.books.Index.Removed, m.First) {
			continue
		}
		gaps := k.books.Done.Missing(m.First, m.Last+1)
		lost := m.Written.Sub(acks.Counts[m.First])
		if len(gaps) == 0 || lost.Batches == 0 || lost.Batches > m.Written.Batches {
			continue
		}
		k.log.Error("a segment of the queue is gone",
			"file", folder.SegmentPath(k.shelf.Dir, m.First), "readings", lost.Readings)
		k.books.Find(lost)
		k.damageLocked(gaps, lost, m.Oldest, m.Newest)
	}
}
