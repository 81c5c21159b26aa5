package store

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/state"
)

// keeper is what the queue's one goroutine owns: everything that writes.
type keeper struct {
	*core
	letters letters       // the dead ones
	asks    chan func()   // to do
	ended   chan struct{} // closed when the goroutine has ended
	result  error         // what Close returns

	encoder block.Encoder
	blocks  [2]committing // one is made while the other is written
	made    int           // blocks
	// blockReadings is when a block is full; what waits beyond goes into the next.
	blockReadings int
	acks          *folder.Acks
	foreign       atomic.Bool // another process has the folder
	lock          *os.File    // nil where it could not be made
	retry         int64       // no writing before, after a failure; ns since the start of the run
	pause         time.Duration
	limits        limits
	// A repair that failed is not tried again before; ns since the start.
	repairAt int64
	// owed is what a process that was killed has left in the journal, until it is
	// on disk.
	owed     []block.Numbered
	owedFrom *journal.Found
	reached  bridge.Position // the last of the run before, once that is on disk; 0 if the index says so
}

const (
	// A block has at most so much, or a batch more.
	mostReadings = 32 << 10
	blockBatches = 16 << 10

	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

// keeping is the keeper's goroutine: it commits, records acknowledgements,
// repairs and removes, each when it is due.
func (k *keeper) keeping() {
	defer close(k.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	look := time.Tick(2 * time.Second)
	// What tend could not do it has raised as a condition, and the alarm is set for the next try.
	_ = k.tend(false)
	for {
		timer.Reset(k.untilAlarm())
		select {
		case <-timer.C:
			_ = k.tend(false)
		case <-k.wake:
			// The alarm is earlier than it was; it may not have come yet.
			if k.untilAlarm() <= 0 {
				_ = k.tend(false)
			}
		case <-look:
			k.keepFolder()
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
		k.acks.Abandon() // the next record goes into the new folder
		k.owe()
		_ = k.tend(true) // what fails is a condition
	}
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
	due := k.commitDueLocked()
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

	mayWrite, committed := all || now >= k.retry, false
	var failed error
	if mayWrite {
		failed = k.restore()
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
		failed = errors.Join(k.letters.bury(), k.record(all || commit))
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
	k.tell()
	k.setAlarm()
	return failed
}

// wrote takes note of how writing went.
func (k *keeper) wrote(tried bool, failed error) {
	if !tried {
		return
	}
	if failed == nil {
		k.retry, k.pause, k.limits.noSpace = 0, 0, 0
		k.recover(condition.QueueUnwritable)
		return
	}
	k.noteFailure(failed)
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
	if due := k.commitDueLocked(); due != 0 && k.full {
		write(max(due, k.now()+int64(time.Second))) // what is in flight may be acknowledged
	} else {
		write(due)
	}
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
	if k.metaDue || len(k.owed) > 0 {
		write(k.now())
	}
	k.alarm = next
}

// commitDueLocked returns when what is in memory must be committed, 0 for never.
func (c *core) commitDueLocked() int64 {
	if c.mem.Pending().Batches == 0 {
		return 0
	}
	waiters := c.mem.Waiters()
	if c.crowdedLocked() || waiters > 0 && c.held >= waiters && !c.online {
		return 1
	}
	due := c.mem.Oldest() + int64(c.cfg.Load().CommitEvery)
	if waiters > 0 {
		due = min(due, c.mem.OldestWaiter()+int64(c.waitLocked()))
	}
	return max(due, 1)
}

// crowdedLocked reports whether more waits in memory than should.
func (c *core) crowdedLocked() bool {
	pending := c.mem.Pending()
	return pending.Readings >= fullReadings || pending.Batches >= fullBatches || c.journal.Full()
}

// shut makes everything safe and closes the files.
func (k *keeper) shut() error {
	if k.keepFolder(); k.foreign.Load() {
		k.refuseAll()
		return errors.Join(bridge.ErrClosed, k.closeFiles())
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
	failed = errors.Join(failed, k.journal.Close(len(k.owed) > 0 || len(k.dead) > 0 || k.mem.Pending().Batches > 0))
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
	err := k.acks.Close()
	if k.lock != nil {
		err = errors.Join(err, k.lock.Close()) // which unlocks it
	}
	return err
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
