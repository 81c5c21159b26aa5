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

// Full says that the file system of a queue in dir has no room, as the begin of a
// sentence on the queue, and what to do: it is full, or has less than least bytes, which
// are left for others.
func Full(dir string, least int64) (why, advice string) {
	free, err := Free(dir)
	if err != nil || free >= least || free < 1<<20 {
		return "the file system of " + dir + " is full" + sizes(dir) + ", so the queue",
			"make room on it, or move store.dir to a larger one"
	}
	return fmt.Sprintf("the file system of %s has less room left%s than store.min_free, %d MiB, so the queue", dir,
			sizes(dir), least>>20),
		"make room on it, move store.dir to a larger one, or lower store.min_free, which is left for others"
}

// OverQuota says that a file system has room, and takes no more of the queue in dir, as
// the begin of a sentence on the queue, and what to do.
func OverQuota(dir string) (why, advice string) {
	return "the file system of " + dir + " takes no more, although it has room" + sizes(dir) + ", so the queue",
		"raise the quota that this user or folder has there, or see whether it has files left (df -i)"
}

// sizes says how large the file system of dir is, for people.
func sizes(dir string) string {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return ""
	}
	mib := func(blocks uint64) int64 { return int64(blocks) * int64(st.Bsize) >> 20 }
	return fmt.Sprintf(" (%d MiB free of %d MiB)", mib(st.Bavail), mib(st.Blocks))
}
