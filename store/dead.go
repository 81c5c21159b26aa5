package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
)

// deadFile has the dead letters: one bbolt file, opened while it is used. Keys
// are positions; a value is the length of the cause (16 bits), the cause, and a block of one batch.
const deadFile = "dead.db"

var deadBucket, deadTotals = []byte("dead"), []byte("totals")

// burial is a dead letter that is not yet on disk.
type burial struct {
	position bridge.Position
	batch    bridge.Batch // if it was in memory, else it is in a segment
	inMemory bool
	cause    string
	count    bridge.Count
	safe     func(error)
}

// maxCause is how much of a cause is kept, in bytes.
const maxCause = 500

func (q *Queue) deadPath() string { return filepath.Join(q.dir, deadFile) }

// withDead opens the dead letters, creating them if create is set, for f.
func (q *Queue) withDead(create bool, f func(db *bolt.DB) error) error {
	path := q.deadPath()
	size := 2*q.cfg.Load().tenth() + q.cfg.Load().segmentSize()
	var db *bolt.DB
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		db, err = openSegment(path, size, false)
	case os.IsNotExist(err) && create:
		db, err = createSegment(path, size)
	case os.IsNotExist(err):
		return nil
	}
	if err != nil {
		return err
	}
	err = guard(func() error { return f(db) })
	if e := closeDB(db); err == nil {
		err = e
	}
	return err
}

// openDead counts the dead letters that are there.
func (q *Queue) openDead() {
	if err := q.withDead(false, q.countDead); err != nil {
		q.ledger.Dead = bridge.Count{}
		q.quarantine(q.deadPath(), fmt.Errorf("the dead letters cannot be read: %w", err))
	}
	q.ledger.Restored = q.ledger.Restored.Add(q.ledger.Dead)
}

// readTotals returns how much is dead, and the bytes of it.
func readTotals(tx *bolt.Tx) (n bridge.Count, bytes uint64) {
	b := tx.Bucket(deadBucket)
	if b == nil {
		return n, 0
	}
	v := b.Get(deadTotals)
	if len(v) != 24 {
		return n, 0
	}
	le := binary.LittleEndian
	return bridge.Count{Batches: le.Uint64(v), Readings: le.Uint64(v[8:])}, le.Uint64(v[16:])
}

func writeTotals(b *bolt.Bucket, n bridge.Count, bytes uint64) error {
	v := binary.LittleEndian.AppendUint64(nil, n.Batches)
	v = binary.LittleEndian.AppendUint64(v, n.Readings)
	return b.Put(deadTotals, binary.LittleEndian.AppendUint64(v, bytes))
}

// bury writes the dead letters that are not yet on disk.
func (q *Queue) bury() error {
	q.mu.Lock()
	dead := q.dead
	q.mu.Unlock()
	if len(dead) == 0 {
		return nil
	}
	values := make([][]byte, 0, len(dead))
	for i := range dead {
		values = append(values, q.deadValue(&dead[i]))
	}
	err := q.withDead(true, func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(deadBucket)
			if err != nil {
				return err
			}
			total, bytes := readTotals(tx)
			for i, v := range values {
				key := binary.BigEndian.AppendUint64(nil, uint64(dead[i].position))
				if v == nil || b.Get(key) != nil {
					continue
				}
				if err := b.Put(key, v); err != nil {
					return err
				}
				total, bytes = total.Add(dead[i].count), bytes+uint64(len(v))
			}
			return writeTotals(b, total, bytes)
		})
	})
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	q.mu.Lock()
	q.dead = q.dead[len(dead):]
	if len(q.dead) == 0 {
		q.dead = nil
	}
	q.stats.syncs += 2
	q.stats.bytes += 4 * pageSize
	for i, v := range values {
		if v == nil { // it was in a segment that is damaged
			q.ledger.Dead = q.ledger.Dead.Sub(dead[i].count)
			q.ledger.Damaged = q.ledger.Damaged.Add(dead[i].count)
		}
	}
	q.mu.Unlock()
	for i := range dead {
		if dead[i].safe != nil {
			dead[i].safe(nil)
		}
	}
	q.keep.limits.counted = false
	return q.trimDead()
}

// deadValue returns what is written for a dead letter, nil if its batch cannot
// be read any more.
func (q *Queue) deadValue(d *burial) []byte {
	entry := bridge.Entry{Batch: d.batch, Position: d.position, Run: q.run, Seq: uint64(d.position - q.base)}
	if !d.inMemory {
		var ok bool
		if entry, ok = q.readEntry(d.position); !ok {
			return nil
		}
	}
	h := header{run: entry.Run, seq: entry.Seq, wall: time.Now().UnixMilli(), uptime: q.uptime()}
	block, err := q.keep.encoder.encode(&h, []numbered{{Batch: entry.Batch, position: d.position}})
	if err != nil {
		return nil
	}
	cause := d.cause[:min(len(d.cause), maxCause)]
	v := binary.LittleEndian.AppendUint16(nil, uint16(len(cause)))
	v = append(v, cause...)
	return append(v, block...)
}

// readEntry reads one batch from its segment.
func (q *Queue) readEntry(p bridge.Position) (bridge.Entry, bool) {
	q.mu.Lock()
	s := q.segmentOfLocked(p)
	q.mu.Unlock()
	if s == nil {
		return bridge.Entry{}, false
	}
	q.files.Lock()
	defer q.files.Unlock()
	entries, _, err := q.readBlock(s, p)
	if err != nil {
		q.unreadable(s, err)
		return bridge.Entry{}, false
	}
	for i := range entries {
		if entries[i].Position == p {
			return entries[i], true
		}
	}
	return bridge.Entry{}, false
}
