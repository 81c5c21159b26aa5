package store

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/setting"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/terms"
)

// smallConfig has limits that a test can reach.
func smallConfig(dir string) terms.Config {
	c := testConfig(dir)
	c.MaxSize = 4 << 20
	c.SegmentSize = 512 << 10
	c.MinFree = 0
	return c
}

// noise returns a batch that does not compress.
func noise(i int) bridge.Batch { return noiseOf(i, 500) }

// noiseOf returns one of that many readings.
func noiseOf(i, readings int) bridge.Batch {
	b := testBatch(i, readings)
	x := uint64(i)*2654435761 + 1
	for j := range b.Readings {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b.Readings[j].Value = bridge.Uint(x)
	}
	return b
}

// dirSize returns the allocated bytes of everything in dir.
func dirSize(t testing.TB, dir string) (total int64) {
	t.Helper()
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			total += disk.Size(path)
		}
		return nil
	})
	return total
}

func commitNow(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// missingSeqs returns how many batches the tombstones name, and checks that they
// are what is not among entries.
func checkTombstones(t *testing.T, q *Queue, total int, entries []bridge.Entry) {
	t.Helper()
	have := map[uint64]bool{}
	for i := range entries {
		have[entries[i].Seq] = true
	}
	missing := map[uint64]bool{}
	var sum bridge.Count
	for _, s := range q.Tombstones() {
		if s.Run != q.Run() && s.Run != "" {
			continue
		}
		for seq := s.First; seq <= s.Last; seq++ {
			if missing[seq] {
				t.Errorf("seq %d is in two tombstones", seq)
			}
			missing[seq] = true
		}
		sum = sum.Add(s.Count)
	}
	for seq := uint64(1); seq <= uint64(total); seq++ {
		if have[seq] == missing[seq] {
			t.Fatalf("seq %d: in the queue %v, in a tombstone %v", seq, have[seq], missing[seq])
		}
	}
	if l := q.Ledger(); sum != l.Dropped.Add(l.Damaged) {
		t.Errorf("the tombstones count %+v, the ledger %+v", sum, l)
	}
}

func TestDropOldest(t *testing.T) {
	q := openQueue(t, smallConfig(tempDir(t)))
	const n = 1500 // some 6 MB
	for i := range n {
		q.Append(noise(i), nil)
		if i%10 == 9 {
			commitNow(t, q)
			if size := dirSize(t, q.shelf.Dir); size > int64(q.cfg.Load().MaxSize) {
				t.Fatalf("after %d batches the folder takes %d bytes", i, size)
			}
		}
	}
	l := q.Ledger()
	if l.Dropped.Batches == 0 || l.Waiting.Batches < 500 || !l.Balanced() {
		t.Fatalf("ledger: %+v", l)
	}
	if h := q.Health(); len(h) != 1 || h[0].Severity != condition.Alarm {
		t.Errorf("health: %+v", h)
	}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	if uint64(len(entries)) != l.Waiting.Batches || entries[len(entries)-1].Seq != n {
		t.Errorf("%d entries, the ledger says %d", len(entries), l.Waiting.Batches)
	}
	checkTombstones(t, q, n, entries)
	ackAll(q, entries)
	commitNow(t, q)
	if size := dirSize(t, q.shelf.Dir); size > 64<<10 {
		t.Errorf("drained, the folder takes %d bytes", size)
	}
}

func TestDropOldestSparesWhatIsInFlight(t *testing.T) {
	q := openQueue(t, smallConfig(tempDir(t)))
	for i := range 200 {
		q.Append(noise(i), nil)
	}
	commitNow(t, q)
	q.Online()
	held, err := q.Next(t.Context(), bridge.Backlog, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1200 {
		q.Append(noise(i), nil)
		if i%10 == 9 {
			commitNow(t, q)
		}
	}
	dropped := q.Ledger().Dropped
	ackAll(q, held)
	if l := q.Ledger(); l.Acked.Batches != 5 || l.Dropped != dropped || dropped.Batches == 0 || !l.Balanced() {
		t.Errorf("ledger: %+v", l)
	}
}

func TestDropNewest(t *testing.T) {
	c := smallConfig(tempDir(t))
	c.WhenFull = terms.DropNewest
	q := openQueue(t, c)
	const n = 1300
	for i := range n {
		q.Append(noise(i), nil)
		if i%10 == 9 {
			commitNow(t, q)
		}
	}
	var refused error
	q.Append(noise(0), func(err error) { refused = err })
	if refused != bridge.ErrFull {
		t.Errorf("a waiting sensor was told %v", refused)
	}
	l := q.Ledger()
	if l.Accepted.Batches != n || l.Dropped.Batches == 0 || !l.Balanced() {
		t.Fatalf("ledger: %+v", l)
	}
	if stones := q.Tombstones(); len(stones) != 1 || stones[0].Cause != books.DroppedFull {
		t.Errorf("%d tombstones for one gap: %+v", len(stones), stones)
	}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	if entries[0].Seq != 1 {
		t.Errorf("the oldest is %d", entries[0].Seq)
	}
	checkTombstones(t, q, n, entries)
	// Live readings go on while it is full.
	q.Append(testBatch(1, 2), nil)
	fresh := take(t, q, bridge.Fresh)
	if len(fresh) != 1 {
		t.Fatalf("%d fresh entries", len(fresh))
	}
	ackAll(q, fresh)
	// One that nobody sends meanwhile is dropped, and its sensor is told.
	var told error
	q.Append(testBatch(3, 2), func(err error) { told = err })
	commitNow(t, q)
	if told != bridge.ErrFull {
		t.Errorf("a sensor of what is dropped was told %v", told)
	}
	// Drained, it takes new ones.
	ackAll(q, entries)
	commitNow(t, q)
	q.Offline()
	q.Append(testBatch(2, 2), func(err error) { refused = err })
	commitNow(t, q)
	if refused != nil || len(q.Health()) != 0 {
		t.Errorf("after draining: %v, %+v", refused, q.Health())
	}
}

// TestMaxAge counts the time that the gateway runs, over a restart.
func TestMaxAge(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(dir)
		c.CommitEvery = terms.Pace(3 * time.Second)
		c.MaxAge = setting.Duration(24 * time.Hour)
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		q.Append(testBatch(0, 2), nil)
		time.Sleep(12 * time.Hour)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour) // without power
		if q, err = Open(c, quiet); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Hour)
		synctest.Wait()
		if l := q.Ledger(); l.Waiting.Batches != 1 {
			t.Errorf("after 23 h: %+v", l)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if l := q.Ledger(); l.Dropped.Batches != 1 || l.Waiting.Batches != 0 || !l.Balanced() {
			t.Errorf("after 25 h: %+v", l)
		}
		if s := q.Tombstones(); len(s) != 1 || s[0].Cause != books.DroppedAge || s[0].First != 1 || s[0].Last != 1 {
			t.Errorf("tombstones: %+v", s)
		}
		q.Close()
	})
}

