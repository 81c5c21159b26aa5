package store

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/pulse"
	"fieldbridge/store/terms"
)

// TestHurry: while the power fails each reading is on disk within 100 ms, with or
// without a connection and whatever the flash budget says, and a sensor is acknowledged
// then; afterwards commits are as far apart as they were.
func TestHurry(t *testing.T) {
	for _, online := range []bool{false, true} {
		dir := tempDir(t)
		synctest.Test(t, func(t *testing.T) {
			c := spendingConfig(dir)
			c.FlashBudget = terms.Wear{Bytes: 1e9, Per: "year"}
			q, err := Open(c, quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			if online {
				q.Online()
			}
			if outage(q, 15*time.Minute); !q.conditions.Has(condition.QueueTurnedDown, subject) {
				t.Error("the budget is not used up")
			}
			q.Append(testBatch(0, 1), nil)
			q.Hurry(true)
			at := func() time.Duration {
				begun := time.Now()
				for q.Status().Memory.Batches > 0 {
					if time.Sleep(time.Millisecond); time.Since(begun) > time.Minute {
						break
					}
				}
				return time.Since(begun)
			}
			if took := at(); took > 100*time.Millisecond {
				t.Errorf("online %v: what was in memory took %v", online, took)
			}
			for i := range 20 {
				begun, safe := time.Now(), time.Duration(0)
				q.Append(testBatch(i, 1), nil)
				q.Append(testBatch(i, 1), func(error) { safe = time.Since(begun) })
				if took := at(); took > 100*time.Millisecond {
					t.Errorf("online %v: a batch took %v", online, took)
				}
				if synctest.Wait(); safe == 0 || safe > 100*time.Millisecond {
					t.Errorf("online %v: its sensor waited %v", online, safe)
				}
			}
			if cut := q.Status().PowerCut; cut > 100*time.Millisecond {
				t.Errorf("status says that a power cut takes %v", cut)
			}
			q.Hurry(false)
			q.Append(testBatch(0, 1), nil)
			if took := at(); took < time.Second {
				t.Errorf("online %v: the power is back, and a batch took %v", online, took)
			}
		})
	}
}

// TestKeeperPulse: the watchdog hears of a keeper that stands still, and of none that
// has nothing to do.
func TestKeeperPulse(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		board := pulse.NewBoard()
		q, err := OpenWatched(testConfig(dir), quiet, func(name string) bridge.Pulse { return board.OnDisk(name) })
		if err != nil {
			t.Fatal(err)
		}
		late := func(minutes int) (name string) {
			for range minutes {
				time.Sleep(time.Minute)
				if l := board.Late(); len(l) > 0 {
					name = l[0].Name
				}
			}
			return name
		}
		if late := late(120); late != "" {
			t.Errorf("it has nothing to do, and %s is late", late)
		}
		outage(q, 10*time.Minute)
		if late := late(10); late != "" {
			t.Errorf("it writes, and %s is late", late)
		}
		over := make(chan struct{})
		q.Append(testBatch(0, 1), func(error) { <-over }) // which the keeper calls
		if late := late(10); late != "committer" {
			t.Errorf("it stands still, and %q is late", late)
		}
		close(over)
		synctest.Wait()
		if l := board.Late(); len(l) > 0 {
			t.Errorf("it goes on, and is late: %v", l)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if late := late(30); late != "" {
			t.Errorf("it has ended, and %s is late", late)
		}
	})
}

// TestStopIsFewSyncs: however full the memory is, a stop waits for the disk a few times:
// a card that takes 200 ms for each leaves it well within five seconds.
func TestStopIsFewSyncs(t *testing.T) {
	const most = 17
	for _, readings := range []int{1, 5, 200} {
		dir := tempDir(t)
		synctest.Test(t, func(t *testing.T) {
			c := testConfig(dir)
			c.CommitEvery = terms.Pace(10 * time.Minute)
			q, err := Open(c, quiet)
			if err != nil {
				t.Fatal(err)
			}
			full := func() bool {
				q.mu.Lock()
				defer q.mu.Unlock()
				return q.crowdedLocked()
			}
			q.Online()
			q.Append(testBatch(0, readings), nil)
			ackAll(q, take(t, q, bridge.Backlog)) // that it was never on disk has to be recorded, too
			before, n := q.Status(), 1
			for ; !full(); n++ {
				q.Append(testBatch(n, readings), nil)
			}
			if err := errors.Join(q.Commit(t.Context()), q.Close()); err != nil {
				t.Fatal(err)
			}
			if after := q.Status(); after.Syncs-before.Syncs > most || after.Memory.Batches > 0 || n < 300 {
				t.Errorf("%d batches of %d: %d syncs, at most %d are right; %d batches stay in memory", n, readings,
					after.Syncs-before.Syncs, most, after.Memory.Batches)
			}
		})
	}
}
