package segment

import (
	"os"

	"fieldbridge/store/disk"
)

const (
	// growBy is the most that a file grows at a time, growFirst the least.
	growBy    = 256 << 10
	growFirst = 16 << 10
	// commitPages is what a commit may need beside the pages of its block: those
	// above, the last leaf once more, the freelist.
	commitPages = 6
)

// GrowBy is the most that a file grows at a time, in bytes.
const GrowBy = growBy

// Reserve writes zeros behind the part of the file that is in use, up to most
// bytes in all or as much as blocks of n bytes need, so that an Append of them
// finds its pages there. Where the file system has yet to allocate a page, each
// sync is a transaction of its journal, too, which costs more than the page. With
// tight only what is needed is written. It returns the bytes written.
//
// When the disk is full nothing is changed, and the file can be written as before:
// there may be room among the pages in use.
func (f *File) Reserve(n int, most int64, tight bool) (written int64, err error) {
	used := f.Used()
	need := used + int64(n/(2*chunkSize)+1+commitPages)*PageSize
	if need <= f.reserved {
		return 0, nil
	}
	from := max(used, f.reserved)
	to := need
	if !tight {
		step := min(max(from/2, growFirst), growBy) / PageSize * PageSize
		to = max(need, min(from+step, most))
	}
	err = disk.Fill(f.path, from, to)
	if disk.NoRoom(err) && to > need {
		to = need
		err = disk.Fill(f.path, from, to)
	}
	if err != nil {
		return 0, err
	}
	f.reserved = to
	return to - from, nil
}

// reservedOf returns how far a file has its place on the disk, as far as can be
// told from outside.
// Zeros that were written have blocks; a hole that another program left has none, so
// the smaller of both is sure.
func reservedOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return min(info.Size(), disk.Allocated(info)) / PageSize * PageSize
}
