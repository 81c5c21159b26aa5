package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// oldFile has the dead letters as earlier releases kept them: a bbolt file of
// another kind. They are turned over when a queue finds it.
const oldFile = "dead.db"

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
func (q *Queue) openOldLetters(found *[]*stored) {
	turn := q.books.Index.Dead.Turn
	q.books.Index.Dead.Turn = 0
	path := filepath.Join(q.dir, oldFile)
	if _, err := os.Lstat(path); err != nil {
		return
	}
	q.letters.old.path = path
	if turn != 0 {
		*found = slices.DeleteFunc(*found, func(s *stored) bool {
			if s.First >= turn {
				os.Remove(s.path)
			}
			return s.First >= turn
		})
	}
	n, _, err := eachOldLetter(path, func(DeadLetter) error { return nil })
	if err != nil {
		q.log.Error("the dead letters of an older release cannot be counted now, trying again", "file", path, "err", err)
	}
	q.letters.old.count = n
	q.books.FindDead(n)
}

// eachOldLetter calls visit with the dead letters of an old file: the key is a
// position, the value the length of the cause (2 bytes), the cause and a block of
// one batch; the key "totals" has the batches and readings of all. total is that, or
// what was found if it is more. damage says what is wrong with the file: then all
// that is whole is taken, also what had been retried or purged before.
func eachOldLetter(path string, visit func(DeadLetter) error) (total bridge.Count, damage, err error) {
	type name struct {
		run string
		seq uint64
	}
	seen := make(map[name]bool)
	var d block.Decoder
	var said bridge.Count
	broken := 0
	damage, err = segment.Pairs(path, func(key, value []byte) error {
		if string(key) == "totals" && len(value) == 24 {
			said.Batches, said.Readings = binary.LittleEndian.Uint64(value), binary.LittleEndian.Uint64(value[8:])
		}
		if len(key) != 8 {
			return nil
		}
		l, ok := parseOldLetter(value, &d)
		if !ok {
			broken++
			return nil
		}
		if seen[name{l.Run, l.Seq}] {
			return nil
		}
		seen[name{l.Run, l.Seq}] = true
		total = total.Add(bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))})
		return visit(l)
	})
	if damage == nil && broken > 0 {
		damage = segment.Damaged("%d dead letters are not whole", broken)
	}
	if damage == nil && broken == 0 || total.Batches+uint64(broken) >= said.Batches {
		said = bridge.Count{} // that of a leaf that is free may be of another time
	}
	return total.Add(surplus(said, total)), damage, err
}

func parseOldLetter(v []byte, d *block.Decoder) (DeadLetter, bool) {
	if len(v) < 2 {
		return DeadLetter{}, false
	}
	n := 2 + int(binary.LittleEndian.Uint16(v))
	if len(v) < n {
		return DeadLetter{}, false
	}
	h, payload, err := block.Open(v[n:])
	if err != nil {
		return DeadLetter{}, false
	}
	entries, _, err := d.Decode(&h, payload)
	if err != nil || len(entries) != 1 {
		return DeadLetter{}, false
	}
	return DeadLetter{Entry: entries[0], Cause: string(v[2:n])}, true
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
	for n := len(l.segments); n > 0 && l.segments[n-1].First >= q.books.Index.Dead.Turn; n-- {
		q.remove(&l.shelf, l.segments[n-1]) // of a try before
	}
	var n bridge.Count
	w := letterWriter{q: q}
	_, damage, err := eachOldLetter(old.path, func(letter DeadLetter) error {
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
	lost, more := surplus(old.count, n), surplus(n, old.count)
	if damage != nil {
		q.quarantine(old.path, fmt.Errorf("the dead letters are damaged, %d are saved: %w", n.Batches, damage))
		os.RemoveAll(old.path) // if it could not be set aside
	} else if err := os.Remove(old.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	disk.SyncDir(q.dir)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.books.FindDead(more)
	q.books.LoseDead(lost)
	q.books.Index.Dead.Turn, q.metaDue = 0, true
	q.keep.limits.counted = false
	return nil
}
