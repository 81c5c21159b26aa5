package store

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// TestFolderVanishes removes the folder under a running queue: it is made and locked
// again within seconds, nobody else gets it, and what comes then is on disk.
func TestFolderVanishes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	var cfg terms.Config
	cfg.SetDefaults()
	cfg.Dir, cfg.MinFree = setting.Path(dir), 0
	q, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	batch := bridge.Batch{Device: "d", At: time.Now(), Readings: []bridge.Reading{{Point: "p", Value: bridge.Int(1)}}}
	q.Append(batch, nil)
	commitNow(t, q)
	for range 2 {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the folder is made again", func() bool {
			_, err := os.Stat(filepath.Join(dir, folder.IndexFile))
			return err == nil
		})
		var locked *disk.LockedError
		if _, err := disk.Lock(dir); !errors.As(err, &locked) {
			t.Fatalf("another gets the folder: %v", err)
		}
		if !q.Holds() {
			t.Error("it does not hold its folder")
		}
		safe := make(chan error, 1)
		q.Append(batch, func(err error) { safe <- err })
		if err := <-safe; err != nil {
			t.Error(err)
		}
	}
}

// TestFolderOfAnother replaces the folder by one that another process has: this one
// writes nothing there.
func TestFolderOfAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	var cfg terms.Config
	cfg.SetDefaults()
	cfg.Dir, cfg.MinFree = setting.Path(dir), 0
	q, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := disk.MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	other, err := disk.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	eventually(t, "it notices", func() bool { return !q.Holds() })
	q.Append(bridge.Batch{Device: "d", At: time.Now(), Readings: []bridge.Reading{{Point: "p", Value: bridge.Int(1)}}},
		nil)
	if err := q.Close(); err == nil {
		t.Error("it closes as if all were well")
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("it wrote into the other's folder: %v %v", names, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) { // between two looks
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// Q02: a copy of a queue that is in use is a queue of its own later, with all that was
// committed; a second process on the one in use is refused, and told whose it is.
func TestCaseQ02(t *testing.T) {
	dir := filepath.Join(tempDir(t), "q")
	q := openQueue(t, testConfig(dir))
	batch := bridge.Batch{Device: "d", At: time.Now(), Readings: []bridge.Reading{{Point: "p", Value: bridge.Int(1)}}}
	for range 100 {
		q.Append(batch, nil)
	}
	commitNow(t, q)
	copied := copyDir(t, dir)
	q.Append(batch, nil) // after the copy
	commitNow(t, q)
	if _, err := Open(testConfig(dir), quiet); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("a second process: %v", err)
	}
	other := openQueue(t, testConfig(copied))
	if n := other.Inspect().Waiting.Batches; n != 100 {
		t.Errorf("%d batches wait in the copy, want 100", n)
	}
	if n := q.Inspect().Waiting.Batches; n != 101 {
		t.Errorf("%d batches wait in the queue, want 101", n)
	}
	if damages := damagesOf(t, other); damages != 0 {
		t.Errorf("%d damages in the copy", damages)
	}
}

func damagesOf(t *testing.T, q *Queue) (n int) {
	t.Helper()
	err := q.Verify(t.Context(), func(v folder.Verified) {
		if v.Damage != nil {
			n++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
