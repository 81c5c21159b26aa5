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
	return fmt.Sprintf("open queue %s: it is in use by %s: stop that gateway, or give this one a folder of its own", e.Dir, e.By)
}

// Lock takes the folder. On a file system that cannot be written it returns no
// file and no error: the gateway runs nevertheless.
func Lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, LockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		if info, e := os.Lstat(path); e == nil && !info.Mode().IsRegular() {
			os.Rename(path, path+fmt.Sprintf(".foreign-%d", time.Now().UnixMilli()))
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		}
		if err != nil {
			return nil, nil
		}
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		by := make([]byte, 200)
		n, _ := f.ReadAt(by, 0)
		by = bytes.TrimSpace(by[:n])
		if len(by) == 0 {
			by = []byte("another process")
		}
		return nil, &LockedError{Dir: dir, By: string(by)}
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("process %d on %s, since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if f.Truncate(0) == nil {
		f.WriteAt([]byte(text), 0) // for people only
	}
	return f, nil
}
