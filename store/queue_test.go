package store

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fieldbridge/bridge/bridgetest"
	"fieldbridge/setting"
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
func testConfig(dir string) Config {
	var c Config
	c.SetDefaults()
	c.Dir = setting.Path(dir)
	c.CommitEvery = setting.Duration(time.Hour)
	c.Journal = "off"
	return c
}

func openQueue(t testing.TB, c Config) *Queue {
	t.Helper()
	q, err := Open(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// copyDir copies the folder of a queue as a kill would leave it.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := tempDir(t)
	if err := os.CopyFS(filepath.Join(to, "q"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "q")
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
	for seed := range uint64(soak(15)) {
		bridgetest.Compare(t, harness, seed, 300)
		if t.Failed() {
			return
		}
	}
}
