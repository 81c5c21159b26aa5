package store

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/pause"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/flash"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/state"
	"fieldbridge/store/terms"
)

// keeper is what the queue's one goroutine owns: everything that writes.
type keeper struct {
	*core
	pulse   bridge.Pulse
	letters letters       // the dead ones
	asks    chan func()   // to do
	ended   chan struct{} // closed when the goroutine has ended
	result  error         // what Close returns

	encoder block.Encoder
	blocks  [2]committing // one is made while the other is written
	made    int           // blocks
	block   bridge.Count  // how much one has; what waits beyond goes into the next
	acks    *folder.Acks
	foreign atomic.Bool // another process has the folder
	lock    *os.File    // nil where it could not be made
	retry   int64       // no writing before, after a failure; ns since the start of the run
	pause   time.Duration
	limits  limits
	thin    thinning
	look    func(dir string) disk.Place // where the folder lies; nil: nobody asks
	// A repair that failed is not tried again before; ns since the start.
	repairAt int64
	// owed is what a process that was killed has left in the journal, until it is
	// on disk.
	owed     *journal.Found
	told     flash.Told
	recorded bool            // the index on disk says that there is this run
	reached  bridge.Position // the last of the run before, once that is on disk; 0 if the index says so
}

const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
	// diskTime is how long a step of the keeper may take: a disk of a gateway is slow.
	diskTime = 5 * time.Minute
)

// keeping is the keeper's goroutine: it commits, records acknowledgements,
// repairs and removes, each when it is due.
func (k *keeper) keeping() {
	defer close(k.ended)
	defer k.pulse.End()
	timer, look := pause.NewTimer(time.Hour), pause.NewLook(2*time.Second)
	defer func() { timer.Stop(); look.Stop() }()
	// What tend could not do it has raised as a condition, and the alarm is set for the next try.
	_ = k.tend(false)
	for {
		k.pulse.Within(diskTime) // it looks each 2 to 3 s, and then may have much to write
		timer.Reset(k.untilAlarm())
		select {
		case <-timer.C:
			_ = k.tend(false)
		case <-k.wake:
			// The alarm is earlier than it was; it may not have come yet.
			if k.untilAlarm() <= 0 {
				_ = k.tend(false)
			}
		case <-look.C:
			k.keepFolder()
			_ = k.recordRun() // tried again until there is room
		case do := <-k.asks:
			do()
		case <-k.stop:
			k.result = k.shut()
			return
		}
	}
}

// keepFolder takes the folder again that somebody removed or replaced.
func (k *keeper) keepFolder() {
	lock, again, err := disk.Retake(k.lock, k.shelf.Dir, state.Folder)
	k.lock = lock
	if k.foreign.Store(err != nil); err != nil {
		k.raise(condition.QueueUnwritable, err, err)
	}
	if again {
		k.tellPlace()
		k.acks.Abandon() // the next record goes into the new folder
		k.origins.Owe()
		k.owe()
		_ = k.tend(true) // what fails is a condition
	}
}

// tellPlace tells where the folder lies. That nothing can be written there is told when
// it was tried.
func (k *keeper) tellPlace() {
	if k.look == nil {
		return
	}
	p := k.look(k.shelf.Dir)
	if text, fix := p.Tell(k.shelf.Dir); text != "" && !p.Closed() {
		k.raise(condition.QueueMisplaced, nil, text, fix)
	} else {
		k.recover(condition.QueueMisplaced)
	}
}

// recordRun has the index say that there is this run, if it began on a disk that was
// full. It comes before all else that takes room: without it a kill leaves a run that
// nobody knows.
func (k *keeper) recordRun() error {
	if k.recorded || k.foreign.Load() {
		return nil
	}
	return k.writeMeta()
}

// owe has index and acknowledgements written.
func (k *keeper) owe() {
	k.mu.Lock()
	k.metaDue, k.ackDue = true, 1
	k.mu.Unlock()
}

func (k *keeper) untilAlarm() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.alarm == 0 {
		return time.Hour
	}
	return time.Duration(k.alarm - k.now())
}

// tend does everything that is due, and with all everything that can be done.
// It returns why not all that waits could be written.
func (k *keeper) tend(all bool) error {
	k.mu.Lock()
	k.alarm = 0
	if k.foreign.Load() { // keepFolder looks whether it stays so
		k.mu.Unlock()
		return bridge.ErrClosed
	}
	now, upTo := k.now(), k.mem.End()
	_, due := k.commitDueLocked()
	commit := due != 0 && (all || due <= now)
	if commit {
		k.held = 0
	}
	reread := k.rereadAt != 0 && k.rereadAt <= now
	if reread {
		k.rereadAt = 0
	}
	k.mu.Unlock()
	if reread {
		k.nudgeBoth()
	}

	mayWrite, committed, before := all || now >= k.retry, false, k.acks.Number()
	var failed error
	if mayWrite {
		_ = k.recordRun() // there may be room in a segment all the same
		failed = errors.Join(k.writeOrigins(), k.restore())
	}
	if commit && mayWrite && failed == nil {
		if k.makeRoom() {
			failed = k.commit(upTo)
			committed = failed == nil
		} else {
			k.dropPending(upTo)
		}
	} else {
		k.dropAged()
	}
	k.repairSuspects()
	if mayWrite && failed == nil {
		_ = k.letters.turnOver(false) // it has said why not, and tries again
		failed = errors.Join(k.letters.bury(), k.record(all || commit && k.acks.Number() == before))
		k.letters.retried()
	}
	k.removeDone()
	if mayWrite {
		failed = errors.Join(failed, k.writeMeta())
		k.letters.removeGone()
	}
	k.wrote(mayWrite, failed)
	k.noticeDue()
	k.noLongerFull(committed)
	k.calm()
	k.thin.ahead()
	k.tell()
	k.tellBudget(committed)
	k.setAlarm()
	return failed
}

