package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// LockFile says who owns the folder. It is locked as long as its process lives.
const LockFile = "lock"

// LockedError is why [Lock] refuses a folder that another process has.
type LockedError struct {
	Dir string
	By  string // what the other wrote: process, host and since when
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("open queue %s: it is in use by %s: stop that gateway, or give this one a folder of its own",
		e.Dir, e.By)
}

// Lock takes the folder. On a file system that cannot be written it returns no
// file and no error: the gateway runs nevertheless.
// The lock is the kernel's and ends with the process, however that ends: a file that
// a crash left behind holds nobody up.
func Lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, LockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		if info, e := os.Lstat(path); e == nil && !info.Mode().IsRegular() {
			// If it cannot be moved, opening it fails again and says why.
			_ = os.Rename(path, path+fmt.Sprintf(".foreign-%d", time.Now().UnixMilli()))
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		}
		if err != nil {
			return nil, nil
		}
	}
	if err := flock(f, dir); err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("process %d on %s, since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(text), 0) // for people only
	}
	return f, nil
}

// Hold takes the folder as [Lock] does, and leaves it as it is: without a file to
// lock it holds nothing, and returns no file and no error.
func Hold(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, LockFile))
	if err != nil {
		return nil, nil
	}
	return f, flock(f, dir)
}

// Unlock gives a folder back and closes f, which may be nil. A process that is being
// started has a copy of f until its program runs: to close ours would not end the lock.
func Unlock(f *os.File) error {
	if f == nil {
		return nil
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // where there are no locks there is none to end
	return f.Close()
}

// flock locks f, or closes it and says who has it.
func flock(f *os.File, dir string) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		// Some network file systems know no locks: better no lock than no gateway.
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil
		}
		defer func() { _ = f.Close() }()
		by := make([]byte, 200)
		n, _ := f.ReadAt(by, 0)
		by = bytes.TrimSpace(by[:n])
		if len(by) == 0 {
			by = []byte("another process")
		}
		return &LockedError{Dir: dir, By: string(by)}
	}
}
