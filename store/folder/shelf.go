package folder

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// Shelf is a folder of segments and what is known of them: that of the queue, or
// that of the dead letters.
type Shelf struct {
	Dir      string
	Dead     bool      // of the dead letters, whose positions are numbers of their own
	Segments []*Stored // in order; guarded by mu
	Writer   *Stored   // the last one, while it is written to; the keeper's
}

// Extent is what there is on a shelf.
type Extent struct {
	Bytes          int64     // on the disk
	Oldest, Newest time.Time // of all batches, zero if there are none
	// Waiting is about when the oldest batch was measured that is not done, zero if all
	// are: a segment knows the times of its ends alone, and keeps what is done.
	Waiting time.Time
}

// Extent returns what there is, where done are the batches that are. The caller holds mu.
func (sh *Shelf) Extent(done books.Spans) (e Extent) {
	for _, s := range sh.Segments {
		e.Bytes += s.Bytes
		if s.Written.Batches == 0 {
			continue // it has no times yet
		}
		if at := time.UnixMilli(s.Oldest).UTC(); e.Oldest.IsZero() || at.Before(e.Oldest) {
			e.Oldest = at
		}
		if at := time.UnixMilli(s.Newest).UTC(); at.After(e.Newest) {
			e.Newest = at
		}
		if s.Waiting().Batches == 0 {
			continue
		}
		if at := s.since(done); e.Waiting.IsZero() || at.Before(e.Waiting) {
			e.Waiting = at
		}
	}
	return e
}

// FullIn returns when it takes limit bytes at the rate at which it came to these, 0 if that
// cannot be said.
func (e Extent) FullIn(limit int64) time.Duration {
	return FullIn(e.Newest.Sub(e.Oldest), e.Bytes, limit-e.Bytes)
}

// since returns about when the first of its batches was measured that is not done, as if
// they had come evenly.
func (s *Stored) since(done books.Spans) time.Time {
	before := float64(done.Next(s.First)-s.First) / float64(s.Last-s.First+1)
	return time.UnixMilli(s.Oldest + int64(before*float64(s.Newest-s.Oldest))).UTC()
}

// Of returns the segment with position p, nil if there is none. The caller holds
// mu, or is the keeper.
func (sh *Shelf) Of(p bridge.Position) *Stored {
	if s := sh.From(p); s != nil && p >= s.First {
		return s
	}
	return nil
}

// From returns the first segment with a batch at or after p, nil if there is
// none. The caller holds mu, or is the keeper.
func (sh *Shelf) From(p bridge.Position) *Stored {
	i, _ := slices.BinarySearchFunc(sh.Segments, p,
		func(s *Stored, p bridge.Position) int { return cmp.Compare(s.Last, p) })
	if i == len(sh.Segments) {
		return nil
	}
	return sh.Segments[i]
}

// End returns the position after the last one on disk, 0 if there is none. The
// caller holds mu, or is the keeper.
func (sh *Shelf) End() bridge.Position {
	if n := len(sh.Segments); n > 0 {
		return sh.Segments[n-1].Last + 1
	}
	return 0
}

// Total returns what is in all blocks so far. The caller holds mu, or is the
// keeper.
func (sh *Shelf) Total() bridge.Count {
	if n := len(sh.Segments); n > 0 {
		return sh.Segments[n-1].Total
	}
	return bridge.Count{} // there is no neighbour to agree with
}

// Accounts returns those of the sealed segments, and the first position of the one that is
// written to, 0 for none. The caller holds mu.
func (sh *Shelf) Accounts() (sealed []block.Account, writer bridge.Position) {
	for _, s := range sh.Segments {
		if s == sh.Writer {
			writer = s.First
		} else {
			sealed = append(sealed, s.Account)
		}
	}
	return sealed, writer
}

// List returns the segments in the folder, in order, with what the index knows of
// them, and the accounts of those that are not there.
func (sh *Shelf) List(index []block.Account) (found []*Stored, missing []block.Account) {
	names, err := os.ReadDir(sh.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it is reported by the first write
	}
	missing = slices.Clone(index)
	for _, e := range names {
		first, ok := SegmentFirst(e.Name())
		if !ok {
			continue
		}
		s := &Stored{Path: filepath.Join(sh.Dir, e.Name()), Account: block.Account{First: first}}
		// What is left in missing has no file: its batches are damaged, or were done.
		if i := slices.IndexFunc(missing, func(a block.Account) bool { return a.First == first }); i >= 0 {
			s.Account = missing[i]
			missing = slices.Delete(missing, i, i+1)
		}
		s.Bytes = disk.Size(s.Path)
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b *Stored) int { return cmp.Compare(a.First, b.First) })
	return found, missing
}

// Stored is one segment of a shelf.
type Stored struct {
	Path string

	File     *segment.File // nil when it is not open; guarded by files but for the writer's
	Verified bool          // all of it was read since the start; guarded by files
	// unreadSince is when the disk did not give all of it; ns since the start of
	// the run, 0 if it did. The keeper's.
	UnreadSince int64

	// All below is guarded by mu, but for First, which is in the file's name.
	block.Account
	Done    bridge.Count // what of it is done
	Bytes   int64        // on disk
	Suspect error        // why it must be repaired
}

// Waiting returns what of it is not done.
func (s *Stored) Waiting() bridge.Count { return s.Written.Sub(s.Done) }

// Close closes the file, if it is open.
func (s *Stored) Close() {
	_ = s.File.Close()
	s.File = nil
}

const (
	SegmentPrefix = "seg-"
	segmentSuffix = ".db"
)

// SegmentPath returns the path of the segment whose first position is first.
func SegmentPath(dir string, first bridge.Position) string {
	return filepath.Join(dir, fmt.Sprintf("%s%016x%s", SegmentPrefix, uint64(first), segmentSuffix))
}

// SegmentFirst returns the position in a segment's file name.
// A name that is not exactly as [SegmentPath] makes it is not ours and left alone.
func SegmentFirst(name string) (bridge.Position, bool) {
	digits, ok := strings.CutPrefix(name, SegmentPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, segmentSuffix); !ok || len(digits) != 16 {
		return 0, false
	}
	p, err := strconv.ParseUint(digits, 16, 64)
	return bridge.Position(p), err == nil && p > 0
}

// CountDone finds how much of a segment is done, and returns what is: all that
// was, unless the record is of another time than the segment, as when files were
// restored from a copy. Then what is not sure is sent again.
// Sending twice is allowed, losing is not: so whatever looks wrong counts as not done.
//
// A segment that was repaired is read: a power cut may have left the count of before,
// which has what was done and lost. So is one that was thinned since the record.
func (s *Stored) CountDone(done books.Spans, acks *books.Record) books.Spans {
	s.Done = acks.Counts[s.First]
	sure := true
	switch {
	case len(done.Missing(s.First, s.Last+1)) == 0:
		s.Done = s.Written // it was removed, but a power cut has brought it back
	case s.Repaired || s.Thinned > 0 && acks.Number <= s.Record:
		n, err := s.doneIn(done)
		s.Done, sure = n, err == nil
	}
	if sure && s.Done.Batches <= s.Written.Batches && s.Done.Readings <= s.Written.Readings {
		return done
	}
	s.Done = bridge.Count{}
	kept := books.Spans(nil)
	for _, x := range done {
		kept.Add(x.From, min(x.To, s.First))
		kept.Add(max(x.From, s.Last+1), x.To)
	}
	return kept
}
