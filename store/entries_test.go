package store

import (
	"path/filepath"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
)

// TestForgetIsWhatWasExported: between an export and forgetting, batches are
// acknowledged, claimed, appended and committed, dead letters come back, and a
// segment that could not be read is repaired. What is forgotten was in the file,
// and waited to the end.
func TestForgetIsWhatWasExported(t *testing.T) {
	master := filled(t) // seqs 1 to 100 acknowledged, 101 to 105 dead, to 1000 waiting
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	dir := copyDir(t, master.shelf.Dir)
	sealed := master.shelf.Segments[1]
	path := folder.SegmentPath(dir, sealed.First)
	onPage(pageLeaf, 5, flipAt(2000))(t, path)
	q := openQueue(t, roomyConfig(dir))
	exported := map[uint64]bool{}
	x, err := q.Entries(t.Context(), folder.Filter{}, func(entries []bridge.Entry) error {
		for i := range entries {
			exported[entries[i].Seq] = true
		}
		return nil
	})
	if err != nil || x.Unread != 1 || len(exported) == 0 || len(exported) > 800 {
		t.Fatalf("%d exported, %+v, %v", len(exported), x, err)
	}

	q.Online()
	claimed, acked := map[uint64]bool{}, map[uint64]bool{}
	commitNow(t, q) // which repairs
	entries, err := q.Next(t.Context(), bridge.Backlog, 40)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if i%2 == 0 {
			q.Ack(e.Position)
			acked[e.Seq] = true
		} else {
			claimed[e.Seq] = true
		}
	}
	if n, err := q.RetryDead(t.Context()); err != nil || n.Batches != 5 {
		t.Fatalf("%+v, %v", n, err)
	}
	for i := range 50 {
		q.Append(noiseOf(i, 24), nil)
	}
	commitNow(t, q)
	before := q.Ledger()
	n, err := q.Forget(t.Context(), folder.Filter{}, x)
	if want := uint64(len(exported) - len(entries)); err != nil || n.Batches != want {
		t.Errorf("%d forgotten, want %d of %d exported: %v", n.Batches, want, len(exported), err)
	}
	if l := q.Ledger(); l.Dropped.Sub(before.Dropped) != n || !l.Balanced() {
		t.Errorf("ledger %+v", l)
	}
	q.Offline()
	q.Online()
	old := 0
	for _, e := range take(t, q, bridge.Backlog) {
		if e.Run == q.Run() {
			continue
		}
		old++
		if exported[e.Seq] && !claimed[e.Seq] {
			t.Fatalf("seq %d was exported, waited, and is not forgotten", e.Seq)
		}
	}
	if saved := old - len(claimed); saved < 10 {
		t.Errorf("%d batches of %s wait that were not exported", saved, filepath.Base(path))
	}
	commitNow(t, q)
}
