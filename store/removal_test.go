package store

import (
	"os"
	"path/filepath"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/store/folder"
)

// TestDoneSegmentIsRecordedFirst cuts the power at the instant at which a segment,
// all of which the cloud has just acknowledged, is removed. The index still names
// it: only the record of acknowledgements says that nothing is lost with it.
func TestDoneSegmentIsRecordedFirst(t *testing.T) {
	c := roomyConfig(tempDir(t))
	c.SegmentSize = 128 << 10
	q := openQueue(t, c)
	for i := range 60 {
		q.Append(noise(i), nil)
		if i%5 == 4 {
			commitNow(t, q)
		}
	}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	var cut string
	before := len(q.Inspect().Segments)
	if err := q.keep.ask(t.Context(), func() error {
		first := q.shelf.Segments[0]
		for i := range entries {
			if entries[i].Position <= first.Last {
				q.Ack(entries[i].Position)
			}
		}
		q.keep.removeDone()
		cut = copyDir(t, string(c.Dir))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if now := len(q.Inspect().Segments); before < 3 || now != before-1 {
		t.Fatalf("%d segments, then %d", before, now)
	}
	want := q.Ledger().Waiting
	c.Dir = setting.Path(cut)
	after := openQueue(t, c)
	if l := after.Ledger(); l.Waiting != want || l.Damaged.Batches > 0 || len(lostFromDisk(after)) > 0 {
		t.Errorf("ledger %+v, want %+v waiting; tombstones %+v", l, want, after.Tombstones())
	}
}

// TestRecordThatFails: what is acknowledged is recorded with the next try, although
// nothing was acknowledged since.
func TestRecordThatFails(t *testing.T) {
	c := roomyConfig(tempDir(t))
	q := openQueue(t, c)
	for i := range 10 {
		q.Append(testBatch(i, 5), nil)
	}
	commitNow(t, q)
	q.Online()
	entries := take(t, q, bridge.Backlog)
	path := filepath.Join(string(c.Dir), "acks")
	if err := q.keep.ask(t.Context(), func() error {
		q.keep.acks.Abandon()
		_ = os.Remove(path)
		if err := os.Mkdir(path, 0o700); err != nil { // in its way
			return err
		}
		q.Ack(entries[2].Position, entries[5].Position)
		if q.keep.record(true) == nil {
			t.Error("a record in a folder's place succeeds")
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		return q.keep.record(true)
	}); err != nil {
		t.Fatal(err)
	}
	a, r, err := folder.OpenAcks(path)
	_ = a.Close()
	if err != nil || !r.Done.Has(entries[2].Position) || !r.Done.Has(entries[5].Position) ||
		r.Done.Has(entries[3].Position) {
		t.Errorf("recorded: %+v, %v", r.Done, err)
	}
}
