package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

// commit writes what is in memory below upTo and not yet done. While a block is
// written the next one is made.
func (k *keeper) commit(upTo bridge.Position) error {
	k.recordNews()
	c, err := k.encodeNext(0, upTo, k.shelf.Total())
	for c != nil && err == nil {
		from, before := c.Header.Last+1, c.Header.Before.Add(c.Header.Count)
		if from >= upTo {
			return k.write(c)
		}
		encoded := make(chan struct{})
		var next *committing
		var failed error
		go func() {
			defer close(encoded)
			next, failed = k.encodeNext(from, upTo, before)
		}()
		err = k.write(c)
		<-encoded
		c, err = next, errors.Join(err, failed)
	}
	return err
}

// committing is a block on its way to the disk.
type committing struct {
	folder.Encoded
	batches []block.Numbered
}

// encodeNext makes the block of the batches from from on, below upTo; nil if
// there are none. before is what is in all blocks before it. Its memory is used
// again by the one after the next.
func (k *keeper) encodeNext(from, upTo bridge.Position, before bridge.Count) (*committing, error) {
	c := &k.blocks[k.made%2]
	k.collect(c, from, upTo)
	if len(c.batches) == 0 {
		return nil, nil
	}
	k.made++
	c.Header = block.Header{Run: k.run, Seq: k.mem.Seq(c.batches[0].Position), Wall: time.Now().UnixMilli(),
		Uptime: k.uptime(), Mono: time.Since(k.started).Milliseconds(), Before: before}
	data, err := k.encoder.Encode(&c.Header, c.batches)
	c.Bytes = append(c.Bytes[:0], data...)
	return c, err
}

// write makes a block durable, and lets its batches go.
func (k *keeper) write(c *committing) error {
	defer clear(c.batches)
	if err := k.append(&k.shelf, c.Encoded); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	k.committed(&c.Header, c.batches)
	return nil
}

// collect takes the batches of the next block: from from on, below upTo.
func (k *keeper) collect(c *committing, from, upTo bridge.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.batches = k.mem.Collect(c.batches[:0], from, upTo, int(k.block.Batches), int(k.block.Readings))
}

// committed takes batches out of memory that are now on disk.
func (k *keeper) committed(h *block.Header, batches []block.Numbered) {
	var safes []func(error)
	k.mu.Lock()
	s := k.shelf.Writer
	for i := range batches {
		p, n := batches[i].Position, bridge.Count{Batches: 1, Readings: uint64(len(batches[i].Readings))}
		safe, ok := k.mem.Commit(p)
		if !ok {
			s.Done = s.Done.Add(n) // meanwhile
			k.dead.Written(p)
			k.acksDueLocked()
			continue
		}
		if safe != nil {
			safes = append(safes, safe)
		}
	}
	k.trimLocked()
	k.mu.Unlock()
	for _, safe := range safes {
		safe(nil)
	}
	if k.cfg.Load().CommitEvery == 0 {
		k.nudgeBoth()
	}
}

// record writes what is done to disk when it is due.
func (k *keeper) record(now bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ackDue == 0 || !now && k.ackDue > k.now() {
		return nil
	}
	k.mu.Unlock()
	_ = k.tellLost() // it is tried again; what is not told is left out
	k.mu.Lock()
	r := books.Record{Next: k.mem.End(), Uptime: k.uptime()}
	r.Done, r.Counts = k.dead.Settled(k.books.Done, k.books.Untold(), &k.shelf)
	due, news := k.ackDue, k.news
	k.ackDue, k.news = 0, len(k.books.Untold()) > 0
	k.mu.Unlock()
	n, err := k.acks.Write(&r)
	k.mu.Lock()
	if err != nil {
		k.ackDue, k.news = due, news
		return err
	}
	k.stats.Records++
	k.stats.Wrote(n, false)
	return nil
}

