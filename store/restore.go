package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/memory"
	"fieldbridge/store/origins"
	"fieldbridge/store/segment"
	"fieldbridge/store/terms"
)

// openMeta reads the index. Without one, or with one that is damaged, the
// segments themselves are read.
func (k *keeper) openMeta() (found bool, err error) {
	m, found, err := folder.ReadIndex(k.shelf.Dir)
	var newer *folder.NewerFormatError
	switch {
	case errors.As(err, &newer):
		return false, newer
	case err != nil:
		k.quarantine(filepath.Join(k.shelf.Dir, folder.IndexFile), fmt.Errorf("the index of the queue is damaged: %w", err))
		return false, nil
	}
	k.books.Index, k.before = m, m.Uptime
	return found, nil
}

// openOrigins reads who measured what lies in the folder.
func (k *keeper) openOrigins() {
	var err error
	if k.origins, err = origins.Open(k.shelf.Dir); err != nil {
		k.quarantine(filepath.Join(k.shelf.Dir, origins.File), fmt.Errorf(
			"who measured what lies in the queue cannot be read, it goes out as this gateway's: %w", err))
	}
}

func (k *keeper) openAcks() books.Record {
	path := filepath.Join(k.shelf.Dir, "acks")
	a, r, err := folder.OpenAcks(path)
	if err != nil {
		a.Abandon()
		k.quarantine(path, fmt.Errorf(
			"the record of acknowledgements is damaged, what was acknowledged is sent again: %w", err))
	}
	k.acks = a
	k.books.Done = r.Done
	k.before = max(k.before, r.Uptime)
	return r
}

// openSegments finds the segments. Those in the index are not opened; the
// others, normally the newest alone, are read.
func (k *keeper) openSegments(acks *books.Record, indexed bool) {
	found, missing := k.shelf.List(k.books.Index.Segments)
	found = slices.DeleteFunc(found, func(s *folder.Stored) bool {
		removed := slices.Contains(k.books.Index.Removed, s.First)
		if removed {
			_ = os.Remove(s.Path)
		}
		return removed
	})
	k.shelf.Segments = found
	k.missSegments(missing, acks)
	k.shelf.Segments = nil
	k.openShelf(&k.shelf, found, !indexed)
	for _, s := range k.shelf.Segments {
		k.books.Done = s.CountDone(k.books.Done, acks)
	}
}

// openShelf takes over the segments that were found. Those of which nothing is
// known are read, and the newest is written to again if it is right and has room.
func (k *keeper) openShelf(sh *folder.Shelf, found []*folder.Stored, learnRuns bool) {
	for i, s := range found {
		k.pulse.Within(diskTime)
		limit := block.MaxPosition
		if i+1 < len(found) {
			limit = found[i+1].First
		}
		if s.Last == 0 {
			k.surveySegment(sh, s, limit, learnRuns)
		}
		if s.Written.Batches == 0 && s.Suspect == nil {
			s.Close()
			_ = os.Remove(s.Path) // made, and then the power was cut; or set aside
			continue
		}
		sh.Segments = append(sh.Segments, s)
		k.before = max(k.before, s.Uptime)
	}
	for i, s := range sh.Segments {
		if i == len(sh.Segments)-1 && s.Suspect == nil {
			k.openWriter(sh, s)
		} else {
			s.Close()
		}
	}
}

// surveySegment reads a segment that is not in the index.
func (k *keeper) surveySegment(sh *folder.Shelf, s *folder.Stored, limit bridge.Position, learnRuns bool) {
	var found block.Account
	file, err := segment.Open(s.Path, k.segmentSize(sh))
	if err == nil {
		found, err = file.Survey(s.First, limit)
	}
	if err != nil {
		_ = file.Close()
		k.salvageUnknown(sh, s, limit, err)
		return
	}
	s.File, s.Verified, s.Account = file, true, found
	if learnRuns {
		k.learnRuns(s)
	}
}

// openWriter goes on with a segment, the newest, if it has room.
func (k *keeper) openWriter(sh *folder.Shelf, s *folder.Stored) {
	size := k.segmentSize(sh)
	if s.Bytes > size*7/8 {
		s.Close()
		return
	}
	var err error
	if s.File == nil {
		if s.File, err = segment.Open(s.Path, size); err == nil {
			err = s.File.Check(&s.Account)
		}
	}
	if err != nil {
		s.Close()
		if segment.IsDamage(err) {
			s.Suspect = err
		}
		return
	}
	s.Verified = true
	sh.Writer = s
}

