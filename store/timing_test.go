package store

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/store/terms"
)

// pointNames are made once: the race detector makes much of fmt.
var pointNames = func() (names [1000]string) {
	for i := range names {
		names[i] = fmt.Sprintf("p%d", i)
	}
	return names
}()

func testBatch(i, n int) bridge.Batch {
	b := bridge.Batch{Device: "dev", At: time.UnixMilli(1763887500000 + int64(i)), Readings: make([]bridge.Reading, n)}
	for j := range b.Readings {
		b.Readings[j] = bridge.Reading{Point: pointNames[j], Value: bridge.Int(int64(i + j))}
	}
	return b
}

// take claims everything in a lane that can be had at once.
func take(t testing.TB, q *Queue, which bridge.Lane) (all []bridge.Entry) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		entries, err := q.Next(ctx, which, 256)
		if len(entries) == 0 {
			if err != context.Canceled {
				t.Fatal(err)
			}
			return all
		}
		all = append(all, entries...)
	}
}

func ackAll(q *Queue, entries []bridge.Entry) {
	for i := range entries {
		q.Ack(entries[i].Position)
	}
}

// inBubble runs test with a queue that commits every 3 s, in fake time.
func inBubble(t *testing.T, test func(t *testing.T, q *Queue)) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(dir)
		c.CommitEvery = terms.Pace(3 * time.Second)
		c.AckWithin = setting.Duration(waitOffline)
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		test(t, q)
		if l := q.Ledger(); !l.Balanced() {
			t.Errorf("the ledger does not add up: %+v", l)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

func commits(q *Queue) uint64 { return q.Status().Commits }

func TestCommitByAge(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		q.Append(testBatch(0, 2), nil)
		time.Sleep(2 * time.Second)
		q.Append(testBatch(1, 2), nil)
		time.Sleep(990 * time.Millisecond)
		synctest.Wait()
		if n := commits(q); n != 0 {
			t.Errorf("%d commits after 2.99 s", n)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if n, m := commits(q), q.Status().Memory.Batches; n != 1 || m != 0 {
			t.Errorf("after 3.01 s: %d commits, %d batches in memory", n, m)
		}
	})
}

// TestHealthyUplinkWritesNothing is the reason for commit_every: what is
// acknowledged in time is never written.
func TestHealthyUplinkWritesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		q.Online()
		synctest.Wait()
		before := q.Status()
		for i := range 1000 {
			q.Append(testBatch(i, 5), nil)
			time.Sleep(100 * time.Millisecond)
			if i%10 == 9 {
				ackAll(q, take(t, q, bridge.Fresh))
			}
		}
		after := q.Status()
		if after.Commits != 0 || after.Syncs != before.Syncs || after.Written != before.Written || after.Segments != 0 {
			t.Errorf("written with a healthy uplink: %+v", after)
		}
		if l := after.Ledger; l.Acked.Batches != 1000 {
			t.Errorf("ledger: %+v", l)
		}
	})
}

// waitOffline is ack_within here.
const waitOffline = 20 * time.Millisecond

// TestHeldSensorsAreCommittedAtOnce: when all who wait can send no more, the commit
// comes at once; when one can, it comes after ack_within.
func TestHeldSensorsAreCommittedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		start := time.Now()
		var at [4]time.Duration
		add := func(i int, held int32) {
			b := testBatch(i, 1)
			b.Held = held
			q.Append(b, func(err error) { at[i] = time.Since(start) })
		}
		add(0, 0)
		time.Sleep(5 * time.Millisecond)
		add(1, 2) // of the same sender
		synctest.Wait()
		if at[1] != 5*time.Millisecond || at[0] != at[1] || commits(q) != 1 {
			t.Errorf("all were held: safe after %v and %v, %d commits", at[0], at[1], commits(q))
		}
		start = time.Now()
		add(2, 0)
		add(3, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		if at[2] != waitOffline || at[3] != waitOffline || commits(q) != 2 {
			t.Errorf("one may send more: safe after %v and %v, %d commits", at[2], at[3], commits(q))
		}
		// Beside a backlog that drains it is the same; without one the cloud is faster.
		q.Online()
		start = time.Now()
		add(0, 1)
		synctest.Wait()
		if at[0] != 0 || commits(q) != 3 {
			t.Errorf("while a backlog drains: safe after %v, %d commits", at[0], commits(q))
		}
		ackAll(q, take(t, q, bridge.Backlog))
		ackAll(q, take(t, q, bridge.Fresh))
		start = time.Now()
		add(1, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		if at[1] != waitOnline {
			t.Errorf("online: safe after %v, want %v", at[1], waitOnline)
		}
	})
}

