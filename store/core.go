package store

import (
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/books"
	"fieldbridge/store/figures"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/memory"
)

const (
	// A batch with a waiting sensor is committed at least this long after Append
	// while there is a connection: the cloud's acknowledgement mostly comes first.
	waitOnline = 250 * time.Millisecond

	// fullReadings and fullBatches are how much may wait in memory before it is
	// committed without regard to its age.
	fullReadings = 64 << 10
	fullBatches  = 32 << 10

	// Acknowledgements of batches on disk are recorded with the next commit, but
	// at the latest after this long.
	ackEvery         = 5 * time.Second
	ackEveryDraining = time.Second

	// memoryMost bounds what is kept in memory, in bytes: what cannot be written
	// beyond that is dropped, the oldest first. It is some 100,000 readings.
	memoryMost = 8 << 20

	// journalMost bounds the journal, in bytes: what waits for a commit at the most,
	// twice over. What does not fit is committed at once.
	journalMost = 4 << 20
)

// core is what the queue and its keeper share: the account and the memory under one
// lock, so that the ledger adds up at every instant, and how one wakes the other.
type core struct {
	cfg     atomic.Pointer[Config] // changed by Apply alone
	log     *slog.Logger
	run     string
	started time.Time    // of the run, with a monotonic clock
	before  int64        // run time of the folder before this run, ms
	shelf   folder.Shelf // of the readings

	wake   chan struct{}    // one value: the keeper looks at alarm again
	stop   chan struct{}    // closed by Close
	nudges [2]chan struct{} // one value per lane: there may be something to claim
	notice chan struct{}    // one value: there may be a new notice
	files  sync.Mutex       // guards the open files of segments but the writer's
	read   folder.Blocks    // guarded by files

	conditions condition.List // what is wrong, with a lock of its own

	mu       sync.Mutex // guards all below; never held over I/O
	closed   bool
	online   bool
	mem      *memory.Memory // what is not on disk, and who holds what
	books    books.Books    // the account
	journal  *journal.Log   // what is in mem, where a kill leaves it
	overrun  int64          // when memory was last full; ns since started, 0: not
	held     int            // of those who wait, at least so many are all that their senders send for now
	full     bool           // and what is new is dropped
	rereadAt int64          // when to try again what could not be read; 0: nothing
	alarm    int64          // when the keeper looks next, ns since started; 0: not set
	ackDue   int64          // when the record of acknowledgements is due; 0: it is up to date
	dead     folder.Burials // not yet on disk
	metaDue  bool           // meta is to be written
	noticeAt int64          // when to tell of dead letters; 0: not
	stats    figures.Stats
}

// now returns the time since the run began, in ns.
func (c *core) now() int64 { return int64(time.Since(c.started)) }

// uptime returns the run time of the folder, in ms.
func (c *core) uptime() int64 { return c.before + time.Since(c.started).Milliseconds() }

// waitLocked returns how long a waiting sensor's batch waits for a commit.
func (c *core) waitLocked() time.Duration {
	within := c.cfg.Load().AckWithin.D()
	if c.online {
		return max(within, waitOnline)
	}
	return within
}

// alarmLocked makes the keeper look at time at or before.
func (c *core) alarmLocked(at int64) {
	at = max(at, 1)
	if c.alarm != 0 && c.alarm <= at {
		return
	}
	c.alarm = at
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *core) nudge(which bridge.Lane) {
	select {
	case c.nudges[which] <- struct{}{}:
	default:
	}
}

func (c *core) nudgeBoth() {
	c.nudge(bridge.Fresh)
	c.nudge(bridge.Backlog)
}

// doneOnDiskLocked accounts for a batch that is done, if it is on disk.
func (c *core) doneOnDiskLocked(p bridge.Position, n bridge.Count) {
	if p >= c.mem.Base() {
		return
	}
	if s := c.shelf.Of(p); s != nil {
		s.Done = s.Done.Add(n)
		if s.Done == s.Written && s != c.shelf.Segments[len(c.shelf.Segments)-1] {
			c.alarmLocked(c.now()) // it can be removed
		}
	}
	c.acksDueLocked()
}

// acksDueLocked makes a new record of acknowledgements due in a while.
func (c *core) acksDueLocked() {
	after := ackEvery
	if c.online && c.books.Ledger().Waiting.Batches > c.mem.Pending().Batches {
		after = ackEveryDraining
	}
	if due := c.now() + int64(after); c.ackDue == 0 || due < c.ackDue {
		c.ackDue = due
	}
	c.alarmLocked(c.ackDue)
}

