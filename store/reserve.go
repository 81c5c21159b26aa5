package store

import (
	"os"

	"fieldbridge/store/disk"
)

const (
	// growBy is the most that a segment file grows at a time, growFirst the least.
	growBy    = 256 << 10
	growFirst = 16 << 10
	// commitPages is what a commit may need beside the pages of its block: those
	// above, the last leaf once more, the freelist.
	commitPages = 6
)

// reserve writes zeros behind the part of the writer's file that is in use, so
// that the commit of a block of n bytes finds its pages there. Where the file
// system has yet to allocate a page, each sync is a transaction of its journal,
// too, which costs more than the page. It returns the bytes written.
//
// When the disk is full nothing is changed, and that is no error: there may be
// room among the pages in use.
func (q *Queue) reserve(s *segment, n int) (written int64, err error) {
	used := s.used()
	need := used + int64(n/(2*chunkSize)+1+commitPages)*pageSize
	if need <= s.reserved {
		return 0, nil
	}
	from := max(used, s.reserved)
	to := need
	if !q.keep.limits.tight {
		step := min(max(from/2, growFirst), growBy) / pageSize * pageSize
		to = max(need, min(from+step, q.most(s)))
	}
	err = disk.Fill(s.path, from, to)
	if disk.NoRoom(err) && to > need {
		to = need
		err = disk.Fill(s.path, from, to)
	}
	if err != nil {
		return 0, err
	}
	s.reserved = to
	return to - from, nil
}

// reservedOf returns how far a file has its place on the disk, as far as can be
// told from outside.
func reservedOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return min(info.Size(), disk.Allocated(info)) / pageSize * pageSize
}
