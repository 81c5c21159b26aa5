//go:build unix

package store

import (
	"io/fs"
	"syscall"
)

// allocated returns what a file takes on the disk: segment files are sparse.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}
