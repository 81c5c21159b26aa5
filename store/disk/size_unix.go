//go:build unix

package disk

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Allocated returns what a file takes on the disk: segment files are sparse.
func Allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		// The unit is 512 bytes whatever the file system's own block is (stat(2)).
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

// Free returns how much of the file system of dir is left for us, in bytes. A
// quota does not show in it.
// What is kept for root is not counted.
func Free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// FullAdvice says what to do about a queue that is full: tight says that it is the
// file system of dir that has no room, and not the queue's own limit.
func FullAdvice(dir string, tight bool) string {
	var st syscall.Statfs_t
	if !tight || syscall.Statfs(dir, &st) != nil {
		return "restore the uplink, or raise store.max_size"
	}
	mib := func(blocks uint64) int64 { return int64(blocks) * int64(st.Bsize) >> 20 }
	return fmt.Sprintf("the file system of %s is full (%d MiB free of %d MiB): make room on it, or move store.dir to a "+
		"larger one; store.min_free says how much is left for others", dir, mib(st.Bavail), mib(st.Blocks))
}
