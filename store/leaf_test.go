package store

import (
	"os"
	"testing"

	"fieldbridge/bridge"
)

// A bucket with little in it has no pages of its own: what stands in it is saved
// all the same when bbolt cannot open the file any more.
func TestSmallFilesAreSalvaged(t *testing.T) {
	q := openQueue(t, testConfig(tempDir(t)))
	const n = 5
	for i := range n {
		q.Append(testBatch(i, 2), nil)
	}
	commitNow(t, q)
	q.Online()
	entries := take(t, q, bridge.Backlog)
	q.Bury("too large", entries[0].Position, entries[1].Position)
	q.Release(entries[2].Position, entries[3].Position, entries[4].Position)
	commitNow(t, q)
	segment := q.shelf.Segments[0].Path
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{segment, deadPath(q.shelf.Dir)} {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, 2*pageSize), 0); err != nil { // both meta pages
			t.Fatal(err)
		}
		f.Close()
	}
	q = openQueue(t, testConfig(q.shelf.Dir))
	commitNow(t, q) // which waits for the repair
	if l := q.Ledger(); l.Waiting.Batches != n-2 || l.Dead.Batches != 2 || l.Damaged.Batches != 0 || !l.Balanced() {
		t.Errorf("ledger: %+v", l)
	}
	q.Online()
	if got := take(t, q, bridge.Backlog); len(got) != n-2 {
		t.Errorf("%d batches are left of %d", len(got), n-2)
	}
}
