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
func (k *keeper) openOldLetters(found *[]*folder.Stored) {
	turn := k.books.Index.Dead.Turn
	k.books.Index.Dead.Turn = 0
	path := filepath.Join(k.shelf.Dir, folder.OldFile)
	if _, err := os.Lstat(path); err != nil {
		return
	}
	k.letters.old.path = path
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
		k.log.Error("the dead letters of an older release cannot be counted now, trying again", "file", path, "err", err)
	}
	k.letters.old.count = n
	k.books.FindDead(n)
}

// turnOver turns an old file of dead letters over, if there is one: now, or when
// the last failure is some time ago.
func (k *keeper) turnOver(now bool) error {
	old := &k.letters.old
	if old.path == "" || !now && k.now() < old.at {
		return nil
	}
	if err := k.turn(); err != nil {
		old.at = k.now() + int64(oldEvery)
		k.log.Error("the dead letters of an older release cannot be turned over now, trying again", "file", old.path, "err", err)
		return fmt.Errorf("turn over dead letters: %w", err)
	}
	old.path = ""
	return nil
}

// turn writes the letters of the old file into segments of their own and removes
// it. Until then it is what counts: a start finds it and begins anew.
func (k *keeper) turn() error {
	old, l := &k.letters.old, &k.letters
	k.seal(&l.shelf)
	if k.books.Index.Dead.Turn == 0 {
		k.mu.Lock()
		k.books.Index.Dead.Turn, k.metaDue = l.next(), true
		k.mu.Unlock()
		if err := k.writeMeta(); err != nil {
			return err
		}
	}
	for n := len(l.shelf.Segments); n > 0 && l.shelf.Segments[n-1].First >= k.books.Index.Dead.Turn; n-- {
		k.remove(&l.shelf, l.shelf.Segments[n-1]) // of a try before
	}
	var n bridge.Count
	w := letterWriter{k: k}
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
			old.since = k.now()
		}
		if k.now()-old.since < int64(patience) {
			return errUnread
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, w.flush()); err != nil {
		return err
	}
	k.seal(&l.shelf)
	lost, more := folder.Surplus(old.count, n), folder.Surplus(n, old.count)
	if damage != nil {
		k.quarantine(old.path, fmt.Errorf("the dead letters are damaged, %d are saved: %w", n.Batches, damage))
		os.RemoveAll(old.path) // if it could not be set aside
	} else if err := os.Remove(old.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	disk.SyncDir(k.shelf.Dir)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.books.FindDead(more)
	k.books.LoseDead(lost)
	k.books.Index.Dead.Turn, k.metaDue = 0, true
	k.limits.counted = false
	return nil
}
