//go:build linux

package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/needtest"
	"fieldbridge/store/terms"
)

// mountExt4 mounts an ext4 file system in a file that turns read-only at its
// first error, or skips. It returns the folder and the name of its device.
func mountExt4(t testing.TB, size string) (dir, device string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	dir = t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			needtest.Missing(t, "%v: %v: %s (it needs root, e2fsprogs and loop devices)", args, err, out)
		}
	}
	run("truncate", "-s", size, image)
	run("mkfs.ext4", "-q", "-b", "4096", image)
	run("mount", "-o", "loop,errors=remount-ro", image, dir)
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == dir {
			return dir, filepath.Base(f[0])
		}
	}
	t.Fatal("the mount is not there")
	return "", ""
}

// TestFileSystemError trips an error of ext4 under a running queue: the file
// system turns read-only, as on worn flash.
func TestFileSystemError(t *testing.T) {
	dir, device := mountExt4(t, "32M")
	c := testConfig(filepath.Join(dir, "q"))
	c.CommitEvery = terms.Pace(20 * time.Millisecond)
	c.MinFree = 0
	q := openQueue(t, c)
	for i := range 100 {
		q.Append(testBatch(i, 5), nil)
	}
	commitNow(t, q)
	if err := os.WriteFile("/sys/fs/ext4/"+device+"/trigger_fs_error", []byte("test"), 0); err != nil {
		needtest.Missing(t, "trip an error of ext4: %v", err)
	}
	told := make(chan error, 1)
	q.Append(testBatch(0, 5), func(err error) { told <- err })
	if err := q.Commit(t.Context()); err == nil {
		t.Fatal("a commit to a broken file system succeeded")
	}
	if h := q.Health(); len(h) != 1 || h[0].Severity != condition.Alarm ||
		!strings.Contains(h[0].Text, "the file system is read-only: look for its errors (dmesg), repair and remount it") {
		t.Errorf("health: %+v", h)
	}
	for i := range 100 {
		q.Append(testBatch(i, 5), nil)
	}
	// What is on the disk and what is in memory can still be delivered.
	q.Online()
	entries := take(t, q, bridge.Backlog)
	if len(entries) != 201 {
		t.Errorf("%d entries can be had of 201", len(entries))
	}
	ackAll(q, entries)
	if err := <-told; err != nil {
		t.Errorf("the sensor whose batch the cloud has was told %v", err)
	}
	if l := q.Ledger(); l.Acked.Batches != 201 || l.Waiting.Batches != 0 || !l.Balanced() {
		t.Errorf("ledger: %+v", l)
	}
	if err := q.Close(); err == nil {
		t.Error("Close did not say that the acknowledgements could not be recorded")
	}
}
