package store

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fieldbridge/bridge/bridgetest"
	"fieldbridge/setting"
	"fieldbridge/store/terms"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// tempDir returns a folder in memory if there is one, where a sync costs
// nothing: these tests are about kills, not about power cuts.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "fieldbridge-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// testConfig returns a configuration that commits when it is asked to.
func testConfig(dir string) terms.Config {
	var c terms.Config
	c.SetDefaults()
	c.Dir = setting.Path(dir)
	c.CommitEvery = terms.Pace(time.Hour)
	c.Journal = "off"
	return c
}

func openQueue(t testing.TB, c terms.Config) *Queue {
	t.Helper()
	q, err := Open(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// copyDir copies the folder of a queue as a kill would leave it: as it was at one
// instant. A queue that runs writes now and then, so a copy that was made meanwhile is
// made anew.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	for range 1000 {
		to := filepath.Join(tempDir(t), "q")
		before := looksOf(t, dir)
		err := os.CopyFS(to, os.DirFS(dir))
		if !slices.Equal(before, looksOf(t, dir)) {
			os.RemoveAll(to)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	t.Fatal("the queue never rests")
	return ""
}

// looksOf returns what the files of a folder are like: a folder of the same looks has
// not been written to.
func looksOf(t testing.TB, dir string) (all []string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := name.Info()
		if err != nil { // it is gone
			all = append(all, name.Name()+" "+err.Error())
			continue
		}
		all = append(all, fmt.Sprint(info.Name(), info.Size(), info.ModTime().UnixNano(),
			info.Sys().(*syscall.Stat_t).Ino))
	}
	return all
}

var harness = bridgetest.Harness{
	Open: func(t *testing.T) bridgetest.DurableQueue { return openQueue(t, testConfig(tempDir(t))) },
	Restart: func(t *testing.T, d bridgetest.DurableQueue, crash bool) bridgetest.DurableQueue {
		q := d.(*Queue)
		dir := q.shelf.Dir
		if crash {
			dir = copyDir(t, q.shelf.Dir)
			q.Close()
		}
		return openQueue(t, testConfig(dir))
	},
}

func TestQueueConforms(t *testing.T) { bridgetest.TestQueue(t, harness) }

func TestQueueComparesWithTheModel(t *testing.T) {
	for seed := range uint64(soak(6)) {
		bridgetest.Compare(t, harness, seed, 300)
		if t.Failed() {
			return
		}
	}
}
