package store

import (
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
)

func TestRunRecordsChain(t *testing.T) {
	dir := tempDir(t)
	var runs []string
	for i := range 3 {
		q := openQueue(t, testConfig(dir))
		<-q.Noticed()
		runs = append(runs, q.Run())
		for range 10 * (i + 1) {
			q.Append(testBatch(0, 1), nil)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	q := openQueue(t, testConfig(dir))
	records := q.Runs()
	if len(records) != 4 {
		t.Fatalf("%+v", records)
	}
	for i, r := range records[:3] {
		if r.Run != runs[i] || i > 0 && (r.Previous != runs[i-1] || r.PreviousLast != uint64(10*i)) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	q.AckRuns(runs[0], runs[1], q.Run())
	commitNow(t, q)
	killed := openQueue(t, testConfig(copyDir(t, dir)))
	if r := killed.Runs(); len(r) != 2 || r[0].Run != runs[2] || r[1].Previous != q.Run() || r[1].PreviousLast != 0 {
		t.Errorf("after a kill: %+v", r)
	}
	// A run is forgotten when it is told and nothing of it is left.
	killed.AckRuns(runs[2])
	killed.Online()
	entries := take(t, killed, bridge.Backlog)
	if len(entries) != 60 {
		t.Fatalf("%d entries", len(entries))
	}
	ackAll(killed, entries)
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	m, _, err := folder.ReadIndex(killed.shelf.Dir)
	if err != nil || len(m.Runs) != 1 || m.Runs[0].Run != killed.Run() {
		t.Errorf("runs in the index: %v %+v", err, m.Runs)
	}
}
