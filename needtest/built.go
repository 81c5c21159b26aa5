package needtest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Build makes out the program of a package of this module, as it is shipped: without C.
// It lies in bin/test for all tests of the checkout, and is linked again only when
// something of it has changed; out is a link to it, which nobody changes under a test.
func Build(out, of string, flags ...string) error {
	root, err := checkout()
	if err != nil {
		return err
	}
	words := append(append([]string{"build"}, flags...), of)
	dir, unlock, err := locked(root, words...)
	if err != nil {
		return err
	}
	defer unlock()
	built := filepath.Join(dir, filepath.Base(of))
	if err := run(append([]string{"build", "-o", built}, words[1:]...)...); err != nil {
		return err
	}
	if os.Link(built, out) == nil {
		return nil
	}
	return clone(built, out) // on another file system
}

// Self returns the program of the tests that run, for processes of its own: this one, or,
// where this one has the race detector, one that is without. What such a process does it
// does in the tests' own process, too, where it is watched; the detector makes its start
// five times as long, and there are hundreds.
func Self(t testing.TB) string {
	t.Helper()
	if !raced {
		return os.Args[0]
	}
	path, err := calm()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// calm builds the tests of this folder's package without the race detector.
var calm = sync.OnceValues(func() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	root, err := checkout()
	if err != nil {
		return "", err
	}
	dir, unlock, err := locked(root, "test", here)
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, filepath.Base(here)+".test")
	return path, run("test", "-c", "-race=false", "-vet=off", "-ldflags=-s -w", "-o", path, ".")
})

// locked returns the folder of what is built with words, which belongs to the caller
// until it unlocks it.
func locked(root string, words ...string) (dir string, unlock func(), err error) {
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	dir = filepath.Join(root, "bin", "test", fmt.Sprintf("%x", sum[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	unlock = func() { _ = lock.Close() }
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		unlock()
		return "", nil, err
	}
	return dir, unlock, nil
}

// run has go do something without C.
func run(words ...string) error {
	cmd := exec.Command("go", words...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(words, " "), err, said)
	}
	return nil
}

// checkout returns the folder of go.mod, above that of the tests.
func checkout() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, gone := os.Stat(filepath.Join(dir, "go.mod")); gone == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.mod here")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

func clone(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	copied, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(copied, source)
	return errors.Join(err, copied.Close())
}
