package store

import (
	"errors"
	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
	"fieldbridge/store/segment"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
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

// begin numbers on from what was found and begins the run.
func (k *keeper) begin(acks *books.Record) {
	last := bridge.Position(0)
	if e := k.books.Done.End(); e > 0 {
		last = e - 1
	}
	if n := len(k.shelf.Segments); n > 0 {
		last = max(last, k.shelf.Segments[n-1].Last)
	}
	base := last
	if acks.Next > 0 {
		base = max(base, acks.Next-1)
	}
	if n := len(k.books.Index.Runs); n > 0 {
		base = max(base, k.books.Index.Runs[n-1].Base)
	}
	// Between the segments there is nothing.
	from := bridge.Position(0)
	for _, s := range k.shelf.Segments {
		k.nameUncommitted(acks, from, s.First)
		k.books.Forget(from, s.First)
		from = s.Last + 1
		k.books.Find(s.Waiting())
	}
	k.nameUncommitted(acks, from, last+1)
	k.books.Forget(from, base+1)
	k.mem = memory.New(k.run, base)
	k.books.SetMark(k.mem.Base())
	k.books.Index.Runs.Begin(k.run, base, last, time.Now().UnixMilli())
}

// nameUncommitted leaves tombstones for positions from..to-1 that are neither
// done nor on disk, although later ones are: a crash took them out of the
// memory. Without a record of acknowledgements nothing is known of them.
func (k *keeper) nameUncommitted(acks *books.Record, from, to bridge.Position) {
	if acks.Next != 0 && from < to {
		k.books.NameUncommitted(from, to)
		k.postLocked()
	}
}

// OpenStopped opens the folder of a gateway that does not run, for reading. It
// returns a [disk.LockedError] if one does, and a [folder.NewerFormatError].
func OpenStopped(cfg Config) (*folder.Reader, error) {
	return folder.OpenReader(string(cfg.Dir), folder.Limits{Size: int64(cfg.MaxSize), Segment: cfg.segmentSize()})
}
