package flash

import (
	"testing"
	"time"
)

const gib = 1 << 30

var year = 365 * 24 * time.Hour

// commitAll lets a queue that always has something to commit do so for a time, in
// commits of so many bytes, at the pace of b and no more often than least. It returns
// what was written and the longest pace.
func commitAll(b *Budget, written *uint64, now *int64, d, least time.Duration, bytes uint64) (uint64, time.Duration) {
	before, longest := *written, time.Duration(0)
	for end := *now + d.Milliseconds(); *now < end; {
		pace := max(b.Pace(), least)
		longest = max(longest, pace)
		*now += pace.Milliseconds()
		*written += bytes
		b.Spend(*now, *written)
		b.Committed(*now)
	}
	return *written - before, longest
}

// TestYear is an outage that lasts for a year: the budget holds, and the pace settles at
// what it pays for.
func TestYear(t *testing.T) {
	b := Open(10*gib, year, nil, 0)
	var written uint64
	var now int64
	total, longest := commitAll(&b, &written, &now, year, 3*time.Second, typical)
	if most := uint64(10*gib + 10*gib/365 + typical); total > most || total < 10*gib*9/10 {
		t.Errorf("%d MB in a year", total/1e6)
	}
	if want := Worst(10*gib, year); longest > want+time.Second || want < 80*time.Second || want > 90*time.Second {
		t.Errorf("the longest pace is %v, foretold are %v", longest, want)
	}
	if b.Overdrawn() || !b.Even() {
		t.Errorf("left %+v", b.Report())
	}
}

// TestSaves: what is not used for weeks lets a short outage run at full pace, and then
// the pace grows step by step.
func TestSaves(t *testing.T) {
	b := Open(10*gib, year, nil, 0)
	var written uint64
	now := (30 * day).Milliseconds()
	b.Spend(now, 0)
	if r := b.Report(); r.Left != r.Most || r.Most != int64(10*gib)*7/365 {
		t.Errorf("%+v", r)
	}
	if _, longest := commitAll(&b, &written, &now, 30*time.Minute, time.Second, typical); longest > time.Second {
		t.Errorf("the pace is %v within half an hour", longest)
	}
	last := time.Duration(0)
	for range 8 {
		_, longest := commitAll(&b, &written, &now, 10*time.Minute, time.Second, typical)
		if longest < last || last > 0 && longest > 5*max(last, time.Second) {
			t.Errorf("the pace goes from %v to %v", last, longest)
		}
		last = longest
	}
}

// TestRestarts kills the gateway every few seconds: no start has more than the one
// before it left.
func TestRestarts(t *testing.T) {
	const bytes = 300_000 // of a start and what it commits
	b := Open(10*gib, year, nil, 0)
	saved := b.Save(false)
	var total uint64
	now := int64(0)
	for range 1000 {
		now += 5000
		b = Open(10*gib, year, saved, now)
		saved = b.Save(false)
		now += b.Pace().Milliseconds()
		b.Spend(now, bytes)
		total += bytes
	}
	if r := b.Report(); r.Left > 0 || r.Pace < 80*time.Second {
		t.Errorf("after %d MB in %v: %+v", total/1e6, time.Duration(now)*time.Millisecond, r)
	}
	// A stop takes nothing off.
	b = Open(10*gib, year, nil, 0)
	for range 1000 {
		b = Open(10*gib, year, b.Save(true), now)
	}
	if r := b.Report(); r.Left < int64(10*gib)/365 {
		t.Errorf("after 1,000 stops: %+v", r)
	}
}

// TestSavedInTime: what is saved is never more than what is left, however much is
// written, if it is saved when it is stale.
func TestSavedInTime(t *testing.T) {
	b := Open(2*gib, year, nil, 0)
	saved := b.Save(false)
	var written uint64
	saves := 0
	for now := int64(0); now < 100_000; now += 100 {
		written += 20_000
		b.Spend(now, written)
		if b.Stale() {
			saved, saves = b.Save(false), saves+1
		}
		if left := b.Report().Left; saved.Level > left {
			t.Fatalf("%d are saved, %d left", saved.Level, left)
		}
	}
	if saves == 0 || uint64(saves) > written/(64<<10)+1 {
		t.Errorf("saved %d times for %d KB", saves, written/1e3)
	}
}

// TestTooMuch: what must be written is not held back for ever, and a bad week is not
// paid for in a year.
func TestTooMuch(t *testing.T) {
	b := Open(2*gib, year, nil, 0)
	var written uint64
	var now int64
	if _, longest := commitAll(&b, &written, &now, 7*day, time.Second, 1<<20); longest != Longest {
		t.Errorf("the longest pace is %v", longest)
	}
	if !b.Overdrawn() || b.Even() {
		t.Errorf("%+v", b.Report())
	}
	now += (26 * time.Hour).Milliseconds()
	b.Spend(now, written)
	if b.Overdrawn() || !b.Even() {
		t.Errorf("a day later: %+v", b.Report())
	}
}

func TestNoBudget(t *testing.T) {
	var b Budget
	b.Spend(5, 1<<15)
	b.Committed(5)
	if b.Pace() != 0 || b.Stale() || b.Save(false) != nil || b.Overdrawn() || !b.Even() && b.rate != 0 {
		t.Errorf("%+v, %v", b, b.Pace())
	}
	b.Set(10*gib, year)
	if r := b.Report(); r.Left <= 0 || r.Pace > time.Minute {
		t.Errorf("turned on: %+v", r)
	}
	b.Set(0, 0)
	if b.Pace() != 0 || b.Save(false) != nil {
		t.Errorf("turned off: %+v", b)
	}
}
