package store

import (
	"errors"
	"fmt"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

// commit writes what is in memory below upTo and not yet done. While a block is
// written the next one is made.
func (q *Queue) commit(upTo bridge.Position) error {
	c, err := q.encodeNext(0, upTo, q.shelf.Total())
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
	encoded
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
	c.header = block.Header{Run: q.run, Seq: q.mem.Seq(c.batches[0].Position), Wall: time.Now().UnixMilli(),
		Uptime: q.uptime(), Mono: time.Since(q.started).Milliseconds(), Before: before}
	data, err := q.keep.encoder.Encode(&c.header, c.batches)
	c.bytes = append(c.bytes[:0], data...)
	return c, err
}

// write makes a block durable, and lets its batches go.
func (q *Queue) write(c *committing) error {
	defer clear(c.batches)
	if err := q.append(&q.shelf, c.encoded); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	q.committed(&c.header, c.batches)
	return nil
}

// collect takes the batches of the next block: from from on, below upTo.
func (q *Queue) collect(c *committing, from, upTo bridge.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.batches = q.mem.Collect(c.batches[:0], from, upTo, blockBatches, q.keep.blockReadings)
}

// committed takes batches out of memory that are now on disk.
func (q *Queue) committed(h *block.Header, batches []block.Numbered) {
	var safes []func(error)
	q.mu.Lock()
	s := q.shelf.Writer
	for i := range batches {
		p, n := batches[i].Position, bridge.Count{Batches: 1, Readings: uint64(len(batches[i].Readings))}
		safe, ok := q.mem.Commit(p)
		if !ok {
			s.Done = s.Done.Add(n) // meanwhile
			for j := range q.dead {
				if q.dead[j].position == p {
					q.dead[j].counted = true
				}
			}
			q.acksDueLocked()
			continue
		}
		if safe != nil {
			safes = append(safes, safe)
		}
	}
	q.mem.Trim()
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
	r := books.Record{Next: q.mem.End(), Uptime: q.uptime()}
	r.Done, r.Counts = q.settledLocked()
	due := q.ackDue
	q.ackDue = 0
	q.mu.Unlock()
	n, err := q.keep.acks.Write(&r)
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
	n, err := folder.WriteIndex(q.shelf.Dir, m)
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
func (q *Queue) snapshotMetaLocked() books.Index {
	oldest := q.mem.Base()
	if len(q.shelf.Segments) > 0 {
		oldest = min(oldest, q.shelf.Segments[0].First)
	}
	m := q.books.Snapshot(oldest)
	m.Format, m.Uptime = folder.Version, q.uptime()
	m.Segments, m.Writer, m.Before, m.Dead = nil, 0, bridge.Count{}, q.deadMetaLocked()
	for _, s := range q.shelf.Segments {
		if s != q.shelf.Writer {
			m.Segments = append(m.Segments, s.Account)
		} else {
			m.Writer, m.Before = s.First, s.Total.Sub(s.Written)
		}
	}
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
		if s == q.shelf.Writer {
			// How far it got is in no index: that it is gone must be.
			q.seal(&q.shelf)
			q.forget(&q.shelf, s)
			q.mu.Lock()
			q.metaDue = true
			q.mu.Unlock()
			if err := q.writeMeta(); err != nil {
				q.log.Debug("a done segment is removed before that is recorded", "err", err)
			}
		}
		q.remove(&q.shelf, s)
	}
}

// keepBelow is the size of a segment that is kept to be written to, even if all
// of it is done: to make a new one costs more than it is worth.
const keepBelow = 32 << 10

func (q *Queue) doneSegment() *folder.Stored {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.shelf.Segments {
		if s.Done == s.Written && s.Suspect == nil && (s != q.shelf.Writer || s.Bytes > keepBelow) && !q.buryingLocked(s) {
			return s
		}
	}
	return nil
}
