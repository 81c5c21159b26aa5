package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "meta")
	for _, text := range []string{"first", "the second, which is longer", ""} {
		if err := Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// What cannot be replaced is left as it is, with nothing beside it.
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(folder, nil); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := Replace(filepath.Join(dir, "nowhere", "meta"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file in no folder: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+Temporary)); len(left) > 0 {
		t.Errorf("left beside: %v", left)
	}
	if err := os.MkdirAll(filepath.Join(dir, "x"+Temporary, "y"), 0o700); err != nil {
		t.Fatal(err)
	}
	RemoveLeftovers(dir)
	if names, _ := os.ReadDir(dir); len(names) != 2 {
		t.Errorf("there are %v, want meta and folder", names)
	}
}

func TestOneHoldsAFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	var locked *LockedError
	if _, err := Lock(dir); !errors.As(err, &locked) || locked.Dir != dir || !strings.Contains(locked.By, "process ") {
		t.Errorf("a second one: %v", err)
	}
	// A process that is being started has a copy of each file until its program runs.
	copied, err := syscall.Dup(int(first.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(copied)
	if err := Unlock(first); err != nil {
		t.Fatal(err)
	}
	second, err := Lock(dir)
	if err != nil || second == nil {
		t.Fatal(second, err)
	}
	if err := errors.Join(Unlock(second), Unlock(nil)); err != nil {
		t.Fatal(err)
	}
	// Something else where the lock should be is moved away.
	if err := os.Remove(filepath.Join(dir, LockFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, LockFile), 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(dir)
	if err != nil || again == nil {
		t.Fatal(again, err)
	}
	defer again.Close()
	if moved, _ := filepath.Glob(filepath.Join(dir, LockFile+".foreign-*")); len(moved) != 1 {
		t.Errorf("moved away: %v", moved)
	}
}

func TestFill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(path, bytes.Repeat([]byte{1}, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Fill(path, 1000, 100_000); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) != 100_000 || bytes.Count(data, []byte{0}) != 99_000 {
		t.Errorf("%d bytes, %d of them zero, %v", len(data), bytes.Count(data, []byte{0}), err)
	}
	if n := Size(path); n < 99_000 || n > 200_000 {
		t.Errorf("it takes %d bytes", n)
	}
	if Size(path+"-not") != 0 {
		t.Error("what is not there takes something")
	}
	if free, err := Free(filepath.Dir(path)); err != nil || free <= 0 {
		t.Errorf("%d bytes are free, %v", free, err)
	}
}

func TestFrames(t *testing.T) {
	for _, value := range []string{"", "x", strings.Repeat("long ", 1000)} {
		data := Frame([]byte(value))
		if got, ok := Unframe(data); !ok || string(got) != value {
			t.Errorf("%q, %v, want %q", got, ok, value)
		}
		for i := range data[:min(len(data), 40)] {
			data[i] ^= 4
			if _, ok := Unframe(data); ok {
				t.Errorf("%d bytes with byte %d flipped are taken", len(data), i)
			}
			data[i] ^= 4
		}
		if _, ok := Unframe(data[:len(data)-1]); ok {
			t.Errorf("%d bytes cut off are taken", len(data))
		}
	}
}

func FuzzUnframe(f *testing.F) {
	f.Add(Frame([]byte("value")))
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if value, ok := Unframe(data); ok && !bytes.Equal(Frame(value), data) {
			t.Errorf("%q is taken for the frame of %q", data, value)
		}
	})
}

func TestAdvice(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC:          "the disk is full",
		syscall.EDQUOT:          "the disk is full",
		syscall.EROFS:           "read-only",
		syscall.EACCES:          "correct the owner",
		syscall.EIO:             "replace it",
		errors.New("something"): "something",
	} {
		if got := Advice(&fs.PathError{Op: "write", Path: "x", Err: err}); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if !NoRoom(syscall.EDQUOT) || NoRoom(syscall.EIO) {
		t.Error("a quota is no room, a broken disk is something else")
	}
}

// TestMakeDir: whatever is missing is made. That its names outlive a power cut is
// what gateway/crashtest shows.
func TestMakeDir(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"a", "a/b/c/d", "a/b", "./e/", filepath.Join(t.TempDir(), "f/g")} {
		for range 2 {
			if err := MakeDir(dir); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
			if info, err := os.Stat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v", dir, info, err)
			}
		}
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir("file"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file: %v", err)
	}
	if err := MakeDir("file/a"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
}
