//go:build linux

package crashtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// disk is a file system of testdata/disk.py, which says what the commands do.
type disk struct {
	t      *testing.T
	dir    string // where it is mounted
	in     io.Writer
	out    *bufio.Reader
	errors *output
}

func mountDisk(t *testing.T) *disk {
	t.Helper()
	const python = "/usr/bin/python3" // which has Debian's packages
	if out, err := exec.Command(python, "-c", "import fusepy").CombinedOutput(); err != nil {
		missing(t, "python3-fusepy is missing (.ci/packages): %v: %s", err, out)
	}
	d := &disk{t: t, dir: t.TempDir(), errors: &output{}}
	cmd := exec.Command(python, "testdata/disk.py", d.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = d.errors
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.in, d.out = in, bufio.NewReader(out)
	t.Cleanup(func() {
		_ = syscall.Unmount(d.dir, syscall.MNT_DETACH)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, _ := d.out.ReadString('\n'); line != "ready\n" {
		missing(t, "FUSE does not work here (it needs root and /dev/fuse): %s", d.errors)
	}
	return d
}

// ask gives a command and returns its answer.
func (d *disk) ask(format string, args ...any) string {
	d.t.Helper()
	if _, err := fmt.Fprintf(d.in, format+"\n", args...); err != nil {
		d.t.Fatal(err)
	}
	line, err := d.out.ReadString('\n')
	if err != nil {
		d.t.Fatalf("the disk does not answer: %v: %s", err, d.errors)
	}
	return strings.TrimSpace(line)
}

// keep saves the state before the last cut, which seed makes again.
func (d *disk) keep(seed uint64) {
	d.t.Helper()
	f, err := os.CreateTemp("", "fieldbridge-crash-disk-")
	if err != nil {
		d.t.Fatal(err)
	}
	_ = f.Close()
	d.ask("save %s", f.Name())
	d.t.Logf("to see what the cut left: python3 gateway/crashtest/testdata/disk.py replay %s %d FOLDER", f.Name(), seed)
}

// mountSmall mounts a file system in memory of so many bytes, and returns how to
// fill it.
func mountSmall(t *testing.T, size int) (dir string, full func(on bool)) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		missing(t, "mount tmpfs: %v (it needs root)", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	filler := filepath.Join(dir, "filler")
	return dir, func(on bool) {
		t.Helper()
		if !on {
			_ = os.Remove(filler)
			return
		}
		f, err := os.Create(filler)
		if err != nil {
			return // it is as full as can be
		}
		_, _ = io.CopyN(f, zeros{}, int64(size)) // until there is no more room
		_ = f.Close()
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
