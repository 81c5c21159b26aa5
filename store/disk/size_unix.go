//go:build unix

package disk

import (
	"io/fs"
	"os"
	"syscall"
)

// Allocated returns what a file takes on the disk: segment files are sparse.
func Allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}

// Size returns what a file takes on the disk, in bytes.
func Size(path string) int64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return Allocated(info)
}
