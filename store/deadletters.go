package store

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
)

// DeadLetter is a batch that the cloud refuses for good.
type DeadLetter struct {
	bridge.Entry
	Cause string
}

// parseDead takes a dead letter's value apart.
func parseDead(v []byte, d *block.Decoder) (DeadLetter, bool) {
	if len(v) < 2 {
		return DeadLetter{}, false
	}
	n := int(binary.LittleEndian.Uint16(v))
	if len(v) < 2+n {
		return DeadLetter{}, false
	}
	h, payload, err := block.Open(v[2+n:])
	if err != nil {
		return DeadLetter{}, false
	}
	entries, _, err := d.Decode(&h, payload)
	if err != nil || len(entries) != 1 {
		return DeadLetter{}, false
	}
	return DeadLetter{entries[0], string(v[2 : 2+n])}, true
}

func countDead(db *bolt.DB, n *bridge.Count) error {
	return db.View(func(tx *bolt.Tx) error {
		*n, _ = readTotals(tx)
		return nil
	})
}

// readDead calls visit with up to most dead letters from position from on, in
// order. A damaged one has no readings.
func (q *Queue) readDead(from uint64, most int, visit func(p uint64, letter DeadLetter, whole bool) error) error {
	return q.withDead(false, func(db *bolt.DB) error {
		return db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(deadBucket)
			if b == nil {
				return nil
			}
			var d block.Decoder
			c := b.Cursor()
			for k, v := c.Seek(binary.BigEndian.AppendUint64(nil, from)); k != nil && most > 0; k, v = c.Next() {
				if len(k) != 8 {
					continue
				}
				letter, whole := parseDead(v, &d)
				if err := visit(binary.BigEndian.Uint64(k), letter, whole); err != nil {
					return err
				}
				most--
			}
			return nil
		})
	})
}

// Dead calls visit with the dead letters on disk, the oldest first.
func (q *Queue) Dead(ctx context.Context, visit func(DeadLetter) error) error {
	read := func() error {
		return q.readDead(0, 1<<30, func(_ uint64, letter DeadLetter, whole bool) error {
			if !whole {
				return ctx.Err()
			}
			return visit(letter)
		})
	}
	if q.log == nil { // stopped
		return read()
	}
	return q.ask(ctx, func() error {
		if err := q.rightDead(); err != nil {
			return err
		}
		return read()
	})
}

// RetryDead queues the dead letters once more, as batches of this run. It
// returns how many there were.
func (q *Queue) RetryDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, func(letters []DeadLetter) error {
		q.mu.Lock()
		for _, l := range letters {
			n := bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))}
			q.mem.push(item{batch: l.Batch, at: q.now()})
			q.pending = q.pending.Add(n)
			q.ledger.Waiting = q.ledger.Waiting.Add(n)
			q.ledger.Dead = q.ledger.Dead.Sub(n)
			// The readings come under a new name; the old one shall not look lost.
			q.addStoneLocked(deadStone(&l, n, causeRetried))
		}
		q.mu.Unlock()
		return q.tend(true) // on disk before they leave the dead letters
	})
}

// PurgeDead drops the dead letters, and returns how many there were.
func (q *Queue) PurgeDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, func(letters []DeadLetter) error {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.dropDeadLocked(letters, causePurged)
		return nil
	})
}

// dropDeadLocked accounts for dead letters that are dropped.
func (q *Queue) dropDeadLocked(letters []DeadLetter, cause string) {
	for _, l := range letters {
		n := bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))}
		q.ledger.Dead = q.ledger.Dead.Sub(n)
		q.ledger.Dropped = q.ledger.Dropped.Add(n)
		q.addStoneLocked(deadStone(&l, n, cause))
	}
}

// deadStone is the tombstone of one dead letter.
func deadStone(l *DeadLetter, n bridge.Count, cause string) stoneMeta {
	at := l.At.UnixMilli()
	return stoneMeta{Run: l.Run, First: l.Seq, Last: l.Seq, Count: n, Cause: cause, Since: at, Until: at}
}

