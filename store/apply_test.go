package store

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/terms"
)

func TestApplyCommitEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(tempDir(t))
		c.CommitEvery = terms.Pace(time.Hour)
		q := openQueue(t, c)
		q.Append(noise(1), nil)
		time.Sleep(time.Minute)
		if n := commits(q); n != 0 {
			t.Fatalf("%d commits in a minute of an hour", n)
		}
		c.CommitEvery = terms.Pace(30 * time.Second)
		if err := q.Apply(c); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := commits(q); n != 1 {
			t.Errorf("%d commits of a batch that is older than commit_every", n)
		}

		// With 0s only what is on disk is handed out, and at once.
		c.CommitEvery = 0
		if err := q.Apply(c); err != nil {
			t.Fatal(err)
		}
		q.Append(noise(2), nil)
		synctest.Wait()
		if n := commits(q); n != 2 {
			t.Errorf("%d commits with commit_every 0s", n)
		}
	})
}

// A queue whose limits shrink and grow keeps to those of the moment.
func TestApplyLimits(t *testing.T) {
	c := smallConfig(tempDir(t))
	q := openQueue(t, c)
	next := 0
	fill := func(batches int) {
		t.Helper()
		for range batches {
			q.Append(noise(next), nil)
			if next++; next%10 == 0 {
				commitNow(t, q)
			}
		}
	}
	fill(600) // some 2.4 MB
	if l := q.Ledger(); l.Dropped.Batches != 0 {
		t.Fatalf("dropped below the limit: %+v", l)
	}
	small := c
	small.MaxSize, small.SegmentSize = 1<<20, 128<<10
	if err := q.Apply(small); err != nil {
		t.Fatal(err)
	}
	fill(50)
	if size := dirSize(t, q.shelf.Dir); size > int64(small.MaxSize) {
		t.Errorf("the folder takes %d bytes", size)
	}
	large := c
	large.MaxSize, large.SegmentSize = 256<<20, 32<<20
	if err := q.Apply(large); err != nil {
		t.Fatal(err)
	}
	dropped := q.Ledger().Dropped
	fill(1000)
	l := q.Ledger()
	if l.Dropped != dropped || !l.Balanced() {
		t.Errorf("dropped %+v, then %+v", dropped, l)
	}
	if h := q.Health(); len(h) > 1 {
		t.Errorf("health: %+v", h)
	}
	q.Online()
	checkTombstones(t, q, next, take(t, q, bridge.Backlog))

	large.Dir += "2"
	if q.Apply(large) == nil {
		t.Error("another folder was taken")
	}
}
