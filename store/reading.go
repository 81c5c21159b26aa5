package store

import (
	"errors"
	"fieldbridge/bridge"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
	"os"
	"time"
)

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
	entries, _, err := c.read.Read(s, p, c.segmentSize(&c.shelf))
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
