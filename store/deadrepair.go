package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// deadEvery is how often the dead letters are tried again when they could not be
// opened.
const deadEvery = 10 * time.Second

// openDead counts the dead letters that are there. Damaged ones are repaired.
// What may pass leaves the file alone: they are counted when it can be opened.
func (q *Queue) openDead() error {
	var total bridge.Count
	err := q.withDead(false, func(db *bolt.DB) error { return countDead(db, &total) })
	if segment.IsDamage(err) {
		total, err = q.repairDead(err, nil)
	}
	if err != nil {
		q.keep.deadAt = q.now() + int64(deadEvery)
		q.log.Error("the dead letters cannot be counted now, trying again", "file", q.deadPath(), "err", err)
		return err
	}
	q.keep.deadAt = 0
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ledger.Dead = q.ledger.Dead.Add(total)
	q.ledger.Restored = q.ledger.Restored.Add(total)
	return nil
}

// rightDead makes sure, once in a run, that the dead letters are not damaged
// before they are shown or written to: bbolt overwrites what a damaged file says
// is free.
func (q *Queue) rightDead() error {
	if q.keep.deadAt != 0 { // how many there are is not known yet
		if err := q.openDead(); err != nil {
			return err
		}
	}
	if q.keep.deadRight {
		return nil
	}
	err := q.withDead(false, verifyDead)
	if segment.IsDamage(err) {
		err = q.mendDead(err)
	}
	q.keep.deadRight = err == nil
	return err
}

// verifyDead reads all dead letters.
func verifyDead(db *bolt.DB) error {
	return db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(deadBucket)
		if b == nil {
			return nil
		}
		var d block.Decoder
		var n bridge.Count
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if string(k) == string(deadTotals) && len(v) == 24 {
				continue
			}
			letter, whole := parseDead(v, &d)
			if len(k) != 8 || !whole {
				return segment.Damaged("dead letter %x is not right", k)
			}
			n = n.Add(bridge.Count{Batches: 1, Readings: uint64(len(letter.Readings))})
		}
		if total, _ := readTotals(tx); total != n {
			return segment.Damaged("there are %d dead letters instead of %d", n.Batches, total.Batches)
		}
		return nil
	})
}

// mendDead repairs the dead letters, which cause says are damaged.
func (q *Queue) mendDead(cause error) error {
	q.mu.Lock()
	known := q.ledger.Dead
	for i := range q.dead { // not yet in the file
		known = known.Sub(q.dead[i].count)
	}
	q.mu.Unlock()
	_, err := q.repairDead(cause, &known)
	return err
}

// repairDead puts the dead letters whose checksum is right in a new file and sets
// the damaged one aside. known is how many there were, nil at the start. What is
// lost counts as damaged. It returns what is there now.
func (q *Queue) repairDead(cause error, known *bridge.Count) (bridge.Count, error) {
	var left bridge.Count
	path := q.deadPath()
	tmp := path + ".repair" + disk.Temporary
	found, err := scanDead(path)
	if found.unread > 0 || errors.Is(err, syscall.EIO) {
		if q.keep.deadUnread == 0 {
			q.keep.deadUnread = q.now()
		}
		if q.now()-q.keep.deadUnread < int64(patience) {
			found.f.Close()
			return left, fmt.Errorf("dead letters: %w", errUnread)
		}
	}
	if err == nil {
		defer found.f.Close()
		if len(found.whole) > 0 {
			if left, err = found.rebuild(tmp, q.deadSize()); err != nil {
				os.Remove(tmp)
				return left, fmt.Errorf("repair dead letters: %w", err)
			}
		}
	} else if !segment.IsDamage(err) {
		return left, err
	}
	lost := bridge.Count{}
	q.mu.Lock()
	if known == nil {
		lost = surplus(found.total, left)
		q.ledger.Restored = q.ledger.Restored.Add(lost)
	} else {
		lost = surplus(*known, left)
		// Some may have come back that were retried or purged before.
		back := surplus(left, *known)
		q.ledger.Restored = q.ledger.Restored.Add(back)
		q.ledger.Dead = q.ledger.Dead.Add(back).Sub(lost)
	}
	q.ledger.Damaged = q.ledger.Damaged.Add(lost)
	for p := range found.broken {
		q.stoneAtLocked(bridge.Position(p), bridge.Count{Batches: 1}, causeDamaged, 0)
	}
	q.metaDue = true
	q.mu.Unlock()
	cause = fmt.Errorf("the dead letters are damaged, %d are saved and %d lost: %w", left.Batches, lost.Batches, cause)
	if left.Batches == 0 {
		q.quarantine(path, cause)
		return left, nil
	}
	return left, q.replaceDamaged(path, tmp, cause)
}

// surplus returns by how much a is more than b.
func surplus(a, b bridge.Count) bridge.Count {
	return bridge.Count{Batches: a.Batches - min(a.Batches, b.Batches), Readings: a.Readings - min(a.Readings, b.Readings)}
}

// foundDead is what a damaged file of dead letters still has.
type foundDead struct {
	f      *os.File
	unread int              // pages that the disk did not give
	whole  map[uint64]piece // by key: where the value is
	left   map[uint64]piece // the same, of pages that are free
	broken map[uint64]bool  // keys whose value is not right anywhere
	total  bridge.Count     // as the file says it, if it does
	totals map[bridge.Count]bool
}

// mostDeadPages bounds a leaf with dead letters: up to four share one.
const mostDeadPages = 1 << 10

