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
	"syscall"
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
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	dir := filepath.Join(root, "bin", "test", fmt.Sprintf("%x", sum[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	built := filepath.Join(dir, filepath.Base(of))
	cmd := exec.Command("go", append([]string{"build", "-o", built}, words[1:]...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(words, " "), err, said)
	}
	if os.Link(built, out) == nil {
		return nil
	}
	return clone(built, out) // on another file system
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
