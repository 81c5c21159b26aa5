package store

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/segment"
)

// stored is one file of the queue.
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

// close closes the file. The caller may do so to the file of s.
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
