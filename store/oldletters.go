package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
)

// oldLetters are dead letters that are not turned over yet.
type oldLetters struct {
	path  string       // empty when there are none
	count bridge.Count // as they are in the account
	at    int64        // not tried again before; ns since the start of the run
	since int64        // when the disk first did not give all of them, or 0
}

const oldEvery = 10 * time.Second

// openOldLetters counts what an old file has. Of found it takes the segments that
// were made of it and are not complete.
func (q *Queue) openOldLetters(found *[]*folder.Stored) {
	turn := q.books.Index.Dead.Turn
	q.books.Index.Dead.Turn = 0
	path := filepath.Join(q.shelf.Dir, folder.OldFile)
	if _, err := os.Lstat(path); err != nil {
		return
	}
	q.letters.old.path = path
	if turn != 0 {
		*found = slices.DeleteFunc(*found, func(s *folder.Stored) bool {
			if s.First >= turn {
				os.Remove(s.Path)
			}
			return s.First >= turn
		})
	}
	n, _, err := folder.EachOldLetter(path, func(folder.DeadLetter) error { return nil })
	if err != nil {
		q.log.Error("the dead letters of an older release cannot be counted now, trying again", "file", path, "err", err)
	}
	q.letters.old.count = n
	q.books.FindDead(n)
}

// turnOver turns an old file of dead letters over, if there is one: now, or when
// the last failure is some time ago.
func (q *Queue) turnOver(now bool) error {
	old := &q.letters.old
	if old.path == "" || !now && q.now() < old.at {
		return nil
	}
	if err := q.turn(); err != nil {
		old.at = q.now() + int64(oldEvery)
		q.log.Error("the dead letters of an older release cannot be turned over now, trying again", "file", old.path, "err", err)
		return fmt.Errorf("turn over dead letters: %w", err)
	}
	old.path = ""
	return nil
}

// turn writes the letters of the old file into segments of their own and removes
// it. Until then it is what counts: a start finds it and begins anew.
func (q *Queue) turn() error {
	old, l := &q.letters.old, &q.letters
	q.seal(&l.shelf)
	if q.books.Index.Dead.Turn == 0 {
		q.mu.Lock()
		q.books.Index.Dead.Turn, q.metaDue = l.next(), true
		q.mu.Unlock()
		if err := q.writeMeta(); err != nil {
			return err
		}
	}
	for n := len(l.shelf.Segments); n > 0 && l.shelf.Segments[n-1].First >= q.books.Index.Dead.Turn; n-- {
		q.remove(&l.shelf, l.shelf.Segments[n-1]) // of a try before
	}
	var n bridge.Count
	w := letterWriter{q: q}
	_, damage, err := folder.EachOldLetter(old.path, func(letter folder.DeadLetter) error {
		n = n.Add(bridge.Count{Batches: 1, Readings: uint64(len(letter.Readings))})
		err := w.add(&letter.Entry, letter.Cause)
		if err == nil && !w.room() {
			err = w.flush()
		}
		return err
	})
	if errors.Is(damage, syscall.EIO) {
		if old.since == 0 {
			old.since = q.now()
		}
		if q.now()-old.since < int64(patience) {
			return errUnread
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, w.flush()); err != nil {
		return err
	}
	q.seal(&l.shelf)
	lost, more := folder.Surplus(old.count, n), folder.Surplus(n, old.count)
	if damage != nil {
		q.quarantine(old.path, fmt.Errorf("the dead letters are damaged, %d are saved: %w", n.Batches, damage))
		os.RemoveAll(old.path) // if it could not be set aside
	} else if err := os.Remove(old.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	disk.SyncDir(q.shelf.Dir)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.books.FindDead(more)
	q.books.LoseDead(lost)
	q.books.Index.Dead.Turn, q.metaDue = 0, true
	q.keep.limits.counted = false
	return nil
}