// segmentSize returns how large a segment of a shelf grows, in bytes. Dead letters
// are dropped a segment at a time, so theirs have a quarter of what they may take.
func (c *core) segmentSize(sh *folder.Shelf) int64 {
	cfg := c.cfg.Load()
	if sh.Dead {
		return min(cfg.segmentSize(), cfg.tenth()/4)
	}
	return cfg.segmentSize()
}

// name returns the name of a file below the folder of the queue, for people.
func (c *core) name(path string) string {
	if name, err := filepath.Rel(c.shelf.Dir, path); err == nil {
		return name
	}
	return path
}

// metaDueLocked makes the keeper write the index.
func (c *core) metaDueLocked() {
	c.metaDue = true
	c.alarmLocked(c.now())
}

// postLocked passes on what the books have to say after they were changed: the
// index is to be written, the cloud is to be told.
func (c *core) postLocked() {
	if c.books.Changed() {
		c.metaDueLocked()
	}
	switch c.books.News() {
	case books.NewsNow:
		c.noticeNew()
	case books.NewsLater:
		c.noticeLaterLocked()
	}
}

func (c *core) noticeNew() {
	select {
	case c.notice <- struct{}{}:
	default:
	}
}

func (c *core) noticeLaterLocked() {
	if c.noticeAt == 0 {
		c.noticeAt = c.now() + int64(noticeDelay)
		c.alarmLocked(c.noticeAt)
	}
}

// dropLocked accounts for the batches in gaps, n together, that are given up for
// cause.
func (c *core) dropLocked(gaps []books.Span, n bridge.Count, cause string, since, until int64) {
	c.books.Drop(gaps, n, cause, since, until)
	if n.Batches > 0 {
		c.journal.Hold() // until the tombstone is on disk
	}
	c.lostLocked(n)
}

// damageLocked accounts for the batches in gaps, n together, that cannot be read
// any more.
func (c *core) damageLocked(gaps []books.Span, n bridge.Count, since, until int64) {
	c.books.Damage(gaps, n, since, until)
	c.lostLocked(n)
}

// lostLocked ends the claims of what is lost.
func (c *core) lostLocked(n bridge.Count) {
	c.postLocked()
	if n.Batches > 0 {
		c.mem.Lose(c.books.Done)
	}
	c.trimLocked()
}

// trimLocked gives back what is done or on disk, in the memory and in the journal.
// A dead letter that is not on disk yet stays in the journal.
func (c *core) trimLocked() {
	c.mem.Trim()
	base := c.mem.Base()
	c.journal.Release(c.dead.Floor(c.mem.Place(base, c.journal.Head()), base))
}

// noticeDelay is how long a dead letter waits before the cloud is told, so that
// its neighbours share a notice: a topic that is refused for good would cost one
// for each message.
const noticeDelay = time.Second

// subject is what the conditions of a queue are of.
const subject = "queue"

// raise reports a condition, which the gateway logs. err is why, in the words of
// the system.
func (c *core) raise(k *condition.Kind, err error, args ...any) {
	if now, began := c.conditions.Raise(k, subject, args...); began && err != nil {
		c.log.Debug(now.Text, "err", err)
	}
}

// recover ends conditions.
func (c *core) recover(kinds ...*condition.Kind) {
	for _, k := range kinds {
		c.conditions.Clear(k, subject)
	}
}

// troubledByLimits reports whether the limits drop or refuse readings.
func (c *core) troubledByLimits() bool {
	return c.conditions.Has(condition.QueueDropsOldest, subject) || c.conditions.Has(condition.QueueRefusesNew, subject)
}

// shedLocked drops the oldest batches in memory that nobody holds, when there
// are too many to keep. It returns whom to refuse.
func (c *core) shedLocked() []func(error) {
	g := c.mem.Shed(memoryMost * 15 / 16)
	c.dropLocked(g.Gaps, g.Count, books.DroppedDisk, 0, 0)
	c.overrun = max(c.now(), 1)
	if !c.conditions.Has(condition.QueueUnwritable, subject) { // which says so
		c.raise(condition.QueueOverrun, nil)
	}
	return g.Safes
}

// refuseLocked handles Append of a queue that is full, drops what is new, and
// has no connection over which it might go nevertheless. It reports whether that
// is so.
func (c *core) refuseLocked(b *bridge.Batch, safe func(error)) bool {
	if !c.full || c.online {
		return false
	}
	if safe != nil {
		c.stats.Refused++
		return true
	}
	n := bridge.Count{Batches: 1, Readings: uint64(len(b.Readings))}
	p := c.mem.End()
	c.mem.Pass()
	c.books.Accept(n)
	at := b.At.UnixMilli()
	c.dropLocked([]books.Span{{From: p, To: p + 1}}, n, books.DroppedFull, at, at)
	return true
}
