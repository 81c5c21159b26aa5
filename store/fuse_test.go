//go:build linux

package store

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/needtest"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// mountFailing mounts a file system that gives EIO while fail says so, or skips.
func mountFailing(t *testing.T) (dir string, fail func(what string, on bool)) {
	t.Helper()
	const python = "/usr/bin/python3" // which has Debian's packages
	if out, err := exec.Command(python, "-c", "import fusepy").CombinedOutput(); err != nil {
		needtest.Missing(t, "python3-fusepy is missing: %v: %s", err, out)
	}
	root, control := tempDir(t), tempDir(t)
	dir = t.TempDir()
	cmd := exec.Command(python, "testdata/eio.py", root, dir, control)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var trouble strings.Builder
	cmd.Stderr = &trouble
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Unmount(dir, syscall.MNT_DETACH)
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		needtest.Missing(t, "FUSE does not work here (it needs root and /dev/fuse): %s", &trouble)
	}
	return dir, func(what string, on bool) {
		t.Helper()
		path := filepath.Join(control, what)
		err := os.Remove(path)
		if on {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskGivesErrors lets writes, syncs and reads of a running queue fail with
// EIO, one after the other and then all: nothing waits for the disk, the ledger
// holds, writing goes on in a new segment, and in the end every batch is there
// once, with what it had.
func TestDiskGivesErrors(t *testing.T) {
	t.Parallel() // it mostly waits for another process
	dir, fail := mountFailing(t)
	c := roomyConfig(filepath.Join(dir, "q"))
	c.CommitEvery = terms.Pace(20 * time.Millisecond)
	q := openQueue(t, c)
	seq, told := uint64(0), make(chan error, 10_000)
	poll := func(n int) {
		t.Helper()
		for range n {
			seq++
			start := time.Now()
			q.Append(content(q.Run(), seq), func(err error) { told <- err })
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("Append waits for %v", d)
			}
			if l := q.Ledger(); !l.Balanced() || l.Accepted.Batches != seq {
				t.Fatalf("ledger: %+v", l)
			}
		}
	}
	poll(200)
	commitNow(t, q)
	writer := func() string { s := q.Inspect().Segments; return s[len(s)-1].File }
	for _, what := range [][]string{{"write"}, {"sync"}, {"read"}, {"read", "write", "sync"}} {
		name, before := strings.Join(what, ", "), writer()
		for _, w := range what {
			fail(w, true)
		}
		poll(150)
		failsToWrite := len(what) != 1 || what[0] != "read"
		err := q.Commit(t.Context())
		if (err != nil) != failsToWrite {
			t.Errorf("%s: the commit says %v", name, err)
		}
		if h := q.Health(); failsToWrite &&
			(len(h) == 0 || h[0].Severity != condition.Alarm || !strings.Contains(h[0].Text, "the disk fails")) {
			t.Errorf("%s: health %+v", name, h)
		}
		q.Online()
		taken := take(t, q, bridge.Backlog)
		if waiting := q.Ledger().Waiting.Batches; slices.Contains(what, "read") != (uint64(len(taken)) < waiting) {
			t.Errorf("%s: %d can be had of %d", name, len(taken), waiting)
		}
		q.Offline()
		poll(150)
		for _, w := range what {
			fail(w, false)
		}
		commitNow(t, q)
		if failsToWrite && writer() == before {
			t.Errorf("%s: %s is written to again", name, before)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	q.Online()
	got := map[uint64]bool{}
	for q.Ledger().Waiting.Batches > 0 {
		for _, e := range take(t, q, bridge.Backlog) {
			if got[e.Seq] || !sameContent(&e) {
				t.Errorf("seq %d comes twice, or with another content", e.Seq)
			}
			got[e.Seq] = true
			q.Ack(e.Position)
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not drain: %+v, %+v", q.Ledger(), q.Health())
		}
		q.Commit(t.Context())
	}
	if l := q.Ledger(); l.Acked.Batches != seq || uint64(len(got)) != seq || l.Damaged.Batches > 0 ||
		l.Dropped.Batches > 0 || len(q.Tombstones()) > 0 {
		t.Errorf("%d of %d arrived, ledger %+v, tombstones %+v", len(got), seq, l, q.Tombstones())
	}
	if h := q.Health(); len(h) > 0 {
		t.Errorf("health: %+v", h)
	}
	late := time.After(30 * time.Second)
	for i := range seq {
		select {
		case err := <-told:
			if err != nil {
				t.Fatalf("a sensor was told %v", err)
			}
		case <-late:
			t.Fatalf("%d of %d sensors were told", i, seq)
		}
	}
	if names, _ := os.ReadDir(filepath.Join(q.shelf.Dir, folder.QuarantineDir)); len(names) > 0 {
		t.Errorf("set aside: %v", names)
	}
}