// scanDead looks for dead letters page by page, following no pointer. Pages that
// the file's own list says are free have old ones, which were retried or purged.
// They are taken only if others are missing: the list may be what is damaged.
func scanDead(path string) (foundDead, error) {
	s := foundDead{whole: make(map[uint64]piece), left: make(map[uint64]piece), broken: make(map[uint64]bool), totals: make(map[bridge.Count]bool)}
	info, err := os.Lstat(path)
	if err != nil {
		return s, err
	}
	if !info.Mode().IsRegular() {
		return s, segment.Damaged("it is no file")
	}
	if s.f, _, err = openFile(path); err != nil {
		return s, damagedUnlessPassing(err)
	}
	free := freePages(s.f, info.Size())
	var d block.Decoder
	var page [segment.PageSize]byte
	for offset := int64(0); offset < info.Size(); offset += segment.PageSize {
		n, err := s.f.ReadAt(page[:], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			s.unread++
		}
		if n < 32 || err != nil && !errors.Is(err, io.EOF) {
			continue
		}
		s.scanPage(page[:n], offset, free[offset/segment.PageSize], &d)
	}
	if len(s.totals) == 1 {
		for t := range s.totals {
			s.total = t
		}
	}
	if n := uint64(len(s.whole)); n == 0 || n < s.total.Batches || len(s.totals) != 1 {
		for p, x := range s.left {
			if _, there := s.whole[p]; !there {
				s.whole[p] = x
			}
		}
	}
	for p := range s.whole {
		delete(s.broken, p)
	}
	return s, nil
}

// scanPage notes the dead letters of a leaf.
func (s *foundDead) scanPage(page []byte, offset int64, free bool, d *block.Decoder) {
	page, err := wholeLeaf(s.f, page, offset, mostDeadPages)
	if err != nil {
		s.unread++
	}
	leafPairs(page, offset, func(x pair) {
		switch {
		case string(x.key) == string(deadTotals) && len(x.value) == 24 && !free:
			le := binary.LittleEndian
			s.totals[bridge.Count{Batches: le.Uint64(x.value), Readings: le.Uint64(x.value[8:])}] = true
		case len(x.key) == 8:
			s.note(binary.BigEndian.Uint64(x.key), x.value, x.at, free, d)
		}
	})
}

// note takes what may be a dead letter at offset.
func (s *foundDead) note(p uint64, value []byte, offset int64, free bool, d *block.Decoder) {
	_, whole := parseDead(value, d)
	switch x := (piece{offset: offset, length: len(value)}); {
	case whole && free:
		s.left[p] = x
	case whole:
		s.whole[p] = x
	case !free:
		s.broken[p] = true
	}
}

// readings counts those of the letters that are whole.
func (s *foundDead) readings() (n uint64) {
	var d block.Decoder
	for _, x := range s.whole {
		v := make([]byte, x.length)
		if _, err := s.f.ReadAt(v, x.offset); err != nil {
			continue
		}
		if letter, ok := parseDead(v, &d); ok {
			n += uint64(len(letter.Readings))
		}
	}
	return n
}

// rebuild writes what was found into a new file.
func (s *foundDead) rebuild(path string, size int64) (total bridge.Count, err error) {
	db, err := createSegment(path, size)
	if err != nil {
		return total, err
	}
	bytes := uint64(0)
	var d block.Decoder
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(s.whole)), 64) {
		err = guard(func() error {
			return db.Update(func(tx *bolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists(deadBucket)
				if err != nil {
					return err
				}
				for _, k := range keys {
					v := make([]byte, s.whole[k].length)
					if _, err := s.f.ReadAt(v, s.whole[k].offset); err != nil {
						return err
					}
					letter, ok := parseDead(v, &d)
					if !ok {
						return errors.New("a dead letter changed while it was read")
					}
					total = total.Add(bridge.Count{Batches: 1, Readings: uint64(len(letter.Readings))})
					bytes += uint64(len(v))
					if err := b.Put(binary.BigEndian.AppendUint64(nil, k), v); err != nil {
						return err
					}
				}
				return writeTotals(b, total, bytes)
			})
		})
		if err != nil {
			break
		}
	}
	return total, errors.Join(err, closeDB(db))
}

// freePages returns the pages that the newer meta page of a bbolt file says are
// free, or none if that cannot be told (meta.go and page.go of bbolt).
func freePages(f *os.File, size int64) map[int64]bool {
	const headerLength, freelist = 16, 0x10
	le := binary.LittleEndian
	var newest []byte
	for i := range int64(2) {
		b := make([]byte, 80)
		if _, err := f.ReadAt(b, i*segment.PageSize); err != nil {
			return nil // it may have been the newer one
		}
		b = b[headerLength:]
		sum := fnv.New64a()
		sum.Write(b[:56])
		if le.Uint64(b[56:]) != sum.Sum64() {
			return nil
		}
		if newest == nil || le.Uint64(b[48:]) > le.Uint64(newest[48:]) {
			newest = b
		}
	}
	if le.Uint64(newest[32:]) >= uint64(size/segment.PageSize) {
		return nil
	}
	at := int64(le.Uint64(newest[32:]))
	head := make([]byte, headerLength+8)
	if _, err := f.ReadAt(head, at*segment.PageSize); err != nil || le.Uint64(head) != uint64(at) || le.Uint16(head[8:]) != freelist {
		return nil
	}
	from, count := at*segment.PageSize+headerLength, uint64(le.Uint16(head[10:]))
	if count == 0xffff {
		from, count = from+8, le.Uint64(head[headerLength:])
	}
	if count > uint64(size/segment.PageSize) {
		return nil
	}
	ids := make([]byte, 8*count)
	if _, err := f.ReadAt(ids, from); err != nil {
		return nil
	}
	free := make(map[int64]bool, count)
	for i := range count {
		free[int64(le.Uint64(ids[8*i:]))] = true
	}
	return free
}
