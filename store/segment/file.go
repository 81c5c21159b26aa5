package segment

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"fieldbridge/store/disk"
)

const (
	// PageSize is the page of a file, in bytes: what the disk writes at least.
	PageSize = 4096

	// slack is what a file may be larger than its size: one commit.
	slack = 16 << 20

	// What making a file costs, for who counts: its first pages, zeros, the
	// bucket in a leaf and a freelist of its own, a meta page; the syncs with
	// that of the folder.
	bornPages   = 4
	CreateBytes = (2*bornPages + growFirst/PageSize + 3) * PageSize
	CreateSyncs = 5
)

var blocksBucket = []byte("blocks")

// File is an open segment file.
type File struct {
	path     string
	db       *bolt.DB
	reserved int64 // up to here the file has its place on the disk
}

// options are those of a file that is to grow to size bytes.
func options(size int64) *bolt.Options {
	o := *bolt.DefaultOptions
	o.Timeout = time.Second
	o.PageSize = PageSize
	o.FreelistType = bolt.FreelistMapType
	// No remapping while the file is in use: it would wait for its readers.
	o.InitialMmapSize = int(size + slack)
	o.MaxSize = int(size + slack) // a backstop: segments are rotated by our own count
	return &o
}

// Create makes a new file that is to grow to size bytes. A cut while bbolt
// initialises a file leaves one that panics, so it gets its name when it is
// complete and synced.
func Create(path string, size int64) (*File, error) {
	tmp := path + disk.Temporary
	_ = os.Remove(tmp)
	f := &File{path: path}
	err := guard(func() (err error) {
		if f.db, err = bolt.Open(tmp, 0o600, options(size)); err != nil {
			return err
		}
		if err := errors.Join(f.db.Close(), disk.Repage(tmp)); err != nil {
			return err
		}
		if f.db, err = bolt.Open(tmp, 0o600, options(size)); err != nil {
			return err
		}
		f.db.AllocSize = growBy
		if err := disk.Fill(tmp, bornPages*PageSize, bornPages*PageSize+growFirst); err != nil {
			return err
		}
		return f.db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket(blocksBucket)
			return err
		})
	})
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = disk.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(tmp)
		return nil, fmt.Errorf("create segment: %w", err)
	}
	f.reserved = reservedOf(path)
	return f, nil
}

// Open opens a file that exists to be read and written, after it has read and
// checked all of it. Wrong permissions are put right if the file is ours. On a
// file system that is read-only it can be read at least.
func Open(path string, size int64) (*File, error) { return open(path, size, true) }

// Look opens a file that exists to be read, after it has read and checked all of
// it. Nothing is changed.
func Look(path string, size int64) (*File, error) { return open(path, size, false) }

func open(path string, size int64, write bool) (f *File, err error) {
	write, err = check(path, write)
	if err != nil {
		return nil, err
	}
	f = &File{path: path, reserved: reservedOf(path)}
	err = guard(func() (err error) {
		o := options(size)
		o.ReadOnly = !write
		if f.db, err = bolt.Open(path, 0o600, o); err != nil {
			return err
		}
		f.db.AllocSize = growBy
		return f.view(func(*bolt.Cursor) error { return nil })
	})
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		err = &damageError{err}
	}
	_ = f.Close()
	return nil, err
}

// Close closes the file, which may be damaged. A nil File is closed already.
func (f *File) Close() error {
	if f == nil || f.db == nil {
		return nil
	}
	return guard(f.db.Close)
}

// Used returns how much of the file is in use, in bytes. The rest was written
// ahead.
func (f *File) Used() (n int64) {
	// Only a closed file fails, of which nothing is in use.
	_ = guard(func() error {
		return f.db.View(func(tx *bolt.Tx) error {
			n = tx.Size()
			return nil
		})
	})
	return n
}

// Size returns what the file takes on the disk while it is written, in bytes.
func (f *File) Size() int64 { return max(f.Used(), f.reserved) }

// Limit returns how large the file may grow when segments are to have size
// bytes: one made for a smaller size keeps to that.
func (f *File) Limit(size int64) int64 { return min(size, int64(f.db.MaxSize)-slack) }

// Fits reports whether a block of n bytes still goes into the file when segments
// are to have size bytes.
// The pages beside the block's own are those that a commit writes anew: leaf,
// branch, freelist and meta.
func (f *File) Fits(n int, size int64) bool { return f.Used()+int64(n)+4*PageSize <= f.Limit(size) }

// check looks at a file before bbolt maps it: bbolt trusts the length that the
// meta pages name, and a mapped page beyond the end of the file kills the
// process. It reads all of it once, so that what the disk cannot read is an error
// here and not a fault later, and the pages are then in memory; then it follows
// the structure. It reports whether the file can be written.
func check(path string, write bool) (writable bool, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, Damaged("it is not a file but %v", info.Mode().Type())
	}
	f, writable, err := openPlain(path, write)
	if err != nil {
		return false, damagedUnlessPassing(err)
	}
	defer func() { _ = f.Close() }()
	newest, used, err := readMetas(f, info.Size())
	if err != nil {
		return false, err
	}
	buf := make([]byte, 128<<10)
	for at := int64(2 * PageSize); at < used; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), used-at)], at)
		if err != nil && (n == 0 || !errors.Is(err, io.EOF)) {
			return false, damagedUnlessPassing(err)
		}
		at += int64(n)
	}
	return writable, checkPages(f, newest)
}

// openPlain opens a file as bbolt will: to be written if that is asked for and
// possible, else to be read.
func openPlain(path string, write bool) (f *os.File, writable bool, err error) {
	if write {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, os.ErrPermission) && os.Chmod(path, 0o600) == nil {
			f, err = os.OpenFile(path, os.O_RDWR, 0)
		}
		if err == nil {
			return f, true, nil
		}
	}
	f, readErr := os.Open(path)
	if readErr != nil && err == nil {
		err = readErr
	}
	if readErr != nil {
		return nil, false, err
	}
	return f, false, nil
}