func TestTombstonesSurviveAndMerge(t *testing.T) {
	c := smallConfig(tempDir(t))
	q := openQueue(t, c)
	for i := range 1300 {
		q.Append(noise(i), nil)
		if i%10 == 9 {
			commitNow(t, q)
		}
	}
	before := q.Tombstones()
	if len(before) != 1 {
		t.Fatalf("neighbours do not merge: %+v", before)
	}
	for i := range 300 { // what was shown is frozen
		q.Append(noise(i), nil)
		if i%10 == 9 {
			commitNow(t, q)
		}
	}
	after := q.Tombstones()
	if len(after) != 2 || after[0] != before[0] || after[1].First != before[0].Last+1 {
		t.Fatalf("after more drops: %+v, before: %+v", after, before)
	}
	q.AckTombstones(before[0].ID)
	commitNow(t, q)
	q = openQueue(t, smallConfig(copyDir(t, q.shelf.Dir)))
	if got := q.Tombstones(); len(got) != 1 || got[0] != after[1] {
		t.Errorf("after a crash: %+v, want %+v", got, after[1])
	}
}

// TestOverrunIsTold: what is dropped while the disk is slow is told at once, before
// the disk has taken anything, and it ends a minute after the last.
func TestOverrunIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		slow := make(chan struct{})
		go func() { _ = q.keep.ask(t.Context(), func() error { <-slow; return nil }) }()
		synctest.Wait()
		for i := 0; q.Ledger().Dropped.Batches == 0; i++ {
			q.Append(testBatch(i, 1000), nil)
			if i > 1000 {
				t.Fatal("nothing is dropped")
			}
		}
		if !q.conditions.Has(condition.QueueOverrun, subject) {
			t.Errorf("health: %+v", q.Health())
		}
		if s := q.Tombstones(); len(s) != 1 || s[0].Cause != books.DroppedDisk || s[0].First != 1 {
			t.Errorf("tombstones: %+v", s)
		}
		close(slow)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if q.conditions.Has(condition.QueueOverrun, subject) {
			t.Errorf("a minute later: %+v", q.Health())
		}
	})
}
