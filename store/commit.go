package store

import (
	"fmt"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
)

// commit writes what is in memory below upTo and not yet done.
func (q *Queue) commit(upTo bridge.Position) error {
	from := bridge.Position(0)
	for {
		batches := q.collect(from, upTo)
		if len(batches) == 0 {
			return nil
		}
		h := header{run: q.run, seq: uint64(batches[0].position - q.base), wall: time.Now().UnixMilli(),
			uptime: q.uptime(), mono: time.Since(q.started).Milliseconds(), before: q.total()}
		block, err := q.keep.encoder.encode(&h, batches)
		if err != nil {
			return err
		}
		if err := q.writeBlock(&h, block); err != nil {
			return err
		}
		q.committed(&h, batches, len(block))
		from = h.last + 1
		clear(q.keep.batches)
	}
}

// collect returns the batches of the next block: from from on, below upTo.
func (q *Queue) collect(from, upTo bridge.Position) []numbered {
	batches := q.keep.batches[:0]
	readings := 0
	q.mu.Lock()
	defer q.mu.Unlock()
	for p := max(from, q.mem.base); p < upTo && len(batches) < blockBatches && readings < blockReadings; p++ {
		it := q.mem.at(p)
		if it.state == itemFinished {
			continue
		}
		batches = append(batches, numbered{Batch: it.batch, position: p, mono: it.at / int64(time.Millisecond)})
		readings += len(it.batch.Readings)
	}
	q.keep.batches = batches
	return batches
}

// total returns what is in all blocks of the folder so far.
func (q *Queue) total() bridge.Count {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.segments); n > 0 {
		return q.segments[n-1].total
	}
	return bridge.Count{} // there is no neighbour to agree with
}

// writeBlock makes a block durable. After any failure the segment is closed for
// ever: nobody knows which of its pages have reached the disk. The next try goes
// to a new one.
func (q *Queue) writeBlock(h *header, block []byte) error {
	if s := q.keep.writer; s != nil && q.needsNew(s, len(block)) {
		q.seal()
	}
	if q.keep.writer == nil {
		if err := q.startSegment(h.first); err != nil {
			return err
		}
	}
	s := q.keep.writer
	before := s.db.Stats()
	size := int64(0)
	err := guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			if err := appendBlock(tx, h.first, block); err != nil {
				return err
			}
			size = tx.Size()
			return nil
		})
	})
	if err != nil {
		q.seal()
		return fmt.Errorf("commit: %w", err)
	}
	after := s.db.Stats()
	after = after.Sub(&before)
	bytes := after.TxStats.GetPageAlloc() + pageSize // and the meta page
	if q.keep.limits.tight {
		q.keep.limits.credit = max(0, q.keep.limits.credit-bytes)
	}
	q.mu.Lock()
	s.take(h)
	s.bytes = size
	q.stats.commits++
	q.stats.syncs += 2
	q.stats.bytes += uint64(bytes)
	q.stats.blockBytes += uint64(len(block))
	q.stats.blockReadings += h.count.Readings
	q.mu.Unlock()
	return nil
}

// needsNew reports whether a block of n bytes should go to a new segment.
func (q *Queue) needsNew(s *segment, n int) bool {
	used := int64(0)
	guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			used = tx.Size()
			return nil
		})
	})
	// A segment made before [Queue.Apply] keeps to the size that it was made for.
	most := min(q.cfg.Load().segmentSize(), int64(s.db.MaxSize)-slack)
	return used+int64(n)+4*pageSize > most
}

// startSegment makes the segment whose first batch is first.
func (q *Queue) startSegment(first bridge.Position) error {
	path := segmentPath(q.dir, first)
	db, err := createSegment(path, q.cfg.Load().segmentSize())
	if err != nil {
		return err
	}
	s := &segment{path: path, first: first, last: first - 1, db: db, verified: true, total: q.total(), bytes: 4 * pageSize}
	q.keep.writer = s
	q.mu.Lock()
	defer q.mu.Unlock()
	q.segments = append(q.segments, s)
	q.metaDue = true
	q.stats.syncs += 5
	q.stats.bytes += 8 * pageSize
	return nil
}

