package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Retake looks whether the folder that f locks is still ours: nobody has removed or
// replaced it, or the lock in it. If not, it is made and locked again, with the folders
// below it that are named, and f is closed; again says so. The only error is a
// [*LockedError]: another process has it. Without f nothing is done.
func Retake(f *os.File, dir string, below ...string) (now *os.File, again bool, err error) {
	if f == nil || stillThere(f, dir) {
		return f, false, nil
	}
	if MakeDir(dir) != nil {
		return f, false, nil // whatever is written next says why
	}
	if now, err = Lock(dir); err != nil || now == nil {
		return f, false, err
	}
	_ = f.Close() // of a file that has no name any more
	for _, name := range below {
		_ = MakeDir(filepath.Join(dir, name)) // as above
	}
	return now, true, nil
}

// stillThere reports whether the lock that f is stands in dir.
func stillThere(f *os.File, dir string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(filepath.Join(dir, LockFile))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // a disk that fails is told elsewhere
	}
	return os.SameFile(ours, now)
}
