package store

import (
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
)

// TestOldestWaits: the age that status, shadow and the renewal of the certificate go by is
// that of what waits, not of what a small segment keeps of days ago.
func TestOldestWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		hour := func() {
			b := testBatch(0, 1)
			b.At = time.Now()
			q.Append(b, nil)
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		if at := q.Status().Oldest; !at.IsZero() {
			t.Errorf("in an empty queue something waits since %s", at)
		}
		began := time.Now()
		for range 10 {
			hour()
		}
		if s := q.Status(); !s.Oldest.Equal(began.Truncate(time.Millisecond)) || s.Segments != 1 {
			t.Fatalf("waits since %s, not %s, in %d segments", s.Oldest, began, s.Segments)
		}
		q.Online()
		entries := take(t, q, bridge.Backlog)
		if len(entries) != 10 {
			t.Fatalf("%d batches", len(entries))
		}
		for _, e := range entries[:5] {
			q.Ack(e.Position)
		}
		if at := q.Status().Oldest.Sub(began).Round(time.Hour); at < 4*time.Hour || at > 5*time.Hour {
			t.Errorf("after five of ten hours are done, %s are", at)
		}
		for _, e := range entries[5:] {
			q.Ack(e.Position)
		}
		q.Append(testBatch(0, 1), nil) // in memory alone
		if s := q.Status(); !s.Oldest.IsZero() || s.Segments != 1 || s.Ledger.Waiting.Batches != 1 {
			t.Errorf("waits since %s: %d segments, %d batches", s.Oldest, s.Segments, s.Ledger.Waiting.Batches)
		}
	})
}