// seal closes the segment that is being written; it is never written again.
func (q *Queue) seal() {
	s := q.keep.writer
	if s == nil {
		return
	}
	q.files.Lock()
	closeDB(s.db)
	s.db = nil
	q.files.Unlock()
	q.keep.writer = nil
	if s.written.Batches == 0 {
		q.forget(s)
		os.Remove(s.path)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s.bytes = diskSize(s.path)
	q.metaDue = true
}

// committed takes batches out of memory that are now on disk.
func (q *Queue) committed(h *header, batches []numbered, size int) {
	var safes []func(error)
	q.mu.Lock()
	s := q.keep.writer
	for i := range batches {
		p, n := batches[i].position, bridge.Count{Batches: 1, Readings: uint64(len(batches[i].Readings))}
		if p < q.mem.base || q.mem.at(p).state == itemFinished {
			s.done = s.done.Add(n) // meanwhile
			q.acksDueLocked()
			continue
		}
		it := q.mem.at(p)
		if it.state == itemClaimed {
			q.claims[p] = uint32(n.Readings)
		}
		if safe := q.finishLocked(it); safe != nil {
			safes = append(safes, safe)
		}
	}
	q.mem.trim()
	q.mu.Unlock()
	for _, safe := range safes {
		safe(nil)
	}
	if q.cfg.Load().CommitEvery == 0 {
		q.nudgeBoth()
	}
}

// record writes what is done to disk when it is due.
func (q *Queue) record(now bool) error {
	q.mu.Lock()
	if q.ackDue == 0 || !now && q.ackDue > q.now() {
		q.mu.Unlock()
		return nil
	}
	r := ackRecord{next: q.mem.end(), uptime: q.uptime(), done: append(spans(nil), q.done...),
		counts: make(map[bridge.Position]bridge.Count, len(q.segments))}
	for _, s := range q.segments {
		if s.done.Batches > 0 {
			r.counts[s.first] = s.done
		}
	}
	due := q.ackDue
	q.ackDue = 0
	q.mu.Unlock()
	n, err := q.keep.acks.write(&r)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.ackDue = due
		return err
	}
	q.stats.records++
	q.stats.syncs++
	q.stats.bytes += uint64(n+pageSize-1) / pageSize * pageSize
	return nil
}

// writeMeta writes the index when it is due.
func (q *Queue) writeMeta() error {
	q.mu.Lock()
	if !q.metaDue {
		q.mu.Unlock()
		return nil
	}
	q.metaDue = false
	m := q.snapshotMetaLocked()
	q.mu.Unlock()
	n, err := m.write(q.dir)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.metaDue = true
		return err
	}
	q.stats.indexes++
	q.stats.syncs += 2
	q.stats.bytes += uint64(n+2*pageSize-1) / pageSize * pageSize
	return nil
}

// snapshotMetaLocked returns the index as it is to be written.
func (q *Queue) snapshotMetaLocked() meta {
	m := q.meta
	m.Uptime = q.uptime()
	oldest := q.mem.base
	m.Segments, m.Writer, m.Before = nil, 0, bridge.Count{}
	for _, s := range q.segments {
		oldest = min(oldest, s.first)
		if s != q.keep.writer {
			m.Segments = append(m.Segments, s.meta())
		} else {
			m.Writer, m.Before = s.first, s.total.Sub(s.written)
		}
	}
	m.Runs = append([]runMeta(nil), m.Runs...)
	m.prune(oldest)
	q.meta.Runs = append([]runMeta(nil), m.Runs...)
	m.Tombstones = append([]stoneMeta(nil), m.Tombstones...)
	return m
}

// removeDone removes the segments of which every batch is done.
func (q *Queue) removeDone() {
	for {
		s := q.doneSegment()
		if s == nil {
			return
		}
		// A segment of the index that is not there is taken for lost, unless it
		// is known to be done.
		if err := q.record(true); err != nil {
			q.log.Debug("a done segment is removed before that is recorded", "err", err)
		}
		if s == q.keep.writer {
			// How far it got is in no index: that it is gone must be.
			q.seal()
			q.forget(s)
			q.mu.Lock()
			q.metaDue = true
			q.mu.Unlock()
			if err := q.writeMeta(); err != nil {
				q.log.Debug("a done segment is removed before that is recorded", "err", err)
			}
		}
		q.removeSegment(s)
	}
}

// keepBelow is the size of a segment that is kept to be written to, even if all
// of it is done: to make a new one costs more than it is worth.
const keepBelow = 32 << 10

func (q *Queue) doneSegment() *segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		if s.done == s.written && s.suspect == nil && (s != q.keep.writer || s.bytes > keepBelow) {
			return s
		}
	}
	return nil
}

// removeSegment deletes a segment's file.
func (q *Queue) removeSegment(s *segment) {
	q.files.Lock()
	if q.read.open == s {
		q.closeReading()
	}
	q.files.Unlock()
	q.forget(s)
	if err := os.Remove(s.path); err != nil {
		q.log.Error("a segment whose batches are all done cannot be removed", "file", s.path, "err", err)
	}
}

// forget takes a segment out of the list.
func (q *Queue) forget(s *segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.segments, s); i >= 0 {
		q.segments = slices.Delete(q.segments, i, i+1)
	}
}
