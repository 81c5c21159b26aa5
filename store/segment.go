package store

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
)

// segment is one file of the queue.
type segment struct {
	path  string
	first bridge.Position // in its name: none of its batches is before

	db       *bolt.DB // nil when it is not open; guarded by files but for the writer's
	verified bool     // all of it was read since the start; guarded by files
	// unreadSince is when the disk did not give all of it; ns since the start of
	// the run, 0 if it did. The keeper's.
	unreadSince int64
	reserved    int64 // up to here the file has its place on the disk; the keeper's, of the writer's file

	// All below is guarded by mu.
	last    bridge.Position // of its last batch
	written bridge.Count    // what is in its blocks
	done    bridge.Count    // what of that is done
	total   bridge.Count    // in all blocks of the folder up to its last
	oldest  int64           // acquisition of its batches, Unix ms
	newest  int64
	uptime  int64 // run time of the folder when its last block was written, ms
	bytes   int64 // on disk
	suspect error // why it must be repaired
}

// used returns how much of the writer's file is in use, in bytes.
func (s *segment) used() (n int64) {
	guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			n = tx.Size()
			return nil
		})
	})
	return n
}

func (s *segment) waiting() bridge.Count { return s.written.Sub(s.done) }

func (s *segment) meta() segmentMeta {
	return segmentMeta{First: s.first, Last: s.last, Written: s.written, Total: s.total, Oldest: s.oldest, Newest: s.newest, Uptime: s.uptime}
}

// know takes over what the index says.
func (s *segment) know(m *segmentMeta) {
	s.last, s.written, s.total, s.oldest, s.newest, s.uptime = m.Last, m.Written, m.Total, m.Oldest, m.Newest, m.Uptime
}

// take adds a block that the file has.
func (s *segment) take(h *block.Header) {
	if s.written.Batches == 0 {
		s.oldest, s.newest = h.Oldest, h.Newest
	}
	s.last = h.Last
	s.written = s.written.Add(h.Count)
	s.total = h.Before.Add(h.Count)
	s.oldest, s.newest = min(s.oldest, h.Oldest), max(s.newest, h.Newest)
	s.uptime = h.Uptime
}

// maxPosition is beyond any.
const maxPosition = bridge.Position(1) << 63

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

// verify reads every block of an open segment and checks them against one
// another and against what is known of the segment.
func verify(s *segment) error {
	var found segment
	err := walk(s.db, func(h block.Header, _ []byte) error {
		if s.last != 0 && h.First > s.last {
			return nil // of a commit that failed; its batches are elsewhere
		}
		switch {
		case h.First < s.first || h.First <= found.last:
			return damaged("block %d is out of order", h.First)
		case found.last != 0 && h.Before != found.total:
			return damaged("blocks are missing between batch %d and %d", found.last, h.First)
		}
		found.take(&h)
		return nil
	})
	if err != nil {
		return err
	}
	if s.last != 0 && (found.written != s.written || found.last != s.last) {
		return damaged("it has %d batches up to %d instead of %d up to %d", found.written.Batches, found.last, s.written.Batches, s.last)
	}
	return nil
}

// survey reads every block of an open segment of which nothing is known, and
// fills in what it learns. Blocks from limit on are of a commit that failed.
func survey(s *segment, limit bridge.Position) error {
	return walk(s.db, func(h block.Header, _ []byte) error {
		if h.First < limit {
			if h.First < s.first || s.last != 0 && (h.First <= s.last || h.Before != s.total) {
				return damaged("block %d is out of order", h.First)
			}
			s.take(&h)
		}
		return nil
	})
}
