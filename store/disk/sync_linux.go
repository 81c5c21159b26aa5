package disk

import (
	"os"
	"syscall"
)

// Datasync makes the content of f durable, without its times.
func Datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
