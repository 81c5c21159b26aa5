// Package flash keeps what the queue writes within a budget, on a long average.
//
// A [Budget] is an account of bytes. The rate of the budget flows in with the time
// that the gateway runs, what is written flows out. What is not used is kept, for a
// week at most, so that a gateway that writes nothing for days may write at full pace
// when the cloud is away. As the account empties, commits come at greater intervals,
// gradually, until they cost what flows in.
//
// It never keeps anything from being written: it says when commits that are made for
// the sake of time should come. A memory that is full, a stop and what the account of
// the queue needs are written all the same, and overdraw it.
//
// The package is pure: who uses it says what time it is, in ms of running time, and
// how much was written.
package flash

import "time"

const (
	day  = 24 * time.Hour
	hour = time.Hour

	// keeps is for how long at the budget's rate the account is kept, born how much of
	// that a new one has, and deepest how far it is overdrawn at most: what is beyond is
	// forgotten, so that one bad week is not paid for in a year.
	keeps   = 7 * day
	born    = 1 * day
	deepest = 1 * day

	// horizon is in what time what is kept would be spent at the pace that it allows.
	horizon = 10 * time.Minute

	// typical is what a small commit costs, in bytes, before one was seen: its pages, those
	// that bbolt writes anew, and the record of acknowledgements.
	typical = 28 << 10

	// Longest is the longest that the budget holds a commit back: what comes costs more
	// than it then, and that is told.
	Longest = 10 * time.Minute
)

// Saved is what is remembered of an account over a restart.
type Saved struct {
	Level int64 `json:"level"` // bytes
	At    int64 `json:"at_ms"` // running time
}

// Budget is the account. The zero Budget is of a queue without one: it holds nothing
// back. It is not safe for concurrent use.
type Budget struct {
	rate  float64 // bytes per ms; 0 for none
	level float64 // what may be written, in bytes; below 0 it is overdrawn
	at    int64   // when level was right; running time, ms
	seen  uint64  // of what was written, how much is accounted for
	spent float64 // since it was last saved
	cost  float64 // of a commit, with all that was written since the one before
	since float64 // written since the last commit
	last  int64   // the last commit; running time, ms
}

// Open begins an account of so many bytes in a time, or goes on with the one that was
// saved.
func Open(bytes int64, in time.Duration, saved *Saved, now int64) Budget {
	b := Budget{at: now, last: now, cost: typical}
	b.Set(bytes, in)
	b.level = b.in(born)
	if saved != nil {
		b.level, b.at = float64(saved.Level), min(saved.At, now)
	}
	b.flow(now)
	return b
}

// Set changes the budget; 0 bytes are none.
func (b *Budget) Set(bytes int64, in time.Duration) {
	before := b.rate
	if b.rate = 0; bytes > 0 {
		b.rate = float64(bytes) / float64(in.Milliseconds())
	}
	if before == 0 && b.level == 0 {
		b.level = b.in(born)
	}
	b.level = min(b.level, b.in(keeps))
}

// in returns what flows in in a time, in bytes.
func (b *Budget) in(d time.Duration) float64 { return b.rate * float64(d.Milliseconds()) }

func (b *Budget) flow(now int64) {
	if now > b.at {
		b.level += b.rate * float64(now-b.at)
		b.at = now
	}
	b.level = max(min(b.level, b.in(keeps)), -b.in(deepest))
}

// Spend takes note of how much was written since the start, in bytes.
func (b *Budget) Spend(now int64, written uint64) {
	n := float64(written - b.seen)
	b.seen = written
	b.level, b.spent, b.since = b.level-n, b.spent+n, b.since+n
	b.flow(now)
}

// Committed takes note of a commit. What it cost was told by Spend.
func (b *Budget) Committed(now int64) {
	b.cost += (b.since - b.cost) / 16 // a file grows by a piece now and then
	b.since, b.last = 0, now
}

// Pace returns how long after one commit the next may come.
func (b *Budget) Pace() time.Duration {
	if b.rate == 0 {
		return 0
	}
	allowed := b.rate + b.level/float64(horizon.Milliseconds())
	if b.level < 0 {
		// A file that grows by a piece is no reason to wait for as long as that costs: what
		// is overdrawn is made up for in some hours.
		allowed = b.rate / (1 - b.level/b.in(hour))
	}
	ms := b.cost / allowed
	return time.Duration(min(ms, float64(Longest.Milliseconds()))) * time.Millisecond
}

// Next returns when the next commit may come; running time, ms.
func (b *Budget) Next() int64 { return b.last + b.Pace().Milliseconds() }

// Overdrawn reports whether more is written than the budget allows, by more than an
// hour's worth: what must be written alone is more.
func (b *Budget) Overdrawn() bool { return b.level < -b.in(hour) }

// Even reports whether it is not overdrawn, but for a commit that was just made.
func (b *Budget) Even() bool { return b.level >= -b.cost }

// reserve is how much may be written between two times that the account is saved.
func (b *Budget) reserve() float64 { return max(64<<10, min(b.in(hour), 1<<20)) }

// Stale reports whether the account must be saved again, since what was saved is less
// than what is left of it by now.
func (b *Budget) Stale() bool { return b.rate > 0 && b.spent >= b.reserve() }

// Save returns what is to be remembered, nil for nothing. What may be written until it
// is saved the next time is taken off: after a kill the account has no more than it had.
// With last, at a stop, nothing is.
func (b *Budget) Save(last bool) *Saved {
	if b.rate == 0 {
		return nil
	}
	b.spent = 0
	level := b.level
	if !last {
		level -= b.reserve()
	}
	return &Saved{Level: int64(max(level, -b.in(deepest))), At: b.at}
}

// Worst returns how far apart small commits are once nothing is kept any more, with a
// budget of so many bytes in a time.
func Worst(bytes int64, in time.Duration) time.Duration {
	return (&Budget{rate: float64(bytes) / float64(in.Milliseconds()), cost: typical}).Pace()
}
