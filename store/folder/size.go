package folder

import (
	"os"
	"path/filepath"
	"time"

	"fieldbridge/order"
	"fieldbridge/store/disk"
)

// Size returns what everything in a folder takes on the disk, in bytes.
func Size(dir string) int64 {
	return sizeOf(dir, func(string, os.DirEntry) bool { return true })
}

// OtherSize returns what everything in the folder of a queue takes on the disk but
// the segments of readings, in bytes.
func OtherSize(dir string) int64 {
	return sizeOf(dir, func(path string, e os.DirEntry) bool {
		_, ok := SegmentFirst(e.Name())
		return !ok || filepath.Dir(path) != dir
	})
}

// sizeOf adds up the files that count. What cannot be read takes nothing.
func sizeOf(dir string, counts func(path string, e os.DirEntry) bool) (total int64) {
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !counts(path, e) {
			return nil
		}
		if info, err := e.Info(); err == nil {
			total += disk.Allocated(info)
		}
		return nil
	})
	return total
}

// TrimQuarantine deletes the oldest files that were set aside while all of them
// take more than most bytes, and returns their names.
func TrimQuarantine(dir string, most int64) (deleted []string) {
	dir = filepath.Join(dir, QuarantineDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	type old struct {
		name string
		size int64
		time time.Time
	}
	var files []old
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, old{e.Name(), disk.Allocated(info), info.ModTime()})
			total += disk.Allocated(info)
		}
	}
	// The newest are of most use to who looks for the cause.
	order.By(files, func(a, b old) int { return a.time.Compare(b.time) })
	for _, f := range files {
		if total <= most {
			break
		}
		total -= f.size
		if os.RemoveAll(filepath.Join(dir, f.name)) == nil {
			deleted = append(deleted, f.name)
		}
	}
	return deleted
}
