package store

import (
	"os"
	"path/filepath"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

// encoded is a block on its way to the disk.
type encoded struct {
	header block.Header
	bytes  []byte
}

// append makes blocks durable in the newest segment of a shelf, all or none.
// After any failure that segment is closed for ever: nobody knows which of its
// pages have reached the disk. The next try goes to a new one.
func (q *Queue) append(sh *folder.Shelf, some ...encoded) error {
	blocks, length := make([]segment.Block, len(some)), 0
	for i := range some {
		blocks[i] = segment.Block{First: some[i].header.First, Bytes: some[i].bytes}
		length += len(some[i].bytes)
	}
	size := q.segmentSize(sh)
	if sh.Writer != nil && !sh.Writer.File.Fits(length, size) {
		q.seal(sh)
	}
	if sh.Writer == nil {
		if err := q.start(sh, some[0].header.First); err != nil {
			return err
		}
	}
	s := sh.Writer
	reserved, err := s.File.Reserve(length, s.File.Limit(size), q.keep.limits.tight)
	if disk.NoRoom(err) {
		return err
	}
	var written int64
	if err == nil {
		written, err = s.File.Append(blocks...)
	}
	if err != nil {
		q.seal(sh)
		return err
	}
	written += reserved
	if q.keep.limits.tight {
		q.keep.limits.credit = max(0, q.keep.limits.credit-written)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range some {
		s.Take(&some[i].header)
		if !sh.Dead {
			q.stats.commits++
			q.stats.blockBytes += uint64(len(some[i].bytes))
			q.stats.blockReadings += some[i].header.Count.Readings
		}
	}
	s.Bytes = s.File.Size()
	q.stats.syncs += 2
	if reserved > 0 {
		q.stats.syncs++
	}
	q.stats.bytes += uint64(written)
	return nil
}

// segmentSize returns how large a segment of a shelf grows, in bytes. Dead letters
// are dropped a segment at a time, so theirs have a quarter of what they may take.
func (q *Queue) segmentSize(sh *folder.Shelf) int64 {
	c := q.cfg.Load()
	if sh.Dead {
		return min(c.segmentSize(), c.tenth()/4)
	}
	return c.segmentSize()
}

// start makes the segment whose first batch is first.
func (q *Queue) start(sh *folder.Shelf, first bridge.Position) error {
	if sh.Dead {
		// At the next start, the batches of the newest segment alone are known to
		// be dead if their record is missing.
		if err := q.record(true); err != nil {
			return err
		}
		if err := os.MkdirAll(sh.Dir, 0o700); err != nil {
			return err
		}
		q.letters.made = true
		disk.SyncDir(q.shelf.Dir)
	}
	path := folder.SegmentPath(sh.Dir, first)
	file, err := segment.Create(path, q.segmentSize(sh))
	if err != nil {
		return err
	}
	s := &folder.Stored{Path: path, File: file, Verified: true, Bytes: file.Size()}
	q.mu.Lock()
	defer q.mu.Unlock()
	s.First, s.Last, s.Total = first, first-1, sh.Total()
	sh.Writer = s
	sh.Segments = append(sh.Segments, s)
	q.metaDue = true
	q.stats.syncs += segment.CreateSyncs
	q.stats.bytes += segment.CreateBytes
	if sh.Dead {
		q.stats.syncs++
	}
	return nil
}

// seal closes the segment that is being written; it is never written again.
func (q *Queue) seal(sh *folder.Shelf) {
	s := sh.Writer
	if s == nil {
		return
	}
	q.files.Lock()
	s.Close()
	q.files.Unlock()
	sh.Writer = nil
	if s.Written.Batches == 0 {
		q.forget(sh, s)
		os.Remove(s.Path)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Bytes = disk.Size(s.Path)
	q.metaDue = true
}

// remove deletes a segment's file.
func (q *Queue) remove(sh *folder.Shelf, s *folder.Stored) {
	q.files.Lock()
	if q.read.open == s {
		q.closeReading()
	}
	q.files.Unlock()
	if s == sh.Writer {
		q.seal(sh)
	}
	q.forget(sh, s)
	if err := os.Remove(s.Path); err != nil {
		q.log.Error("a segment whose batches are all done cannot be removed", "file", s.Path, "err", err)
	}
}

// forget takes a segment out of the list.
func (q *Queue) forget(sh *folder.Shelf, s *folder.Stored) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(sh.Segments, s); i >= 0 {
		sh.Segments = slices.Delete(sh.Segments, i, i+1)
	}
}

// name returns the name of a file below the folder of the queue, for people.
func (q *Queue) name(path string) string {
	if name, err := filepath.Rel(q.shelf.Dir, path); err == nil {
		return name
	}
	return path
}

// shelves returns that of the readings and that of the dead letters.
func (q *Queue) shelves() [2]*folder.Shelf { return [2]*folder.Shelf{&q.shelf, &q.letters.shelf} }
