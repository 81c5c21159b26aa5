package store

import (
	"errors"
	"os"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
)

// keeper is what the queue's one goroutine owns: everything that writes.
type keeper struct {
	encoder block.Encoder
	blocks  [2]committing // one is made while the other is written
	turn    int
	// blockReadings is when a block is full; what waits beyond goes into the next.
	blockReadings int
	acks          *folder.Acks
	lock          *os.File // nil where it could not be made
	retry         int64    // no writing before, after a failure; ns since the start of the run
	pause         time.Duration
	limits        limits
	// A repair that failed is not tried again before; ns since the start.
	repairAt int64
	closed   error // what Close returns
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
func (q *Queue) keeping() {
	defer close(q.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	q.tend(false)
	for {
		timer.Reset(q.untilAlarm())
		select {
		case <-timer.C:
			q.tend(false)
		case <-q.wake:
			// The alarm is earlier than it was; it may not have come yet.
			if q.untilAlarm() <= 0 {
				q.tend(false)
			}
		case do := <-q.asks:
			do()
		case <-q.stop:
			q.keep.closed = q.shut()
			return
		}
	}
}

func (q *Queue) untilAlarm() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.alarm == 0 {
		return time.Hour
	}
	return time.Duration(q.alarm - q.now())
}

// tend does everything that is due, and with all everything that can be done.
// It returns why not all that waits could be written.
func (q *Queue) tend(all bool) error {
	q.mu.Lock()
	q.alarm = 0
	now, upTo := q.now(), q.mem.End()
	due := q.commitDueLocked()
	commit := due != 0 && (all || due <= now)
	reread := q.rereadAt != 0 && q.rereadAt <= now
	if reread {
		q.rereadAt = 0
	}
	q.mu.Unlock()
	if reread {
		q.nudgeBoth()
	}

	mayWrite, committed := all || now >= q.keep.retry, false
	var failed error
	if commit && mayWrite {
		if q.makeRoom() {
			failed = q.commit(upTo)
			committed = failed == nil
		} else {
			q.dropPending(upTo)
		}
	} else {
		q.dropAged()
	}
	q.repairSuspects()
	if mayWrite && failed == nil {
		q.turnOver(false) // it has said why not, and tries again
		failed = errors.Join(q.bury(), q.record(all || commit))
		q.retried()
	}
	q.removeDone()
	if mayWrite {
		failed = errors.Join(failed, q.writeMeta())
		q.removeGone()
	}
	q.wrote(mayWrite, failed)
	q.noticeDue()
	q.noLongerFull(committed)
	q.calm()
	q.setAlarm()
	return failed
}

// wrote takes note of how writing went.
func (q *Queue) wrote(tried bool, failed error) {
	if !tried {
		return
	}
	if failed == nil {
		q.keep.retry, q.keep.pause, q.keep.limits.noSpace = 0, 0, 0
		q.recover(condition.QueueUnwritable)
		return
	}
	q.noteFailure(failed)
	q.keep.pause = min(max(2*q.keep.pause, retryFirst), retryMost)
	q.keep.retry = q.now() + int64(q.keep.pause)
	q.raise(condition.QueueUnwritable, failed, disk.Advice(failed))
}

// setAlarm sets when to look next.
func (q *Queue) setAlarm() {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := q.alarm // what others have set meanwhile
	at := func(due int64) {
		if due != 0 && (next == 0 || due < next) {
			next = due
		}
	}
	write := func(due int64) {
		if due != 0 {
			at(max(due, q.keep.retry))
		}
	}
	if due := q.commitDueLocked(); due != 0 && q.full {
		write(max(due, q.now()+int64(time.Second))) // what is in flight may be acknowledged
	} else {
		write(due)
	}
	write(q.ackDue)
	at(q.ageDueLocked())
	at(q.rereadAt)
	at(q.noticeAt)
	for _, sh := range q.shelves() {
		for _, s := range sh.Segments {
			if s.Suspect != nil {
				at(max(q.keep.repairAt, q.now()))
			}
		}
	}
	if q.full {
		at(q.now() + int64(freeEvery))
	} else if q.troubledByLimits() {
		at(max(q.keep.limits.dropped, q.keep.limits.hopeful) + int64(dropTrouble))
	}
	if q.letters.old.path != "" {
		write(max(q.letters.old.at, q.now()))
	} else if len(q.dead) > 0 {
		write(q.now())
	}
	if q.metaDue {
		write(q.now())
	}
	q.alarm = next
}

// commitDueLocked returns when what is in memory must be committed, 0 for never.
func (q *Queue) commitDueLocked() int64 {
	pending := q.mem.Pending()
	if pending.Batches == 0 {
		return 0
	}
	if pending.Readings >= fullReadings || pending.Batches >= fullBatches {
		return 1
	}
	due := q.mem.Oldest() + int64(q.cfg.Load().CommitEvery)
	if q.mem.Waiters() > 0 {
		due = min(due, q.mem.OldestWaiter()+int64(q.waitLocked()))
	}
	return max(due, 1)
}

// shut makes everything safe and closes the files.
func (q *Queue) shut() error {
	failed := q.tend(true)
	q.seal(&q.shelf)
	q.seal(&q.letters.shelf)
	q.mu.Lock()
	q.metaDue = true
	q.ackDue = 1 // so that the next run knows how far this one got
	q.mu.Unlock()
	failed = errors.Join(failed, q.record(true), q.writeMeta())
	q.endReading()
	q.refuseAll()
	return errors.Join(failed, q.closeFiles())
}

// refuseAll tells sensors that wait in vain.
func (q *Queue) refuseAll() {
	q.mu.Lock()
	safes := q.mem.Safes()
	for i := range q.dead {
		if q.dead[i].safe != nil {
			safes = append(safes, q.dead[i].safe)
			q.dead[i].safe = nil
		}
	}
	q.mu.Unlock()
	for _, safe := range safes {
		safe(bridge.ErrClosed)
	}
}

func (q *Queue) closeFiles() error {
	err := q.keep.acks.Close()
	if q.keep.lock != nil {
		err = errors.Join(err, q.keep.lock.Close()) // which unlocks it
	}
	return err
}
