package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

const magic = "FBJRNL1\n"

// Where the kernel tells which boot this is: a random id.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// Journal is a mapped journal. One owner; not safe for concurrent use.
type Journal struct {
	ring
	file   *os.File
	mapped []byte
}

// bootID returns the id of this boot of the machine.
func bootID() ([16]byte, error) {
	b, err := os.ReadFile(bootIDFile)
	if err != nil {
		return [16]byte{}, fmt.Errorf("read the id of this boot: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(b))))
	return [16]byte(sum[:16]), nil
}

// Check reports whether dir can hold a journal: it must lie in memory, on tmpfs.
// On a disk it would write what it is there to save.
func Check(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("journal in %s: %w", dir, err)
	}
	// The type is a signed word, of 32 bits on some machines.
	if kind := uint32(s.Type); kind != unix.TMPFS_MAGIC && kind != unix.RAMFS_MAGIC {
		return fmt.Errorf("journal in %s: %w", dir, ErrNotMemory)
	}
	return nil
}

// Open opens the journal of the queue with that id, whose records fill size
// bytes, and calls yield with each record that an earlier process of this boot
// left, oldest first; the body is valid during the call. Left says what became
// of what was there. The caller owns the queue's lock: two processes never open
// one journal.
//
// The file has all its memory from the start, or Open fails with [ErrNoRoom]:
// once it is open a full tmpfs cannot hurt it.
func Open(path string, queue [16]byte, size int, yield func(place uint64, body []byte)) (*Journal, Left, error) {
	if err := Check(filepath.Dir(path)); err != nil {
		return nil, Left{}, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, Left{}, err
	}
	var left Left
	j, err := open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, ErrInUse):
		return nil, left, err
	case err != nil:
		left.Aside = err.Error()
	default:
		if why := j.foreign(queue, boot); why != "" {
			left.Aside = why
			_ = j.Close()
			break
		}
		left.Torn, err = j.read(yield)
		if err != nil {
			left.Aside = err.Error()
			_ = j.Close()
			break
		}
		return j, left, nil
	}
	if left.Aside != "" {
		left.Path = path + ".aside"
		if err := os.Rename(path, left.Path); err != nil {
			return nil, left, fmt.Errorf("set the journal aside: %w", err)
		}
	}
	j, err = create(path, queue, boot, size)
	return j, left, err
}

// look opens the journal of a queue to be read and calls yield as [Open] does; nil if
// there is none of this boot. Nothing is changed.
func look(path string, queue [16]byte, yield func(place uint64, body []byte)) (*Journal, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	j, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if why := j.foreign(queue, boot); why != "" {
		return nil, j.Close() // the next start sets it aside
	}
	if _, err := j.read(yield); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

// open maps an existing file.
func open(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() < headerSize+recordHead || info.Size() > 1<<30) {
		err = fmt.Errorf("%s is not a journal", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return mapFile(f, int(info.Size()))
}

// lock takes the file for as long as it is open.
func lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrInUse
		case err != nil:
			return fmt.Errorf("lock the journal: %w", err)
		}
		return nil
	}
}

// create makes a file of its full size, under another name until it is whole.
func create(path string, queue, boot [16]byte, size int) (*Journal, error) {
	size = align(size)
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make a journal: %w", err)
	}
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a journal: %w", err)
	}
	give := func(err error) (*Journal, error) {
		return nil, errors.Join(err, f.Close(), os.Remove(temporary))
	}
	for {
		err = unix.Fallocate(int(f.Fd()), 0, 0, int64(headerSize+size))
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return give(fmt.Errorf("make a journal of %d KiB in %s: %w", size>>10, filepath.Dir(path), ErrNoRoom))
	} else if err != nil {
		return give(fmt.Errorf("make a journal: %w", err))
	}
	if err := lock(f); err != nil {
		return give(err)
	}
	j, err := mapFile(f, headerSize+size)
	if err != nil {
		return nil, errors.Join(err, os.Remove(temporary))
	}
	h := j.header
	copy(h, magic)
	binary.LittleEndian.PutUint64(h[8:], uint64(size))
	copy(h[16:], queue[:])
	copy(h[32:], boot[:])
	binary.LittleEndian.PutUint32(h[48:], headerSum(h))
	if err := os.Rename(temporary, path); err != nil {
		return nil, errors.Join(fmt.Errorf("make a journal: %w", err), j.Close(), os.Remove(temporary))
	}
	return j, nil
}

