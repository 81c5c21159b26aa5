package store

import (
	"os"
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
func (k *keeper) append(sh *folder.Shelf, some ...encoded) error {
	blocks, length := make([]segment.Block, len(some)), 0
	for i := range some {
		blocks[i] = segment.Block{First: some[i].header.First, Bytes: some[i].bytes}
		length += len(some[i].bytes)
	}
	size := k.segmentSize(sh)
	if sh.Writer != nil && !sh.Writer.File.Fits(length, size) {
		k.seal(sh)
	}
	if sh.Writer == nil {
		if err := k.start(sh, some[0].header.First); err != nil {
			return err
		}
	}
	s := sh.Writer
	reserved, err := s.File.Reserve(length, s.File.Limit(size), k.limits.tight)
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
	if k.limits.tight {
		k.limits.credit = max(0, k.limits.credit-written)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range some {
		s.Take(&some[i].header)
		if !sh.Dead {
			k.stats.commits++
			k.stats.blockBytes += uint64(len(some[i].bytes))
			k.stats.blockReadings += some[i].header.Count.Readings
		}
	}
	s.Bytes = s.File.Size()
	k.stats.syncs += 2
	if reserved > 0 {
		k.stats.syncs++
	}
	k.stats.bytes += uint64(written)
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
		if err := os.MkdirAll(sh.Dir, 0o700); err != nil {
			return err
		}
		k.letters.made = true
		disk.SyncDir(k.shelf.Dir)
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
	k.stats.syncs += segment.CreateSyncs
	k.stats.bytes += segment.CreateBytes
	if sh.Dead {
		k.stats.syncs++
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
		os.Remove(s.Path)
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
	if k.read.open == s {
		k.closeReading()
	}
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
