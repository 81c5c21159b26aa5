//go:build linux

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/needtest"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
	"fieldbridge/store/terms"
)

// mountSmall mounts a file system of size bytes, or skips.
func mountSmall(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		needtest.Missing(t, "mount a small file system: %v (it needs root)", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestDiskFull fills a file system under a queue: nothing stops, the ledger
// holds, and it goes on by itself.
func TestDiskFull(t *testing.T) {
	for _, policy := range []terms.WhenFull{terms.DropOldest, terms.DropNewest} {
		t.Run(string(policy), func(t *testing.T) {
			dir := mountSmall(t, "3m")
			synctest.Test(t, func(t *testing.T) { testDiskFull(t, dir, policy) })
		})
	}
}

func testDiskFull(t *testing.T, dir string, policy terms.WhenFull) {
	c := testConfig(filepath.Join(dir, "q"))
	c.CommitEvery = terms.Pace(time.Second)
	c.WhenFull = policy
	c.MinFree = 0
	c.SegmentSize = 512 << 10
	q, err := Open(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var told int
	const n = 3000 // some 12 MB
	for i := range n {
		var safe func(error)
		if i%100 == 0 {
			safe = func(error) { told++ }
		}
		q.Append(noise(i), safe)
		time.Sleep(100 * time.Millisecond)
		if l := q.Ledger(); !l.Balanced() {
			t.Fatalf("ledger: %+v", l)
		}
	}
	s := q.Status()
	if s.Ledger.Dropped.Batches == 0 || s.Ledger.Waiting.Batches < 200 || memory.Cost(s.Memory) > terms.DefaultMemory {
		t.Errorf("status: %+v", s)
	}
	// It is the file system that is full, and the sentence says which; max_size would
	// not help.
	if h := q.Health(); len(h) == 0 || h[0].Severity != condition.Alarm ||
		!strings.Contains(fmt.Sprint(h), "the file system of "+string(c.Dir)+" is full") {
		t.Errorf("health: %+v", h)
	}
	os.Remove(ballast)
	q.Append(testBatch(1, 1), nil)
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	s = q.Status()
	if s.Memory.Batches != 0 {
		t.Errorf("with room again, %d batches are still in memory: %+v", s.Memory.Batches, q.Health())
	}
	q.Online()
	for range 10 {
		ackAll(q, take(t, q, bridge.Backlog))
		time.Sleep(2 * time.Second)
	}
	if s := q.Status(); s.Ledger.Waiting.Batches != 0 || !s.Ledger.Balanced() || told != n/100 {
		t.Errorf("drained: %+v, %d sensors were told", s, told)
	}
	time.Sleep(2 * time.Minute)
	if h := q.Health(); len(h) != 0 {
		t.Errorf("health: %+v", h)
	}
}

// TestReadOnly takes the disk away by remounting it, and gives it back.
func TestReadOnly(t *testing.T) {
	dir := mountSmall(t, "16m")
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=16m"); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(filepath.Join(dir, "q"))
		c.CommitEvery = terms.Pace(time.Second)
		c.MinFree = 0
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		q.Close() // tmpfs is not remounted while a file is open for writing
		remount(syscall.MS_RDONLY)
		if q, err = Open(c, quiet); err != nil {
			t.Fatalf("on a read-only disk: %v", err)
		}
		defer q.Close()
		told := 0
		q.Append(testBatch(0, 2), func(error) { told++ })
		for i := range 100_000 { // more than memory takes
			q.Append(testBatch(i, 2), nil)
		}
		time.Sleep(2 * time.Minute) // that more came is told for one
		synctest.Wait()
		s := q.Status()
		if memory.Cost(s.Memory) > terms.DefaultMemory || s.Ledger.Dropped.Batches == 0 || !s.Ledger.Balanced() ||
			s.Ledger.Accepted.Batches != 100_001 {
			t.Errorf("status: %+v", s)
		}
		if h := q.Health(); len(h) != 1 || !strings.Contains(h[0].Text, "read-only") {
			t.Errorf("health: %+v", h)
		}
		// What is in memory can still be delivered.
		q.Online()
		ackAll(q, take(t, q, bridge.Backlog)[:1000])
		q.Offline()
		remount(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := q.Status(); s.Memory.Batches != 0 || len(q.Health()) != 0 || told != 1 || !s.Ledger.Balanced() {
			t.Errorf("written again: %+v, %+v", s, q.Health())
		}
	})
}

// TestOpenAlwaysStarts puts foreign things in the place of every file.
func TestOpenAlwaysStarts(t *testing.T) {
	for _, name := range []string{"meta", "acks", "lock", folder.DeadDir, folder.QuarantineDir, "seg-0000000000000001.db",
		"seg-zz.db", "seg-0000000000000009.db.tmp~"} {
		for what, make := range map[string]func(path string) error{
			"garbage": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("garbage ", 3000)), 0o600) },
			"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
			"folder":  func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		} {
			t.Run(name+" is "+what, func(t *testing.T) {
				dir := tempDir(t)
				if err := make(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				q := openQueue(t, testConfig(dir))
				q.Append(testBatch(0, 1), nil)
				commitNow(t, q)
				q.Online()
				entries := take(t, q, bridge.Backlog)
				if len(entries) != 1 {
					t.Fatalf("%d entries", len(entries))
				}
				q.Bury("no", entries[0].Position)
				commitNow(t, q)
				if l := q.Ledger(); !l.Balanced() || l.Dead.Batches != 1 {
					t.Errorf("ledger: %+v", l)
				}
				q = openQueue(t, testConfig(copyDir(t, dir)))
				if l := q.Ledger(); l.Dead.Batches != 1 {
					t.Errorf("next start: %+v", l)
				}
			})
		}
	}
}

func TestNewerFormatIsRefusedAndLeftAlone(t *testing.T) {
	dir := tempDir(t)
	q := openQueue(t, testConfig(dir))
	q.Append(testBatch(0, 1), nil)
	q.Close()
	m, _, err := folder.ReadIndex(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Format = folder.Version + 1
	if _, err := folder.WriteIndex(dir, m); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	if _, err := Open(testConfig(dir), quiet); err == nil ||
		!strings.Contains(err.Error(), fmt.Sprintf("version %d", folder.Version+1)) {
		t.Errorf("Open: %v", err)
	}
	after := listing(t, dir)
	for name := range before {
		if before[name] != after[name] && filepath.Base(name) != disk.LockFile && name != dir {
			t.Errorf("%s was changed", name)
		}
	}
}
