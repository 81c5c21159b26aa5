package store

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

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// shelf is a folder of segments and what is known of them: that of the queue, or
// that of the dead letters.
type shelf struct {
	dir      string
	dead     bool      // of the dead letters, whose positions are numbers of their own
	segments []*stored // in order; guarded by mu
	writer   *stored   // the last one, while it is written to; the keeper's
}

// of returns the segment with position p, nil if there is none. The caller holds
// mu, or is the keeper.
func (sh *shelf) of(p bridge.Position) *stored {
	if s := sh.from(p); s != nil && p >= s.First {
		return s
	}
	return nil
}

// from returns the first segment with a batch at or after p, nil if there is
// none. The caller holds mu, or is the keeper.
func (sh *shelf) from(p bridge.Position) *stored {
	i, _ := slices.BinarySearchFunc(sh.segments, p, func(s *stored, p bridge.Position) int { return cmp.Compare(s.Last, p) })
	if i == len(sh.segments) {
		return nil
	}
	return sh.segments[i]
}

// total returns what is in all blocks so far. The caller holds mu, or is the
// keeper.
func (sh *shelf) total() bridge.Count {
	if n := len(sh.segments); n > 0 {
		return sh.segments[n-1].Total
	}
	return bridge.Count{} // there is no neighbour to agree with
}

// list returns the segments in the folder, in order, with what the index knows of
// them, and the accounts of those that are not there.
func (sh *shelf) list(index []block.Account) (found []*stored, missing []block.Account) {
	names, err := os.ReadDir(sh.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it is reported by the first write
	}
	missing = slices.Clone(index)
	for _, e := range names {
		first, ok := segmentFirst(e.Name())
		if !ok {
			continue
		}
		s := &stored{path: filepath.Join(sh.dir, e.Name()), Account: block.Account{First: first}}
		if i := slices.IndexFunc(missing, func(a block.Account) bool { return a.First == first }); i >= 0 {
			s.Account = missing[i]
			missing = slices.Delete(missing, i, i+1)
		}
		s.bytes = disk.Size(s.path)
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b *stored) int { return cmp.Compare(a.First, b.First) })
	return found, missing
}

// shelves returns that of the readings and that of the dead letters.
func (q *Queue) shelves() [2]*shelf { return [2]*shelf{&q.shelf, &q.letters.shelf} }

// stored is one segment of a shelf.
type stored struct {
	path string

	file     *segment.File // nil when it is not open; guarded by files but for the writer's
	verified bool          // all of it was read since the start; guarded by files
	// unreadSince is when the disk did not give all of it; ns since the start of
	// the run, 0 if it did. The keeper's.
	unreadSince int64

	// All below is guarded by mu, but for First, which is in the file's name.
	block.Account
	done    bridge.Count // what of it is done
	bytes   int64        // on disk
	suspect error        // why it must be repaired
}

func (s *stored) waiting() bridge.Count { return s.Written.Sub(s.done) }

// close closes the file, if it is open.
func (s *stored) close() {
	s.file.Close()
	s.file = nil
}

const (
	segmentPrefix = "seg-"
	segmentSuffix = ".db"
)

func segmentPath(dir string, first bridge.Position) string {
	return filepath.Join(dir, fmt.Sprintf("%s%016x%s", segmentPrefix, uint64(first), segmentSuffix))
}

// segmentFirst returns the position in a segment's file name.
func segmentFirst(name string) (bridge.Position, bool) {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, segmentSuffix); !ok || len(digits) != 16 {
		return 0, false
	}
	p, err := strconv.ParseUint(digits, 16, 64)
	return bridge.Position(p), err == nil && p > 0
}