// begin numbers on from what was found, here and in the journal, and begins the run.
// A power cut may still take what the journal alone has: until that is restored the
// record of the run says no more of the one before than safe, an end.
func (k *keeper) begin(acks *books.Record, found *journal.Found, safe bridge.Position) {
	last := bridge.Position(0)
	if e := k.books.Done.End(); e > 0 {
		last = e - 1
	}
	// The journal knows how far the run got.
	if end := max(k.shelf.End(), found.End); end > 0 {
		last = max(last, end-1)
	}
	base := last
	if acks.Next > 0 {
		base = max(base, acks.Next-1)
	}
	if n := len(k.books.Index.Runs); n > 0 {
		base = max(base, k.books.Index.Runs[n-1].Base)
	}
	// Between what was found there is nothing.
	from := bridge.Position(0)
	upTo := func(p bridge.Position) {
		k.books.NameLost(acks.Next != 0, found.Run, found.Base, from, p)
		k.books.Forget(from, p)
	}
	for _, s := range k.shelf.Segments {
		upTo(s.First)
		from = s.Last + 1
		k.books.Find(s.Waiting())
	}
	for i := range found.Batches {
		b := &found.Batches[i]
		upTo(b.Position)
		from = b.Position + 1
		k.books.Find(bridge.Count{Batches: 1, Readings: uint64(len(b.Readings))})
	}
	k.books.NameLost(acks.Next != 0, found.Run, found.Base, from, last+1)
	k.postLocked()
	// Without a record nothing that is lost can be named, or it is named once more.
	if k.news = k.news || acks.Next == 0 || len(k.books.Untold()) > 0; k.news {
		k.ackDue = 1
	}
	k.books.Forget(from, base+1)
	k.mem = memory.New(k.run, base)
	k.books.SetMark(k.mem.Base())
	if r := k.books.Index.Runs.Named(found.Run); r != nil && found.End > r.Base+1 { // else it gave none
		k.reached = found.End - 1
	}
	k.books.Index.Runs.Begin(k.run, base, min(last, max(safe, 1)-1), time.Now().UnixMilli())
}

// openJournal opens the journal and returns what a process that was killed has left
// there.
func (k *keeper) openJournal() *journal.Found {
	cfg := k.cfg.Load()
	setting := cfg.Journal
	l, found, err := journal.OpenLog(k.shelf.Dir, setting, int(cfg.JournalMost()))
	k.journal = l
	if err != nil {
		if setting == journal.Auto && found.Aside == "" {
			k.log.Info("there is no journal: a kill takes readings that are not on disk yet", "why", err)
		} else {
			k.raise(condition.QueueJournal, err, err, "check store.journal")
		}
	}
	if n := len(found.Batches); n > 0 && !k.books.Index.Runs.Own(found.Run, found.Before, found.Batches[0].Position,
		found.Batches[n-1].Position, k.shelf.End(), found.Batches[0].At.UnixMilli()-found.Batches[0].Mono) {
		path, err := l.Aside()
		found = journal.Found{Aside: "it is of another copy of this queue", Path: path}
		if err != nil {
			k.raise(condition.QueueJournal, err, err, "check store.journal")
		}
	}
	if found.Aside != "" {
		err := fmt.Errorf("the journal of the queue cannot be used: %s", found.Aside)
		k.raise(condition.QueueJournal, err, err, found.Path+" is kept for a closer look")
	}
	return &found
}

// takeOver takes over what was found in the journal and is neither done nor on disk.
func (k *keeper) takeOver(found *journal.Found) {
	end := k.shelf.End()
	for p := range found.Done {
		if k.shelf.Of(p) == nil {
			k.books.Forget(p, p+1)
		}
	}
	found.Batches = slices.DeleteFunc(found.Batches, func(b block.Numbered) bool {
		return b.Position < end || k.books.Done.Has(b.Position)
	})
	if found.Run != "" {
		k.ackDue = 1
	}
	if len(found.Batches) > 0 {
		k.owed = found
	}
}

// restore makes durable what was found in the journal, all of it at once, before
// anything else is written. From then on the journal is used again.
func (k *keeper) restore() error {
	if k.owed != nil {
		k.recordNews()
		blocks, err := folder.EncodeLeft(&k.encoder, k.owed, block.Header{Wall: time.Now().UnixMilli(), Uptime: k.uptime(),
			Before: k.shelf.Total()}, k.block)
		if err == nil {
			err = k.append(&k.shelf, blocks...)
		}
		if err != nil {
			return fmt.Errorf("restore what a kill has left: %w", err)
		}
		k.log.Info("what a kill has left in the journal is restored", "batches", len(k.owed.Batches))
		k.owed = nil
	}
	k.mu.Lock()
	begun := k.journal.Begun()
	k.mu.Unlock()
	if begun && k.reached == 0 {
		return nil
	}
	if err := k.record(true); err != nil { // what the journal alone knows to be done
		return err
	}
	k.mu.Lock()
	if k.books.Index.Runs.Reach(k.reached) {
		k.metaDue = true
		k.noticeNew()
	}
	k.mu.Unlock()
	if err := k.writeMeta(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reached = 0
	k.mem.Rewind(k.books.Mark())
	k.journal.Begin(k.run, k.mem.Base())
	k.nudgeBoth()
	return nil
}

// tell tells of a journal that cannot be used any more, and that nothing is dropped
// any more for want of memory.
func (k *keeper) tell() {
	k.mu.Lock()
	err, overrun := k.journal.Err(), k.overrun
	if overrun != 0 && k.now()-overrun >= int64(dropTrouble) {
		k.overrun = 0
	}
	ended := overrun != 0 && k.overrun == 0
	k.mu.Unlock()
	if ended {
		k.recover(condition.QueueOverrun)
	}
	if err != nil {
		k.raise(condition.QueueJournal, err, err, "restart the gateway: until then a kill takes what is not on disk")
	}
}

// OpenStopped opens the folder of a gateway that does not run, for reading. It
// returns a [disk.LockedError] if one does, and a [folder.NewerFormatError].
func OpenStopped(cfg terms.Config) (*folder.Reader, error) {
	return folder.OpenReader(string(cfg.Dir), folder.Limits{Size: int64(cfg.MaxSize), Segment: cfg.Segment()})
}
