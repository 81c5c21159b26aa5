package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadCalls(t *testing.T) {
	const text = `12 pwrite64(7</q/1.seg>, ""..., 4096, 0) = 4096
12 write(8<socket:[1]>, ""..., 100) = 100
13 fdatasync(7</q/1.seg> <unfinished ...>
12 pwrite64(7</q/1.seg>, ""..., 8192, 4096) = 8192
13 <... fdatasync resumed>)          = 0
14 fdatasync(7</other/1.seg> <unfinished ...>
14 <... fdatasync resumed>)          = 0
12 openat(AT_FDCWD</>, "/q/2.seg", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 9</q/2.seg>
12 openat(AT_FDCWD</>, "/q/1.seg", O_RDONLY|O_CLOEXEC) = 9</q/1.seg>
12 fallocate(9</q/2.seg>, 0, 0, 4096) = -1 ENOSPC (No space left on device)
12 write(8</q/acks>, ""..., 10) = 10
`
	file := filepath.Join(t.TempDir(), "strace.txt")
	if err := os.WriteFile(file, []byte("12 write(8</q/acks>, \"\"..., 10) = 10\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	var w wear
	if err := w.read(file, 37, "/q"); err != nil {
		t.Fatal(err)
	}
	want := wear{Writes: 3, WrittenBytes: 12298, Syncs: 1, Changes: 1}
	if w != want {
		t.Errorf("%+v, want %+v", w, want)
	}
}