// wrote takes note of how writing went.
func (k *keeper) wrote(tried bool, failed error) {
	if !tried {
		return
	}
	if failed == nil {
		k.retry, k.pause = 0, 0
		k.limits.space.Succeeded()
		k.recover(condition.QueueUnwritable)
		return
	}
	if k.limits.space.Failed(failed, k.now()); k.pause == 0 {
		k.tellPlace()
	}
	k.pause = min(max(2*k.pause, retryFirst), retryMost)
	k.retry = k.now() + int64(k.pause)
	k.raise(condition.QueueUnwritable, failed, disk.Advice(failed))
}

// setAlarm sets when to look next.
func (k *keeper) setAlarm() {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.alarm // what others have set meanwhile
	at := func(due int64) {
		if due != 0 && (next == 0 || due < next) {
			next = due
		}
	}
	write := func(due int64) {
		if due != 0 {
			at(max(due, k.retry))
		}
	}
	if due, allowed := k.commitDueLocked(); due != 0 && k.full {
		write(max(allowed, k.now()+int64(time.Second))) // what is in flight may be acknowledged
	} else {
		write(allowed)
		if due > k.now() {
			at(due) // to tell that it is held back
		}
	}
	at(k.told.CalmsAt())
	write(k.ackDue)
	at(k.ageDueLocked())
	at(k.rereadAt)
	at(k.noticeAt)
	if k.overrun != 0 {
		at(k.overrun + int64(dropTrouble))
	}
	for _, sh := range k.shelves() {
		for _, s := range sh.Segments {
			if s.Suspect != nil {
				at(max(k.repairAt, k.now()))
			}
		}
	}
	if k.full {
		at(k.now() + int64(freeEvery))
	} else if k.troubledByLimits() {
		at(max(k.limits.dropped, k.limits.hopeful) + int64(dropTrouble))
	}
	if k.letters.old.path != "" {
		write(max(k.letters.old.at, k.now()))
	} else if len(k.dead) > 0 {
		write(k.now())
	}
	if k.metaDue || k.owed != nil {
		write(k.now())
	}
	k.alarm = next
}

// commitDueLocked returns when what is in memory is to be committed, and when the
// flash budget allows it; 0 for never.
func (c *core) commitDueLocked() (due, allowed int64) {
	if c.mem.Pending().Batches == 0 {
		return 0, 0
	}
	if c.crowdedLocked() {
		return 1, 1
	}
	due = c.mem.Oldest() + int64(c.cfg.Load().CommitWithin(c.online))
	if waiters := c.mem.Waiters(); waiters > 0 {
		due = min(due, c.mem.OldestWaiter()+int64(c.waitLocked()))
		if c.held >= waiters && (!c.online || c.drainingLocked()) {
			due = 1 // beside a backlog the cloud takes its time for what is live
		}
	}
	due = max(due, 1)
	if c.hurried {
		due = max(min(due, c.mem.Oldest()+int64(terms.Hurry)), 1)
		return due, due
	}
	return due, c.allowedLocked(due)
}

// crowdedLocked reports whether more waits in memory than should.
func (c *core) crowdedLocked() bool {
	pending, cfg, full := c.mem.Pending(), c.cfg.Load(), c.cfg.Load().Full()
	return pending.Readings >= full.Readings || pending.Batches >= full.Batches ||
		c.mem.Cost() >= uint64(cfg.MemoryMost()/4*3) || c.journal.Full()
}

// shut makes everything safe and closes the files.
func (k *keeper) shut() error {
	if k.keepFolder(); k.foreign.Load() {
		k.refuseAll()
		return errors.Join(bridge.ErrClosed, k.closeFiles())
	}
	if k.thin.job != nil {
		k.thin.job.GiveUp()
	}
	failed := k.tend(true)
	k.seal(&k.shelf)
	k.seal(&k.letters.shelf)
	k.owe() // so that the next run knows how far this one got
	failed = errors.Join(failed, k.record(true), k.writeMeta())
	k.files.Lock()
	k.read.End()
	k.files.Unlock()
	k.refuseAll()
	k.mu.Lock()
	failed = errors.Join(failed, k.journal.Close(k.owed != nil || len(k.dead) > 0 || k.mem.Pending().Batches > 0))
	k.mu.Unlock()
	return errors.Join(failed, k.closeFiles())
}

// refuseAll tells sensors that wait in vain.
func (k *keeper) refuseAll() {
	k.mu.Lock()
	safes := append(k.mem.Safes(), k.dead.Safes()...)
	k.mu.Unlock()
	for _, safe := range safes {
		safe(bridge.ErrClosed)
	}
}

func (k *keeper) closeFiles() error {
	return errors.Join(k.acks.Close(), disk.Unlock(k.lock))
}

// ask lets the keeper do something.
func (k *keeper) ask(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	select {
	case k.asks <- func() { done <- do() }:
	case <-k.ended:
		return bridge.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noticeDue tells of what was held back long enough.
func (k *keeper) noticeDue() {
	k.mu.Lock()
	due := k.noticeAt != 0 && k.noticeAt <= k.now()
	if due {
		k.noticeAt = 0
	}
	k.mu.Unlock()
	if due {
		k.noticeNew()
	}
}
