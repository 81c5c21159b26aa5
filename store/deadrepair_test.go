package store

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
)

// deadBatches are fewer than the segment's in the table of damages, but larger.
const (
	deadBatches  = damageBatches / 3
	deadReadings = 72
)

// deadPath returns the file of the only segment of dead letters.
func deadPath(dir string) string { return folder.SegmentPath(filepath.Join(dir, folder.DeadDir), 1) }

// deadMaster returns the folder of a queue with deadBatches dead letters.
func deadMaster(t *testing.T) (dir, run string) {
	q := openQueue(t, roomyConfig(tempDir(t)))
	q.Online()
	for i := range deadBatches {
		q.Append(noiseOf(i, deadReadings), nil)
	}
	for _, e := range take(t, q, bridge.Fresh) {
		q.Bury("too large", e.Position)
		if e.Seq%damagePer == 0 {
			commitNow(t, q)
		}
	}
	return copyDir(t, q.shelf.Dir), q.Run()
}

// TestDeadLettersDamaged damages the dead letters in every way that segments
// are, and starts the queue. Those with a right checksum are there, nothing else
// is, the ledger holds, all can be retried, and the verifier misses nothing.
func TestDeadLettersDamaged(t *testing.T) {
	master, run := deadMaster(t)
	for _, c := range damages() {
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, master)
			c.damage(t, deadPath(dir))
			q := openQueue(t, roomyConfig(dir))
			letters := map[uint64]bool{}
			list := func() error {
				clear(letters)
				return q.Dead(t.Context(), func(l folder.DeadLetter) error {
					want := noiseOf(int(l.Seq)-1, deadReadings)
					if l.Run != run || letters[l.Seq] || len(l.Readings) != len(want.Readings) ||
						l.Readings[deadReadings-1] != want.Readings[deadReadings-1] || l.Cause != "too large" {
						t.Errorf("%s %d was never buried, or is there twice", l.Run, l.Seq)
					}
					letters[l.Seq] = true
					return nil
				})
			}
			if err := list(); err != nil {
				t.Fatal(err)
			}
			if least := c.survive * deadBatches / damageBatches; len(letters) < least {
				t.Errorf("%d dead letters survive, at least %d should", len(letters), least)
			}
			n, err := q.RetryDead(t.Context())
			if err != nil || n.Batches != uint64(len(letters)) {
				t.Errorf("%d retried of %d: %v", n.Batches, len(letters), err)
			}
			if l := q.Ledger(); !l.Balanced() || l.Dead != (bridge.Count{}) || l.Waiting != n ||
				l.Damaged.Batches > deadBatches {
				t.Errorf("ledger: %+v", l)
			}
			judge, arrived := audit{t: t}, map[string]bool{}
			q.Online()
			for _, e := range drainSlowly(t, q) {
				arrived[e.Run+" "+itoa(e.Seq)] = true
			}
			judge.named(arrived)
			judge.notices(q)
			judge.kept()
			if _, err := os.Lstat(filepath.Join(dir, folder.DeadDir)); err == nil {
				t.Error("the folder stays when it is empty")
			}
		})
	}
}

// Letters that were dropped are in the file still, but stay away: also when it is
// damaged and made anew.
func TestDeadLettersThatLeftStayAway(t *testing.T) {
	dir, _ := deadMaster(t)
	q := openQueue(t, roomyConfig(dir))
	if err := q.keep.ask(t.Context(), func() error {
		q.keep.letters.most = memory.Cost(bridge.Count{Batches: 40, Readings: 40 * deadReadings})
		n, err := q.keep.letters.dropLetters(books.Purged)
		if n.Batches != 40 {
			t.Errorf("%d are dropped", n.Batches)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func(f *os.File, offset int64){func(*os.File, int64) {}, zeroPage} {
		dir = copyDir(t, dir)
		onPage(pageBranch, -1, damage)(t, deadPath(dir))
		q = openQueue(t, roomyConfig(dir))
		n := 0
		if err := q.Dead(t.Context(), func(l folder.DeadLetter) error {
			if n++; l.Seq <= 40 {
				t.Errorf("seq %d is back", l.Seq)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if l := q.Ledger(); n != deadBatches-40 || l.Dead.Batches != uint64(n) || l.Damaged.Batches != 0 || !l.Balanced() {
			t.Errorf("%d dead letters, ledger %+v", n, l)
		}
	}
}

// A file that cannot be opened now is counted and left alone.
func TestDeadLettersThatCannotBeOpenedNow(t *testing.T) {
	dir, _ := deadMaster(t)
	f, err := os.Open(deadPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		q := openQueue(t, roomyConfig(dir))
		q.Online()
		q.Append(testBatch(0, 2), nil)
		q.Bury("no", take(t, q, bridge.Fresh)[0].Position)
		time.Sleep(time.Minute)
		synctest.Wait()
		if l := q.Ledger(); l.Dead.Batches != deadBatches+1 || !l.Balanced() || len(q.dead) > 0 {
			t.Errorf("locked: %+v", l)
		}
		if names, _ := os.ReadDir(filepath.Join(dir, folder.QuarantineDir)); len(names) > 0 {
			t.Fatal("it is set aside")
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if l := q.Ledger(); l.Dead.Batches != deadBatches+1 || l.Restored.Batches != deadBatches || !l.Balanced() ||
			len(q.dead) > 0 {
			t.Errorf("unlocked: %+v", l)
		}
		if n := fmt.Sprint(len(q.Health())); n != "1" { // the dead letters themselves
			t.Errorf("health: %+v", q.Health())
		}
		q.Close()
	})
}
