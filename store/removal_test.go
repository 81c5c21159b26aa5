package store

import (
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/setting"
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