// emptyDead takes the dead letters out, some at a time; take decides what
// becomes of them.
func (q *Queue) emptyDead(ctx context.Context, take func([]DeadLetter) error) (total bridge.Count, err error) {
	const atOnce = 1000
	for {
		var n int
		err := q.ask(ctx, func() error {
			if err := errors.Join(q.bury(), q.rightDead()); err != nil {
				return err
			}
			var keys []uint64
			var letters []DeadLetter
			err := q.readDead(0, atOnce, func(p uint64, letter DeadLetter, whole bool) error {
				keys = append(keys, p)
				if whole {
					letters = append(letters, letter)
					total = total.Add(bridge.Count{Batches: 1, Readings: uint64(len(letter.Readings))})
				}
				return nil
			})
			n = len(keys)
			if err != nil || n == 0 {
				return err
			}
			if err := take(letters); err != nil {
				return err
			}
			return q.deleteDead(keys)
		})
		if err != nil || n == 0 {
			q.nudgeBoth()
			return total, err
		}
	}
}

// deleteDead removes dead letters from the file, and the file with the last.
// Those that are damaged leave the account here.
func (q *Queue) deleteDead(keys []uint64) error {
	q.keep.limits.counted = false
	left := bridge.Count{}
	var broken []uint64
	err := q.withDead(false, func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(deadBucket)
			if b == nil {
				return nil
			}
			total, bytes := readTotals(tx)
			var d block.Decoder
			for _, k := range keys {
				key := binary.BigEndian.AppendUint64(nil, k)
				v := b.Get(key)
				n := bridge.Count{Batches: 1}
				if letter, ok := parseDead(v, &d); ok {
					n.Readings = uint64(len(letter.Readings))
				} else {
					broken = append(broken, k)
				}
				total, bytes = surplus(total, n), bytes-min(uint64(len(v)), bytes)
				if err := b.Delete(key); err != nil {
					return err
				}
			}
			left = total
			return writeTotals(b, total, bytes)
		})
	})
	if err != nil {
		return err
	}
	q.loseDead(broken, left.Batches == 0)
	if left.Batches == 0 {
		err = os.Remove(q.deadPath()) // bbolt's files never shrink
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return err
}

// loseDead accounts for damaged dead letters. How many readings they had is known
// when there are no others.
func (q *Queue) loseDead(keys []uint64, all bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lost := bridge.Count{Batches: uint64(len(keys))}
	for _, k := range keys {
		q.stoneAtLocked(bridge.Position(k), bridge.Count{Batches: 1}, causeDamaged, 0)
	}
	if all {
		rest := q.ledger.Dead
		for i := range q.dead {
			rest = rest.Sub(q.dead[i].count)
		}
		lost.Readings = rest.Readings
	}
	q.ledger.Dead = q.ledger.Dead.Sub(lost)
	q.ledger.Damaged = q.ledger.Damaged.Add(lost)
}

// trimDead drops the oldest dead letters beyond their limit, a tenth of
// max_size.
func (q *Queue) trimDead() error {
	for {
		var total bridge.Count
		var bytes uint64
		err := q.withDead(false, func(db *bolt.DB) error {
			return db.View(func(tx *bolt.Tx) error {
				total, bytes = readTotals(tx)
				return nil
			})
		})
		limit := uint64(q.cfg.Load().tenth())
		if err != nil || bytes <= limit || total.Batches == 0 {
			return err
		}
		// A tenth more than must be, so that it is not done for each.
		most := int((bytes-limit+limit/10)/(bytes/total.Batches+1)) + 1
		var keys []uint64
		var letters []DeadLetter
		if err := q.readDead(0, most, func(p uint64, letter DeadLetter, whole bool) error {
			keys = append(keys, p)
			if whole {
				letters = append(letters, letter)
			}
			return nil
		}); err != nil || len(keys) == 0 {
			return err
		}
		q.mu.Lock()
		q.dropDeadLocked(letters, causeDead)
		q.mu.Unlock()
		if err := q.deleteDead(keys); err != nil {
			return err
		}
	}
}
