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
func (l *letters) openOldLetters(found *[]*folder.Stored) {
	turn := l.k.books.Index.Dead.Turn
	l.k.books.Index.Dead.Turn = 0
	path := filepath.Join(l.k.shelf.Dir, folder.OldFile)
	if _, err := os.Lstat(path); err != nil {
		return
	}
	l.old.path = path
	if turn != 0 {
		*found = slices.DeleteFunc(*found, func(s *folder.Stored) bool {
			if s.First >= turn {
				_ = os.Remove(s.Path)
			}
			return s.First >= turn
		})
	}
	n, _, err := folder.EachOldLetter(path, func(folder.DeadLetter) error { return nil })
	if err != nil {
		l.k.log.Error("the dead letters of an older release cannot be counted now, trying again", "file", path, "err", err)
	}
	l.old.count = n
	l.k.books.FindDead(n)
}

// turnOver turns an old file of dead letters over, if there is one: now, or when
// the last failure is some time ago.
func (l *letters) turnOver(now bool) error {
	old := &l.old
	if old.path == "" || !now && l.k.now() < old.at {
		return nil
	}
	if err := l.turn(); err != nil {
		old.at = l.k.now() + int64(oldEvery)
		l.k.log.Error("the dead letters of an older release cannot be turned over now, trying again",
			"file", old.path, "err", err)
		return fmt.Errorf("turn over dead letters: %w", err)
	}
	old.path = ""
	return nil
}

// turn writes the letters of the old file into segments of their own and removes
// it. Until then it is what counts: a start finds it and begins anew.
func (l *letters) turn() error {
	old := &l.old
	l.k.seal(&l.shelf)
	if l.k.books.Index.Dead.Turn == 0 {
		l.k.mu.Lock()
		l.k.books.Index.Dead.Turn, l.k.metaDue = l.next(), true
		l.k.mu.Unlock()
		if err := l.k.writeMeta(); err != nil {
			return err
		}
	}
	for n := len(l.shelf.Segments); n > 0 && l.shelf.Segments[n-1].First >= l.k.books.Index.Dead.Turn; n-- {
		l.k.remove(&l.shelf, l.shelf.Segments[n-1]) // of a try before
	}
	var n bridge.Count
	w := letterWriter{l: l}
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
			old.since = l.k.now()
		}
		if l.k.now()-old.since < int64(patience) {
			return errUnread
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, w.flush()); err != nil {
		return err
	}
	l.k.seal(&l.shelf)
	lost, more := folder.Surplus(old.count, n), folder.Surplus(n, old.count)
	if damage != nil {
		l.k.quarantine(old.path, fmt.Errorf("the dead letters are damaged, %d are saved: %w", n.Batches, damage))
		_ = os.RemoveAll(old.path) // if it could not be set aside
	} else if err := os.Remove(old.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = disk.SyncDir(l.k.shelf.Dir) // a file that comes back is turned over again
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.k.books.FindDead(more)
	l.k.books.LoseDead(lost)
	l.k.books.Index.Dead.Turn, l.k.metaDue = 0, true
	l.k.limits.counted = false
	return nil
}
