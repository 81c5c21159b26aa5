package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"fieldbridge/bridge"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// A segment file is a bbolt file with one bucket. A block is cut into chunks so
// that two of them and their keys fill a page: a long value would share its page
// with up to three neighbours, which bbolt writes again with each commit.
const (
	pageSize  = 4096
	keySize   = 10 // position of the block's first batch, number of the chunk; big endian
	chunkSize = 2012
	maxChunks = 1 << 16

	// slack is what a file may be larger than segment_size: one commit.
	slack = 16 << 20
)

// What making a segment file costs: its first pages, zeros, the bucket in a
// leaf and a freelist of its own, a meta page.
const (
	bornPages   = 4
	createPages = bornPages + growFirst/pageSize + 3
	createSyncs = 5 // with the folder
)

var blocksBucket = []byte("blocks")

// guard runs f, which touches a mapped file, and returns panics and memory
// faults as damage: bbolt panics on pages that make no sense, and a page that
// the disk does not give is a fault.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = segment.Damaged("reading it panics: %v", p)
		}
	}()
	return f()
}

func boltOptions(size int64) *bolt.Options {
	o := *bolt.DefaultOptions
	o.Timeout = time.Second
	o.PageSize = pageSize
	o.FreelistType = bolt.FreelistMapType
	// No remapping while the file is in use: it would wait for its readers.
	o.InitialMmapSize = int(size + slack)
	o.MaxSize = int(size + slack) // a backstop: segments are rotated by our own count
	return &o
}

// createSegment makes a new segment file. A cut while bbolt initialises a file
// leaves one that panics, so it gets its name when it is complete and synced.
func createSegment(path string, size int64) (db *bolt.DB, err error) {
	tmp := path + disk.Temporary
	os.Remove(tmp)
	err = guard(func() (err error) {
		if db, err = bolt.Open(tmp, 0o600, boltOptions(size)); err != nil {
			return err
		}
		db.AllocSize = growBy
		if err := disk.Fill(tmp, bornPages*pageSize, bornPages*pageSize+growFirst); err != nil {
			return err
		}
		return db.Update(func(tx *bolt.Tx) error {
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
		closeDB(db)
		os.Remove(tmp)
		return nil, fmt.Errorf("create segment: %w", err)
	}
	return db, nil
}

// openSegment opens a file that exists, after a look at its pages: all of them,
// or only the first. On a file system that is read-only it can be read at least.
func openSegment(path string, size int64, all bool) (db *bolt.DB, err error) {
	writable, err := checkFile(path, all)
	if err != nil {
		return nil, err
	}
	err = guard(func() (err error) {
		options := boltOptions(size)
		options.ReadOnly = !writable
		db, err = bolt.Open(path, 0o600, options)
		return err
	})
	if err == nil {
		db.AllocSize = growBy
		err = guard(func() error {
			return db.View(func(tx *bolt.Tx) error {
				if tx.Bucket(blocksBucket) == nil {
					return segment.Damaged("it has no blocks")
				}
				return nil
			})
		})
	}
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		err = segment.Damaged("%w", err)
	}
	closeDB(db)
	return nil, err
}

// closeDB closes a file that may be damaged.
func closeDB(db *bolt.DB) error {
	if db == nil {
		return nil
	}
	return guard(db.Close)
}

// checkFile looks at a file before bbolt maps it: bbolt trusts the length that
// the meta pages name, and a mapped page beyond the end of the file kills the
// process. With all it reads the whole file once, so that what the disk cannot read is
// an error here and not a fault later, and the pages are then in memory; then it
// follows its structure.
func checkFile(path string, all bool) (writable bool, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, segment.Damaged("it is no file but %v", info.Mode().Type())
	}
	if info.Size() < 2*pageSize {
		return false, segment.Damaged("it has only %d bytes", info.Size())
	}
	f, writable, err := openFile(path)
	if err != nil {
		return false, damagedUnlessPassing(err)
	}
	defer f.Close()
	var first [2 * pageSize]byte
	if _, err := io.ReadFull(f, first[:]); err != nil {
		return false, damagedUnlessPassing(err)
	}
	used, err := checkMetas(first[:])
	if err != nil {
		return false, err
	}
	if info.Size() < used {
		return false, segment.Damaged("it is cut off: %d bytes instead of %d", info.Size(), used)
	}
	if !all {
		return writable, nil
	}
	buf := make([]byte, 128<<10)
	for read := int64(len(first)); read < used; {
		n, err := f.Read(buf)
		if err != nil {
			return false, damagedUnlessPassing(err)
		}
		read += int64(n)
	}
	return writable, checkPages(f)
}

// openFile opens a file as bbolt will. Wrong permissions are put right, if the
// file is ours.
func openFile(path string) (f *os.File, writable bool, err error) {
	f, err = os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) && os.Chmod(path, 0o600) == nil {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err == nil {
		return f, true, nil
	}
	f, readErr := os.Open(path)
	if readErr != nil {
		return nil, false, err
	}
	return f, false, nil
}

// damagedUnlessPassing takes errors for damage that will not go away.
func damagedUnlessPassing(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM),
		errors.Is(err, syscall.EINTR), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrNotExist):
		return err
	}
	return segment.Damaged("%w", err)
}

// checkMetas verifies both meta pages of a bbolt file (page.go and meta.go of
// bbolt) and returns how long the file must be. bbolt itself is content with
// one, and silently takes the state before the last commit.
func checkMetas(b []byte) (used int64, err error) {
	le := binary.LittleEndian
	for i := range 2 {
		meta := b[i*pageSize+16:]
		sum := fnv.New64a()
		sum.Write(meta[:56])
		switch {
		case le.Uint32(meta) != 0xED0CDAED || le.Uint32(meta[4:]) != 2:
			return 0, segment.Damaged("meta page %d is not one", i)
		case le.Uint64(meta[56:]) != sum.Sum64():
			return 0, segment.Damaged("the checksum of meta page %d is wrong", i)
		case le.Uint32(meta[8:]) != pageSize:
			return 0, segment.Damaged("its pages have %d bytes", le.Uint32(meta[8:]))
		}
		pages, root, freelist := le.Uint64(meta[40:]), le.Uint64(meta[16:]), le.Uint64(meta[32:])
		if pages > 1<<32 || root >= pages || freelist >= pages {
			return 0, segment.Damaged("meta page %d makes no sense", i)
		}
		used = max(used, int64(pages)*pageSize)
	}
	return used, nil
}

func chunkKey(first bridge.Position, chunk int) []byte {
	k := make([]byte, keySize)
	binary.BigEndian.PutUint64(k, uint64(first))
	binary.BigEndian.PutUint16(k[8:], uint16(chunk))
	return k
}
