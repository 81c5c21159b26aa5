package store

import (
	"errors"
	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
	"os"
	"time"
)

// reading is what Next needs to read blocks back.
type reading struct {
	ended   bool           // nothing is opened any more
	open    *folder.Stored // besides the writer's at most one is open
	decoder block.Decoder
	block   []byte
}

// readBlock reads from s the block with the first batch at or after p. The
// caller holds files.
func (c *core) readBlock(s *folder.Stored, p bridge.Position) ([]bridge.Entry, *block.Header, error) {
	if s.File == nil {
		if err := c.openForReading(s); err != nil {
			return nil, nil, err
		}
	}
	data, h, err := s.File.Find(p, c.read.block)
	if err != nil || data == nil {
		return nil, nil, err
	}
	c.read.block = data
	entries, _, err := c.read.decoder.Decode(&h, h.Payload(data))
	if err != nil {
		return nil, nil, segment.Damaged("block %d: %w", h.First, err)
	}
	return entries, &h, nil
}

// openForReading opens a sealed segment, in place of the one that was open.
// The caller holds files.
func (c *core) openForReading(s *folder.Stored) error {
	if c.read.ended {
		return bridge.ErrClosed // nobody would close it again
	}
	c.closeReading()
	file, err := segment.Open(s.Path, c.segmentSize(&c.shelf))
	if err != nil {
		return err
	}
	s.File = file
	c.read.open = s
	if s.Verified {
		return nil
	}
	if err := file.Check(&s.Account); err != nil {
		return err
	}
	s.Verified = true
	return nil
}

// endReading closes what is open for reading, for good.
func (c *core) endReading() {
	c.files.Lock()
	defer c.files.Unlock()
	c.closeReading()
	c.read.ended = true
}

// closeReading closes the segment that is open for reading. The caller holds
// files.
func (c *core) closeReading() {
	if s := c.read.open; s != nil {
		s.Close()
		c.read.open = nil
	}
}

// unreadable calls the keeper: to repair a damaged segment, or to let the lanes
// try again when what is wrong may pass.
func (c *core) unreadable(s *folder.Stored, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case segment.IsDamage(err), errors.Is(err, os.ErrNotExist):
		if s.Suspect == nil {
			s.Suspect = err
			c.alarmLocked(c.now())
		}
	default:
		c.log.Debug("a segment cannot be read now", "file", s.Path, "err", err)
		c.rereadAt = c.now() + int64(time.Second)
		c.alarmLocked(c.rereadAt)
	}
}

// readEntry reads one batch from its segment.
func (c *core) readEntry(p bridge.Position) (bridge.Entry, error) {
	c.mu.Lock()
	s := c.shelf.Of(p)
	c.mu.Unlock()
	if s == nil {
		return bridge.Entry{}, segment.Damaged("no segment has batch %d", p)
	}
	c.files.Lock()
	defer c.files.Unlock()
	entries, _, err := c.readBlock(s, p)
	if err != nil {
		c.unreadable(s, err)
		return bridge.Entry{}, err
	}
	for i := range entries {
		if entries[i].Position == p {
			return entries[i], nil
		}
	}
	return bridge.Entry{}, segment.Damaged("batch %d is not where it should be", p)
}
