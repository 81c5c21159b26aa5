package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/segment"
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
	counted  bool // in what is done of its segment
	cause    string
	count    bridge.Count
	safe     func(error)
}

// maxCause is how much of a cause is kept, in bytes.
const maxCause = 500

func (q *Queue) deadPath() string { return filepath.Join(q.dir, deadFile) }

// deadSize is how large the file may grow.
func (q *Queue) deadSize() int64 { return 2*q.cfg.Load().tenth() + q.cfg.Load().segmentSize() }

// withDead opens the dead letters, creating them if create is set, for f.
func (q *Queue) withDead(create bool, f func(db *bolt.DB) error) error {
	path, size := q.deadPath(), q.deadSize()
	var db *bolt.DB
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		db, err = openSegment(path, size, !q.keep.deadRight)
	case os.IsNotExist(err) && create:
		if db, err = createSegment(path, size); err == nil {
			q.mu.Lock()
			q.stats.syncs += createSyncs
			q.stats.bytes += createPages * segment.PageSize
			q.mu.Unlock()
		}
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

// bury writes the dead letters that are not yet on disk, and before that their
// tombstones: a batch that is told to be dead and still waits, after a cut in
// between, does no harm.
func (q *Queue) bury() error {
	q.mu.Lock()
	dead := q.dead
	q.mu.Unlock()
	if len(dead) == 0 {
		return nil
	}
	if err := q.rightDead(); err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	if err := q.writeMeta(); err != nil {
		return err
	}
	values := make([][]byte, 0, len(dead))
	for i := range dead {
		v, err := q.deadValue(&dead[i])
		if err != nil {
			return fmt.Errorf("write dead letters: %w", err)
		}
		values = append(values, v)
	}
	err := q.withDead(true, func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(deadBucket)
			if err != nil {
				return err
			}
			total, bytes := readTotals(tx)
			for i, v := range values {
				if v == nil {
					continue
				}
				key, there := freeKey(b, dead[i].position, v)
				if there {
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
		q.keep.deadRight = false
		return fmt.Errorf("write dead letters: %w", err)
	}
	q.mu.Lock()
	q.dead = q.dead[len(dead):]
	if len(q.dead) == 0 {
		q.dead = nil
	}
	q.acksDueLocked() // they are on disk now: what was done may be recorded
	q.stats.syncs += 2
	q.stats.bytes += 4 * segment.PageSize
	for i, v := range values {
		if v == nil { // it was in a segment that is damaged
			q.ledger.Dead = q.ledger.Dead.Sub(dead[i].count)
			q.ledger.Damaged = q.ledger.Damaged.Add(dead[i].count)
			q.stoneAtLocked(dead[i].position, dead[i].count, causeDamaged, 0)
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

// freeKey returns the key for a dead letter, or reports that it is there. A crash
// may have taken what came before a dead letter out of the memory, so that its
// position is given once more: the later one then goes behind the last.
func freeKey(b *bolt.Bucket, p bridge.Position, v []byte) (key []byte, there bool) {
	key = binary.BigEndian.AppendUint64(nil, uint64(p))
	old := b.Get(key)
	if old == nil {
		return key, false
	}
	if x, y := deadHeader(old), deadHeader(v); x.Run == y.Run && x.Seq == y.Seq {
		return nil, true
	}
	c := b.Cursor()
	last, _ := c.Last()
	for last != nil && len(last) != len(key) { // not the totals
		last, _ = c.Prev()
	}
	return binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(last)+1), false
}

// deadHeader returns the header of a dead letter's block, or an empty one.
func deadHeader(v []byte) block.Header {
	if len(v) < 2 || len(v) < 2+int(binary.LittleEndian.Uint16(v)) {
		return block.Header{}
	}
	h, err := block.ParseHeader(v[2+binary.LittleEndian.Uint16(v):])
	if err != nil {
		return block.Header{}
	}
	return h
}

// deadValue returns what is written for a dead letter, nil if its batch cannot
// be read any more. An error may pass.
func (q *Queue) deadValue(d *burial) ([]byte, error) {
	entry := bridge.Entry{Batch: d.batch, Position: d.position, Run: q.run, Seq: uint64(d.position - q.base)}
	if !d.inMemory {
		var err error
		if entry, err = q.readEntry(d.position); err != nil {
			if segment.IsDamage(err) {
				return nil, nil
			}
			return nil, err
		}
	}
	h := block.Header{Run: entry.Run, Seq: entry.Seq, Wall: time.Now().UnixMilli(), Uptime: q.uptime()}
	block, err := q.keep.encoder.Encode(&h, []block.Numbered{{Batch: entry.Batch, Position: d.position}})
	if err != nil {
		return nil, nil
	}
	cause := d.cause[:min(len(d.cause), maxCause)]
	v := binary.LittleEndian.AppendUint16(nil, uint16(len(cause)))
	v = append(v, cause...)
	return append(v, block...), nil
}

// readEntry reads one batch from its segment.
func (q *Queue) readEntry(p bridge.Position) (bridge.Entry, error) {
	q.mu.Lock()
	s := q.segmentOfLocked(p)
	q.mu.Unlock()
	if s == nil {
		return bridge.Entry{}, segment.Damaged("no segment has batch %d", p)
	}
	q.files.Lock()
	defer q.files.Unlock()
	entries, _, err := q.readBlock(s, p)
	if err != nil {
		q.unreadable(s, err)
		return bridge.Entry{}, err
	}
	for i := range entries {
		if entries[i].Position == p {
			return entries[i], nil
		}
	}
	return bridge.Entry{}, segment.Damaged("batch %d is not where it should be", p)
}

// buryingLocked reports whether a segment has a batch that is to become a dead
// letter and is not one on disk yet. Until then it must stay.
func (q *Queue) buryingLocked(s *stored) bool {
	return slices.ContainsFunc(q.dead, func(d burial) bool { return d.counted && d.position >= s.First && d.position <= s.Last })
}

// settledLocked returns what may be recorded as done: not what is on its way to
// the dead letters, which a kill would take.
func (q *Queue) settledLocked() (done spans, counts map[bridge.Position]bridge.Count) {
	done = q.done.without(q.dead)
	counts = make(map[bridge.Position]bridge.Count, len(q.segments))
	for _, s := range q.segments {
		if s.done.Batches > 0 {
			counts[s.First] = s.done
		}
	}
	for i := range q.dead {
		if s := q.segmentOfLocked(q.dead[i].position); s != nil && q.dead[i].counted {
			counts[s.First] = counts[s.First].Sub(q.dead[i].count)
		}
	}
	return done, counts
}