func TestWaitingSensorsShareACommit(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		start := time.Now()
		var at [3]time.Duration
		add := func(i int) {
			q.Append(testBatch(i, 1), func(err error) {
				if err != nil {
					t.Error(err)
				}
				at[i] = time.Since(start)
			})
		}
		add(0)
		time.Sleep(15 * time.Millisecond)
		add(1)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if at[0] != waitOffline || at[1] != waitOffline || commits(q) != 1 {
			t.Errorf("offline: safe after %v and %v in %d commits, want 20 ms in one", at[0], at[1], commits(q))
		}
		q.Online()
		start = time.Now()
		add(2)
		time.Sleep(time.Second)
		synctest.Wait()
		if at[2] != waitOnline || commits(q) != 2 {
			t.Errorf("online: safe after %v, want %v", at[2], waitOnline)
		}
		// Acknowledged before: no commit.
		start = time.Now()
		add(2)
		time.Sleep(100 * time.Millisecond)
		ackAll(q, take(t, q, bridge.Fresh))
		time.Sleep(time.Minute)
		synctest.Wait()
		if at[2] != 100*time.Millisecond || commits(q) != 2 {
			t.Errorf("acknowledged at 100 ms: safe after %v, %d commits", at[2], commits(q))
		}
		// The link goes down while a sensor waits.
		start = time.Now()
		add(2)
		time.Sleep(100 * time.Millisecond)
		q.Offline()
		synctest.Wait()
		if at[2] != 100*time.Millisecond {
			t.Errorf("the link went down at 100 ms: safe after %v", at[2])
		}
	})
}

func TestFullMemoryIsCommitted(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		b := testBatch(0, 1000)
		for range (&terms.Config{}).Full().Readings / 1000 {
			q.Append(b, nil)
		}
		synctest.Wait()
		if n := commits(q); n != 0 {
			t.Errorf("%d commits below the limit", n)
		}
		q.Append(b, nil)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if s := q.Status(); s.Commits != 2 || s.Memory.Batches != 0 {
			t.Errorf("%d commits, %d batches in memory; want 2 and none", s.Commits, s.Memory.Batches)
		}
	})
}

func TestCommitEveryBatchBeforeItIsSent(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(dir)
		c.CommitEvery = 0
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		q.Online()
		for i := range 20 {
			q.Append(testBatch(i, 3), nil)
			entries, err := q.Next(t.Context(), bridge.Fresh, 10)
			if err != nil || len(entries) != 1 || entries[0].Seq != uint64(i+1) || len(entries[0].Readings) != 3 {
				t.Fatalf("batch %d: %v %v", i, entries, err)
			}
			if n := commits(q); n != uint64(i+1) {
				t.Fatalf("batch %d was sent after %d commits", i, n)
			}
			ackAll(q, entries)
		}
	})
}

// TestAcksAreRecordedInTime kills a queue some time after acknowledgements.
func TestAcksAreRecordedInTime(t *testing.T) {
	for _, c := range []struct {
		after   time.Duration
		backlog bool
		want    uint64 // still waiting
	}{{4 * time.Second, false, 1}, {5100 * time.Millisecond, false, 0}, {900 * time.Millisecond, true, 30},
		{1100 * time.Millisecond, true, 20}} {
		inBubble(t, func(t *testing.T, q *Queue) {
			for i := range 30 {
				q.Append(testBatch(i, 1), nil)
			}
			if !c.backlog {
				// Only one of them gets to the disk: nothing drains.
				q.Online()
				ackAll(q, take(t, q, bridge.Backlog)[:29])
			}
			time.Sleep(3100 * time.Millisecond)
			synctest.Wait()
			q.Offline()
			q.Online()
			waiting := take(t, q, bridge.Backlog)
			ackAll(q, waiting[:min(10, len(waiting))])
			time.Sleep(c.after)
			synctest.Wait()
			killed, err := Open(testConfig(copyDir(t, q.shelf.Dir)), quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer killed.Close()
			if l := killed.Ledger(); l.Waiting.Batches != c.want {
				t.Errorf("killed %v after the acknowledgements (backlog %v): %d batches wait, want %d", c.after, c.backlog,
					l.Waiting.Batches, c.want)
			}
		})
	}
}
