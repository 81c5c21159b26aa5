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
		return "the file system is read-only: look for its errors (dmesg), repair and remount it"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "the gateway may not write there: correct the owner of the folder"
	}
	return fmt.Sprintf("the disk fails (%v): replace it", err)
}
