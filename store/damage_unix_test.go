package store

import (
	"os"
	"syscall"
	"testing"
)

func makePipe(t *testing.T, path string) {
	os.Remove(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}
