package store

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/books"
	"fieldbridge/store/figures"
	"fieldbridge/store/flash"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/memory"
	"fieldbridge/store/origins"
	"fieldbridge/store/segment"
	"fieldbridge/store/terms"
)

const (
	// A batch with a waiting sensor is committed at least this long after Append
	// while there is a connection: the cloud's acknowledgement mostly comes first.
	waitOnline = 250 * time.Millisecond

	// Acknowledgements of batches on disk are recorded with the next commit, but
	// at the latest after this long.
	ackEvery         = 5 * time.Second
	ackEveryDraining = time.Second
	// ackEveryTurnedDown is how far the flash budget may put that off.
	ackEveryTurnedDown = time.Minute
)

// core is what the queue and its keeper share: the account and the memory under one
// lock, so that the ledger adds up at every instant, and how one wakes the other.
type core struct {
	cfg     atomic.Pointer[terms.Config] // changed by Apply alone
	log     *slog.Logger
	run     string
	started time.Time    // of the run, with a monotonic clock
	before  int64        // run time of the folder before this run, ms
	shelf   folder.Shelf // of the readings
	origins *origins.Book

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
	hurried  bool           // the power fails
	rereadAt int64          // when to try again what could not be read; 0: nothing
	alarm    int64          // when the keeper looks next, ns since started; 0: not set
	ackDue   int64          // when the record of acknowledgements is due; 0: it is up to date
	dead     folder.Burials // not yet on disk
	metaDue  bool           // meta is to be written
	noticeAt int64          // when to tell of dead letters; 0: not
	stats    figures.Stats
	beside   func() uint64 // what else writes to the disk; nil for nothing
	flash    flash.Budget
	news     bool // something that lies on no disk is done or lost, and no record says so
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
		c.news = true
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

// drainingLocked reports whether what lies on disk goes to the cloud.
func (c *core) drainingLocked() bool {
	return c.online && c.books.Ledger().Waiting.Batches > c.mem.Pending().Batches
}

// acksDueLocked makes a new record of acknowledgements due in a while.
func (c *core) acksDueLocked() {
	after := ackEvery
	if c.drainingLocked() {
		after = ackEveryDraining
	}
	// Without a record more comes twice after a power cut, and nothing is lost.
	after = max(after, min(c.flash.Pace()/4, ackEveryTurnedDown))
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
		return min(cfg.Segment(), cfg.Tenth()/4)
	}
	return cfg.Segment()
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
		c.news = true
		c.acksDueLocked()
	}
	c.trimLocked()
}

// trimLocked gives back what is done or on disk, in the memory and in the journal.
func (c *core) trimLocked() {
	c.mem.Trim()
	base := c.mem.Base()
	c.journal.Release(c.mem.Place(base, c.journal.Head()), base)
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
	g := c.mem.Shed(uint64(c.cfg.Load().MemoryMost() / 16 * 15))
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

// unreadable calls the keeper: to repair a damaged segment, or to let the lanes
// try again when what is wrong may pass.
func (c *core) unreadable(s *folder.Stored, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case segment.IsDamage(err), errors.Is(err, os.ErrNotExist):
		if s.Suspect == nil {
			s.Suspect = err
			c.alarmLocked(c.now())
		}
	default:
		c.log.Debug("a segment cannot be read now", "file", s.Path, "err", err)
		c.rereadAt = c.now() + int64(time.Second)
		c.alarmLocked(c.rereadAt)
	}
}

// running returns who reads the segments.
func (c *core) running() *folder.Running {
	return &folder.Running{Files: &c.files, Mu: &c.mu, Shelf: &c.shelf, Books: &c.books, Blocks: &c.read,
		Origins: c.origins, Size: c.segmentSize(&c.shelf), Unreadable: c.unreadable}
}

// spendLocked takes note of what was written.
func (c *core) spendLocked() {
	written := c.stats.Bytes
	if c.beside != nil {
		written += c.beside()
	}
	c.flash.Spend(c.uptime(), written)
}

// spendingLocked returns how the flash budget stands, nil without one.
func (c *core) spendingLocked() *flash.Report {
	budget := c.cfg.Load().FlashBudget
	if budget.Bytes == 0 {
		return nil
	}
	c.spendLocked()
	r := c.flash.Report()
	r.Budget = budget.String()
	return &r
}

// allowedLocked returns when the flash budget allows a commit that is due, at the
// latest when what waits has waited for [flash.Longest].
func (c *core) allowedLocked(due int64) int64 {
	next := (c.flash.Next() - c.before) * int64(time.Millisecond)
	return max(due, min(next, c.mem.Oldest()+int64(flash.Longest)))
}
