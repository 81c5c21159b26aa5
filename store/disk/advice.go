package disk

import (
	"errors"
	"fmt"
	"syscall"
)

// NoRoom reports whether err says that the disk is full.
func NoRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Advice says what to do about a failed write.
func Advice(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full: make room on it"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only: look for its errors (dmesg), repair and remount it; if it is meant to be, " +
			"let store.dir name a folder elsewhere"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "the gateway may not write there: correct the owner of the folder"
	case errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.ECONNABORTED):
		return fmt.Sprintf("what serves the file system does not answer (%v): bring it back, or put store.dir on a disk of "+
			"this machine", err)
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fmt.Sprintf("the disk is gone (%v): plug it in again and mount it", err)
	}
	return fmt.Sprintf("the disk fails (%v): replace it", err)
}
