package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Temporary ends the names of files that are not yet what they will be. What is
// found under such a name at start is left from a crash and worth nothing.
const Temporary = ".tmp~"

// Replace puts data at path so that after a power cut there is either the
// old or the new content: written beside, synced, renamed, folder synced.
func Replace(path string, data []byte) error {
	// In the same folder, since no rename crosses file systems.
	tmp := path + Temporary
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// MakeDir makes dir, and the folders above it that are missing, so that a power cut
// takes none of them. A process that was killed may have made the last that is there
// and not have synced its name: that one is synced once more.
func MakeDir(dir string) error {
	var missing []string // the deepest first
	there := filepath.Clean(dir)
	for {
		if _, err := os.Stat(there); !errors.Is(err, fs.ErrNotExist) {
			break // it is there, or MkdirAll says what is wrong with it
		}
		above := filepath.Dir(there)
		if above == there {
			break
		}
		missing, there = append(missing, there), above
	}
	if err := os.MkdirAll(there, 0o700); err != nil {
		return err
	}
	_ = SyncDir(filepath.Dir(there)) // which may not be ours to read
	for _, path := range slices.Backward(missing) {
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir makes the names in dir durable.
// Without it a power cut may take a file that was itself synced.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// RemoveLeftovers removes what a crash left half made in dir: it was never said to
// be there.
func RemoveLeftovers(dir string) {
	leftovers, _ := filepath.Glob(filepath.Join(dir, "*"+Temporary))
	for _, f := range leftovers {
		_ = os.RemoveAll(f)
	}
}
