package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// commit writes what is in memory below upTo and not yet done. While a block is
// written the next one is made.
func (q *Queue) commit(upTo bridge.Position) error {
	c, err := q.encodeNext(0, upTo, q.total())
	for c != nil && err == nil {
		from, before := c.header.Last+1, c.header.Before.Add(c.header.Count)
		if from >= upTo {
			return q.write(c)
		}
		encoded := make(chan struct{})
		var next *committing
		var failed error
		go func() {
			defer close(encoded)
			next, failed = q.encodeNext(from, upTo, before)
		}()
		err = q.write(c)
		<-encoded
		c, err = next, errors.Join(err, failed)
	}
	return err
}

// committing is a block on its way to the disk.
type committing struct {
	header  block.Header
	block   []byte
	batches []block.Numbered
}

// encodeNext makes the block of the batches from from on, below upTo; nil if
// there are none. before is what is in all blocks before it. Its memory is used
// again by the one after the next.
func (q *Queue) encodeNext(from, upTo bridge.Position, before bridge.Count) (*committing, error) {
	c := &q.keep.blocks[q.keep.turn%2]
	q.collect(c, from, upTo)
	if len(c.batches) == 0 {
		return nil, nil
	}
	q.keep.turn++
	c.header = block.Header{Run: q.run, Seq: uint64(c.batches[0].Position - q.base), Wall: time.Now().UnixMilli(),
		Uptime: q.uptime(), Mono: time.Since(q.started).Milliseconds(), Before: before}
	block, err := q.keep.encoder.Encode(&c.header, c.batches)
	c.block = append(c.block[:0], block...)
	return c, err
}

// write makes a block durable, and lets its batches go.
func (q *Queue) write(c *committing) error {
	defer clear(c.batches)
	if err := q.writeBlock(&c.header, c.block); err != nil {
		return err
	}
	q.committed(&c.header, c.batches)
	return nil
}

// collect takes the batches of the next block: from from on, below upTo.
func (q *Queue) collect(c *committing, from, upTo bridge.Position) {
	c.batches = c.batches[:0]
	readings := 0
	q.mu.Lock()
	defer q.mu.Unlock()
	for p := max(from, q.mem.base); p < upTo && len(c.batches) < blockBatches && readings < q.keep.blockReadings; p++ {
		it := q.mem.at(p)
		if it.state == itemFinished {
			continue
		}
		c.batches = append(c.batches, block.Numbered{Batch: it.batch, Position: p, Mono: it.at / int64(time.Millisecond)})
		readings += len(it.batch.Readings)
	}
}

// total returns what is in all blocks of the folder so far.
func (q *Queue) total() bridge.Count {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.segments); n > 0 {
		return q.segments[n-1].Total
	}
	return bridge.Count{} // there is no neighbour to agree with
}

// writeBlock makes a block durable. After any failure the segment is closed for
// ever: nobody knows which of its pages have reached the disk. The next try goes
// to a new one.
func (q *Queue) writeBlock(h *block.Header, block []byte) error {
	if s := q.keep.writer; s != nil && !s.file.Fits(len(block), q.cfg.Load().segmentSize()) {
		q.seal()
	}
	if q.keep.writer == nil {
		if err := q.startSegment(h.First); err != nil {
			return err
		}
	}
	s := q.keep.writer
	reserved, err := s.file.Reserve(len(block), s.file.Limit(q.cfg.Load().segmentSize()), q.keep.limits.tight)
	if disk.NoRoom(err) {
		return fmt.Errorf("commit: %w", err)
	}
	var bytes int64
	if err == nil {
		bytes, err = s.file.Append(segment.Block{First: h.First, Bytes: block})
	}
	if err != nil {
		q.seal()
		return fmt.Errorf("commit: %w", err)
	}
	bytes += reserved
	if q.keep.limits.tight {
		q.keep.limits.credit = max(0, q.keep.limits.credit-bytes)
	}
	q.mu.Lock()
	s.Take(h)
	s.bytes = s.file.Size()
	q.stats.commits++
	q.stats.syncs += 2
	if reserved > 0 {
		q.stats.syncs++
	}
	q.stats.bytes += uint64(bytes)
	q.stats.blockBytes += uint64(len(block))
	q.stats.blockReadings += h.Count.Readings
	q.mu.Unlock()
	return nil
}

// startSegment makes the segment whose first batch is first.
func (q *Queue) startSegment(first bridge.Position) error {
	path := segmentPath(q.dir, first)
	file, err := segment.Create(path, q.cfg.Load().segmentSize())
	if err != nil {
		return err
	}
	s := &stored{path: path, file: file, verified: true, bytes: file.Size()}
	s.First, s.Last, s.Total = first, first-1, q.total()
	q.keep.writer = s
	q.mu.Lock()
	defer q.mu.Unlock()
	q.segments = append(q.segments, s)
	q.metaDue = true
	q.stats.syncs += segment.CreateSyncs
	q.stats.bytes += segment.CreateBytes
	return nil
}

// seal closes the segment that is being written; it is never written again.
func (q *Queue) seal() {
	s := q.keep.writer
	if s == nil {
		return
	}
	q.files.Lock()
	s.close()
	q.files.Unlock()
	q.keep.writer = nil
	if s.Written.Batches == 0 {
		q.forget(s)
		os.Remove(s.path)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s.bytes = disk.Size(s.path)
	q.metaDue = true
}

// committed takes batches out of memory that are now on disk.
func (q *Queue) committed(h *block.Header, batches []block.Numbered) {
	var safes []func(error)
	q.mu.Lock()
	s := q.keep.writer
	for i := range batches {
		p, n := batches[i].Position, bridge.Count{Batches: 1, Readings: uint64(len(batches[i].Readings))}
		if p < q.mem.base || q.mem.at(p).state == itemFinished {
			s.done = s.done.Add(n) // meanwhile
			for j := range q.dead {
				if q.dead[j].position == p {
					q.dead[j].counted = true
				}
			}
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
	r := ackRecord{next: q.mem.end(), uptime: q.uptime()}
	r.done, r.counts = q.settledLocked()
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
	q.stats.bytes += uint64(n+segment.PageSize-1) / segment.PageSize * segment.PageSize
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
	q.stats.bytes += uint64(n+2*segment.PageSize-1) / segment.PageSize * segment.PageSize
	return nil
}

// snapshotMetaLocked returns the index as it is to be written.
func (q *Queue) snapshotMetaLocked() meta {
	m := q.meta
	m.Uptime = q.uptime()
	oldest := q.mem.base
	m.Segments, m.Writer, m.Before = nil, 0, bridge.Count{}
	for _, s := range q.segments {
		oldest = min(oldest, s.First)
		if s != q.keep.writer {
			m.Segments = append(m.Segments, s.Account)
		} else {
			m.Writer, m.Before = s.First, s.Total.Sub(s.Written)
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

func (q *Queue) doneSegment() *stored {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		if s.done == s.Written && s.suspect == nil && (s != q.keep.writer || s.bytes > keepBelow) && !q.buryingLocked(s) {
			return s
		}
	}
	return nil
}

// removeSegment deletes a segment's file.
func (q *Queue) removeSegment(s *stored) {
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
func (q *Queue) forget(s *stored) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.segments, s); i >= 0 {
		q.segments = slices.Delete(q.segments, i, i+1)
	}
}