// recordNews records what was done in memory alone. It comes before batches or letters are made
// durable: a kill has what lies below them and is not known to be done taken for lost. What
// is on its way to the disk must not be chosen yet: how much of it is done is counted later.
func (k *keeper) recordNews() {
	k.mu.Lock()
	news := k.news
	if news {
		k.ackDue = 1
	}
	k.mu.Unlock()
	if news {
		_ = k.record(true) // it is tried again; more would be lost if nothing were written
	}
}

// tellLost writes the tombstones of what is given up, if there are some. It comes before batches
// or letters are made durable: what a kill finds missing among them is taken for done.
func (k *keeper) tellLost() error {
	k.mu.Lock()
	untold := len(k.books.Untold()) > 0
	k.mu.Unlock()
	if !untold {
		return nil
	}
	return k.writeMeta()
}

// writeOrigins writes who measured what, if that is not on disk. After an error nothing
// may be made durable: it would be taken for another's.
func (k *keeper) writeOrigins() error {
	n, err := k.origins.Write(k.shelf.Dir)
	k.mu.Lock()
	defer k.mu.Unlock()
	if n > 0 {
		k.stats.Wrote(n, true)
	}
	return err
}

// writeMeta writes the index when it is due.
func (k *keeper) writeMeta() error {
	k.mu.Lock()
	if !k.metaDue {
		k.mu.Unlock()
		return nil
	}
	k.metaDue = false
	m := k.snapshotMetaLocked()
	k.mu.Unlock()
	n, err := folder.WriteIndex(k.shelf.Dir, m)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.books.Told(err == nil)
	if err != nil {
		k.metaDue = true
		return err
	}
	k.recorded = true
	k.stats.Indexes++
	if !k.metaDue {
		k.journal.Unhold()
		k.trimLocked()
	}
	k.stats.Wrote(n, true)
	return nil
}

// snapshotMetaLocked returns the index as it is to be written.
func (k *keeper) snapshotMetaLocked() books.Index {
	oldest := k.mem.Base()
	if len(k.shelf.Segments) > 0 {
		oldest = min(oldest, k.shelf.Segments[0].First)
	}
	m := k.books.Snapshot(oldest)
	m.Format, m.Uptime = folder.Version, k.uptime()
	k.spendLocked()
	m.Flash = k.flash.Save(k.closed)
	m.Before, m.Dead = bridge.Count{}, k.letters.deadMetaLocked()
	m.Segments, m.Writer = k.shelf.Accounts()
	if w := k.shelf.Writer; w != nil {
		m.Before = w.Total.Sub(w.Written)
	}
	return m
}

// removeDone removes the segments of which every batch is done.
func (k *keeper) removeDone() {
	for {
		s := k.doneSegment()
		if s == nil {
			return
		}
		// A segment of the index that is not there is taken for lost, unless it
		// is known to be done.
		if err := k.record(true); err != nil {
			k.log.Debug("a done segment is removed before that is recorded", "err", err)
		}
		if s == k.shelf.Writer {
			// How far it got is in no index: that it is gone must be.
			k.seal(&k.shelf)
			k.forget(&k.shelf, s)
			k.mu.Lock()
			k.metaDue = true
			k.mu.Unlock()
			if err := k.writeMeta(); err != nil {
				k.log.Debug("a done segment is removed before that is recorded", "err", err)
			}
		}
		k.remove(&k.shelf, s)
	}
}

// keepBelow is the size of a segment that is kept to be written to, even if all
// of it is done: to make a new one costs more than it is worth.
const keepBelow = 32 << 10

func (k *keeper) doneSegment() *folder.Stored {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.shelf.Segments {
		if s.Done == s.Written && s.Suspect == nil && (s != k.shelf.Writer || s.Bytes > keepBelow) && !k.dead.In(s) {
			return s
		}
	}
	return nil
}

