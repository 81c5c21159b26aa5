package store

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/store/terms"
)

// TestClock gives the queue what a wrong wall clock makes of acquisition times:
// nothing is dropped, the order stays, each reading keeps its time and its mark.
func TestClock(t *testing.T) {
	today := time.UnixMilli(1763887500000)
	for name, at := range map[string]func(i int) time.Time{
		"starts in 1970 and is stepped to today": func(i int) time.Time {
			if i < 50 {
				return time.Unix(int64(i), 0)
			}
			return today.Add(time.Duration(i) * time.Second)
		},
		"is set back two hours": func(i int) time.Time {
			if i < 50 {
				return today.Add(time.Duration(i) * time.Second)
			}
			return today.Add(time.Duration(i)*time.Second - 2*time.Hour)
		},
		"leaps past max_age": func(i int) time.Time {
			return today.Add(time.Duration(i/50) * 365 * 24 * time.Hour).Add(time.Duration(i) * time.Second)
		},
		"is before 1970": func(i int) time.Time { return time.Unix(int64(i)-1000, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := tempDir(t)
			synctest.Test(t, func(t *testing.T) { testClock(t, dir, at) })
		})
	}
}

func testClock(t *testing.T, dir string, at func(i int) time.Time) {
	c := testConfig(dir)
	c.CommitEvery = terms.Pace(time.Second)
	c.MaxAge = setting.Duration(24 * time.Hour)
	var runs []string
	for start := range 2 { // with a restart in between
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, q.Run())
		for i := start * 50; i < start*50+50; i++ {
			b := testBatch(i, 2)
			b.At, b.Unsynced = at(i), i < 60
			q.Append(b, nil)
			time.Sleep(time.Second)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	q, err := Open(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	q.Online()
	entries := take(t, q, bridge.Backlog)
	if len(entries) != 100 {
		t.Fatalf("%d of 100 batches are left: %+v", len(entries), q.Ledger())
	}
	for i := range entries {
		e := &entries[i]
		if !e.At.Equal(at(i)) || e.Unsynced != (i < 60) || e.Run != runs[i/50] || e.Seq != uint64(i%50+1) {
			t.Errorf("batch %d: run %s seq %d at %v unsynced %v", i, e.Run, e.Seq, e.At, e.Unsynced)
		}
	}
	if uptime := q.uptime(); uptime < 100_000 || uptime > 110_000 {
		t.Errorf("the folder has run for %d ms, want 100 s", uptime)
	}
}