// anew makes an empty journal of another size in the place of j, which stays open.
func (j *Journal) anew(path string, queue [16]byte, size int) (*Journal, error) {
	return create(path, queue, [16]byte(j.header[32:48]), size)
}

// mapFile maps f, which has its full size, and touches every page now rather
// than in the middle of a poll.
func mapFile(f *os.File, size int) (*Journal, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map the journal: %w", err), f.Close())
	}
	return &Journal{file: f, mapped: b, ring: ring{header: b[:headerSize], data: b[headerSize:]}}, nil
}

// foreign says why the file is not the journal of this queue and boot, or "".
func (j *Journal) foreign(queue, boot [16]byte) string {
	h := j.header
	switch {
	case string(h[:8]) != magic:
		return "it has another format"
	case binary.LittleEndian.Uint32(h[48:]) != headerSum(h), !j.sound():
		return "its header is damaged"
	case binary.LittleEndian.Uint64(h[8:]) != uint64(len(j.data)) || len(j.data)%8 != 0:
		return "it was cut"
	case [16]byte(h[16:32]) != queue:
		return "it is another queue's"
	case [16]byte(h[32:48]) != boot:
		return "it is from before the machine was started"
	}
	return ""
}

// read scans the records.
func (j *Journal) read(yield func(place uint64, body []byte)) (torn bool, err error) {
	defer guard(debug.SetPanicOnFault(true), &err)
	return j.scan(yield), nil
}

// Append adds a record and returns its place. It fails with [ErrFull] if there
// is no room, which changes nothing.
func (j *Journal) Append(body []byte) (place uint64, err error) {
	defer guard(debug.SetPanicOnFault(true), &err)
	place, ok := j.append(body)
	if !ok {
		return 0, ErrFull
	}
	return place, nil
}

// Release lets go of the records before place.
func (j *Journal) Release(place uint64) (err error) {
	defer guard(debug.SetPanicOnFault(true), &err)
	j.release(place)
	return nil
}

// Rebase says that every batch of the run below a position is done or on disk. It
// comes before the Release of their records.
func (j *Journal) Rebase(position uint64) (err error) {
	defer guard(debug.SetPanicOnFault(true), &err)
	j.store(baseAt, position)
	return nil
}

// Base returns the position of the last Rebase.
func (j *Journal) Base() uint64 { return j.base() }

// Begin lets go of all records and says whose batches follow.
func (j *Journal) Begin(run [8]byte) (err error) {
	defer guard(debug.SetPanicOnFault(true), &err)
	j.renew()
	j.store(runAt, binary.LittleEndian.Uint64(run[:]))
	return nil
}

// Run returns what the last Begin said, "" if there was none.
func (j *Journal) Run() string { return j.run() }

// Head returns the place of the next record.
func (j *Journal) Head() uint64 { return j.head }

// Size returns how many bytes the journal takes in memory.
func (j *Journal) Size() int { return len(j.mapped) }

// Close lets go of the file and leaves it as it is.
func (j *Journal) Close() error { return errors.Join(unix.Munmap(j.mapped), j.file.Close()) }

// guard, deferred, makes a fault of the mapped memory an error: someone may cut
// the file short while it is mapped. Was is how faults were treated before.
func guard(was bool, err *error) {
	debug.SetPanicOnFault(was)
	switch r := recover().(type) {
	case nil:
	case interface{ Addr() uintptr }:
		*err = ErrGone
	default:
		panic(r)
	}
}