// append makes blocks durable in the newest segment of a shelf, all or none.
// After any failure that segment is closed for ever: nobody knows which of its
// pages have reached the disk. The next try goes to a new one.
func (k *keeper) append(sh *folder.Shelf, some ...folder.Encoded) error {
	k.pulse.Within(diskTime)
	if err := k.tellLost(); err != nil {
		return err
	}
	blocks, length := make([]segment.Block, len(some)), 0
	for i := range some {
		blocks[i] = segment.Block{First: some[i].Header.First, Bytes: some[i].Bytes}
		length += len(some[i].Bytes)
	}
	size := k.segmentSize(sh)
	if sh.Writer != nil && !sh.Writer.File.Fits(length, size) {
		k.seal(sh)
	}
	if sh.Writer == nil {
		if err := k.start(sh, some[0].Header.First); err != nil {
			return err
		}
	}
	s := sh.Writer
	reserved, err := s.File.Reserve(length, s.File.Limit(size), k.limits.space.Tight())
	if disk.NoRoom(err) {
		return err
	}
	var written int64
	if err == nil {
		written, err = s.File.Append(blocks...)
	}
	if err != nil {
		k.seal(sh)
		return err
	}
	written += reserved
	k.limits.space.Wrote(written)
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range some {
		s.Take(&some[i].Header)
		if !sh.Dead {
			k.stats.Commits++
			k.stats.BlockBytes += uint64(len(some[i].Bytes))
			k.stats.BlockReadings += some[i].Header.Count.Readings
		}
	}
	s.Bytes = s.File.Size()
	k.stats.Syncs += 2
	if reserved > 0 {
		k.stats.Syncs++
	}
	k.stats.Bytes += uint64(written)
	return nil
}

// start makes the segment whose first batch is first.
func (k *keeper) start(sh *folder.Shelf, first bridge.Position) error {
	if sh.Dead {
		// At the next start, the batches of the newest segment alone are known to
		// be dead if their record is missing.
		if err := k.record(true); err != nil {
			return err
		}
		if err := disk.MakeDir(sh.Dir); err != nil {
			return err
		}
		k.letters.made = true
	}
	path := folder.SegmentPath(sh.Dir, first)
	file, err := segment.Create(path, k.segmentSize(sh))
	if err != nil {
		return err
	}
	s := &folder.Stored{Path: path, File: file, Verified: true, Bytes: file.Size()}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.First, s.Last, s.Total = first, first-1, sh.Total()
	sh.Writer = s
	sh.Segments = append(sh.Segments, s)
	k.metaDue = true
	k.stats.Syncs += segment.CreateSyncs
	k.stats.Bytes += segment.CreateBytes
	if sh.Dead {
		k.stats.Syncs++
	}
	return nil
}

// seal closes the segment that is being written; it is never written again.
func (k *keeper) seal(sh *folder.Shelf) {
	s := sh.Writer
	if s == nil {
		return
	}
	k.files.Lock()
	s.Close()
	k.files.Unlock()
	sh.Writer = nil
	if s.Written.Batches == 0 {
		k.forget(sh, s)
		_ = os.Remove(s.Path)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Bytes = disk.Size(s.Path)
	k.metaDue = true
}

// remove deletes a segment's file.
func (k *keeper) remove(sh *folder.Shelf, s *folder.Stored) {
	k.files.Lock()
	k.read.Close(s)
	k.files.Unlock()
	if s == sh.Writer {
		k.seal(sh)
	}
	k.forget(sh, s)
	if err := os.Remove(s.Path); err != nil {
		k.log.Error("a segment whose batches are all done cannot be removed", "file", s.Path, "err", err)
	}
}

// forget takes a segment out of the list.
func (k *keeper) forget(sh *folder.Shelf, s *folder.Stored) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(sh.Segments, s); i >= 0 {
		sh.Segments = slices.Delete(sh.Segments, i, i+1)
	}
}

// shelves returns that of the readings and that of the dead letters.
func (k *keeper) shelves() [2]*folder.Shelf { return [2]*folder.Shelf{&k.shelf, &k.letters.shelf} }
