package store

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/condition"
	"fieldbridge/setting"
	"fieldbridge/store/flash"
	"fieldbridge/store/terms"
)

// spendingConfig returns a configuration with a budget of 10 GB a year.
func spendingConfig(dir string) terms.Config {
	c := testConfig(dir)
	c.CommitEvery, c.AckWithin = terms.Pace(3*time.Second), setting.Duration(200*time.Millisecond)
	c.FlashBudget = terms.Wear{Bytes: 10e9, Per: "year"}
	return c
}

// outage lets a sensor and a poll come each two seconds for a time, and returns the longest
// that the sensor waited.
func outage(q *Queue, d time.Duration) (longest time.Duration) {
	for i := range int(d / (2 * time.Second)) {
		at := time.Now()
		q.Append(testBatch(2*i, 10), nil)
		q.Append(testBatch(2*i+1, 1), func(err error) {
			if err == nil {
				longest = max(longest, time.Since(at))
			}
		})
		time.Sleep(2 * time.Second)
	}
	synctest.Wait()
	return longest
}

// TestFlashBudgetHolds is half a day without a cloud: what is written stays within the
// budget and what was kept, a sensor waits longer and gets its acknowledgement when its
// reading is on disk, never before; it is told, and what was foretold holds.
func TestFlashBudgetHolds(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		c := spendingConfig(dir)
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		if first := outage(q, time.Minute); first > time.Second {
			t.Errorf("a sensor waits %v in the first minute", first)
		}
		longest := outage(q, 12*time.Hour)
		worst := flash.Worst(c.FlashBudget.Bytes, c.FlashBudget.In())
		if longest < worst/2 || longest > 2*worst {
			t.Errorf("a sensor waits up to %v, foretold are %v", longest, worst)
		}
		if !q.conditions.Has(condition.QueueTurnedDown, subject) || q.conditions.Has(condition.QueueOverdrawn, subject) {
			t.Errorf("health: %+v", q.Health())
		}
		s := q.Status()
		if most := uint64(c.FlashBudget.Bytes / 365 * 3 / 2); s.Written > most+most/20 || s.Written < most/2 {
			t.Errorf("%d KB are written in half a day, the budget and what was kept are %d", s.Written/1e3, most/1e3)
		}
		if s.Memory.Batches > 0 && s.PowerCut < worst/2 || s.Ledger.Dropped.Batches != 0 {
			t.Errorf("status %+v", s)
		}
		// A day with a cloud that takes all at once fills it up again.
		q.Online()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if q.conditions.Has(condition.QueueTurnedDown, subject) {
			t.Errorf("a day later: %+v", q.Health())
		}
	})
}

// TestFlashBudgetOverRestarts kills a gateway again and again, as a crash loop does: it
// spends no more than one that goes on.
func TestFlashBudgetOverRestarts(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		c := spendingConfig(dir)
		left := int64(0)
		for i := range 40 {
			q, err := Open(c, quiet)
			if err != nil {
				t.Fatal(err)
			}
			outage(q, 20*time.Second)
			now := q.Status().Flash.Left
			if i > 0 && now > left+20*c.FlashBudget.Bytes/int64(c.FlashBudget.In().Seconds()) {
				t.Errorf("start %d has %d KB left, the one before had %d", i, now>>10, left>>10)
			}
			left = now
			c.Dir = setting.Path(copyDir(t, q.shelf.Dir)) // as a kill leaves it
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if left > 0 {
			t.Errorf("%d KB are left", left>>10)
		}
	})
}

// TestFlashBudgetDoesNotDrop: what the memory does not hold is written all the same, and
// so is what has waited for ten minutes; the budget is overdrawn and that is told.
func TestFlashBudgetDoesNotDrop(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		c := spendingConfig(dir)
		c.FlashBudget = terms.Wear{Bytes: 1_500_000_000, Per: "year"}
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		for i := range 2000 {
			b := noise(i)
			q.Append(b, nil)
			time.Sleep(time.Second)
		}
		if l := q.Ledger(); l.Dropped.Batches != 0 || !l.Balanced() {
			t.Errorf("ledger %+v", l)
		}
		if !q.conditions.Has(condition.QueueOverdrawn, subject) {
			t.Errorf("health: %+v, %+v", q.Health(), q.Status().Flash)
		}
		if s := q.Status(); s.Flash.Pace > flash.Longest || s.PowerCut > flash.Longest {
			t.Errorf("status %+v", s)
		}
		// A stop and a supply that fails do not ask for the budget.
		q.Append(testBatch(1, 1), nil)
		if err := q.Commit(t.Context()); err != nil || q.Status().Memory.Batches != 0 {
			t.Errorf("%v, %+v", err, q.Status().Memory)
		}
		if !strings.Contains(q.Status().Flash.Budget, "/year") {
			t.Errorf("%+v", q.Status().Flash)
		}
	})
}

// TestFlashBudgetCountsOthers: what the gateway learns and keeps in files beside counts.
func TestFlashBudgetCountsOthers(t *testing.T) {
	q := openQueue(t, spendingConfig(tempDir(t)))
	before := q.Status().Flash.Left
	var written uint64
	q.CountWith(func() uint64 { return written })
	written = 1 << 20
	if after := q.Status().Flash.Left; before-after < 1<<20-4096 || before-after > 1<<20+64<<10 {
		t.Errorf("%d left, then %d", before, after)
	}
}

// TestFlashBudgetIsChanged: a reload turns it on and off, and one that is full stays a
// limit.
func TestFlashBudgetIsChanged(t *testing.T) {
	c := spendingConfig(tempDir(t))
	c.FlashBudget = terms.Wear{}
	q := openQueue(t, c)
	if s := q.Status(); s.Flash != nil || s.PowerCut != 3*time.Second {
		t.Errorf("without: %+v", s)
	}
	c.FlashBudget = terms.Wear{Bytes: 30e6, Per: "day"}
	for range 2 {
		if err := q.Apply(c); err != nil {
			t.Fatal(err)
		}
		if f := q.Status().Flash; f == nil || f.Left < 29e6 || f.Left > 30e6 || f.Most != 210e6 {
			t.Errorf("with: %+v", f)
		}
	}
	c.FlashBudget = terms.Wear{}
	if err := q.Apply(c); err != nil || q.Status().Flash != nil {
		t.Errorf("without again: %v", err)
	}
}
