package store

import (
	"context"
	"errors"
	"os"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

// Next implements [bridge.Queue].
func (q *Queue) Next(ctx context.Context, which bridge.Lane, max int) ([]bridge.Entry, error) {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil, bridge.ErrClosed
		}
		entries, missing := q.claimLocked(which, max)
		q.mu.Unlock()
		if len(entries) > 0 {
			q.nudge(which) // for another one who waits
			return entries, nil
		}
		if missing != 0 && q.load(which, missing) {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.stop:
		case <-q.nudges[which]:
		}
	}
}

// claimLocked claims up to max batches. When the next one is on disk and not in
// the lane's block, it returns what it has, and if that is nothing its position.
func (q *Queue) claimLocked(which bridge.Lane, max int) (entries []bridge.Entry, missing bridge.Position) {
	limit := q.books.Mark()
	if which == bridge.Fresh {
		limit = q.mem.End()
	}
	if q.cfg.Load().CommitEvery == 0 {
		limit = min(limit, q.mem.Base()) // only what is committed
	}
	return q.mem.Claim(which, max, limit, q.books.Done)
}

// reading is what Next needs to read blocks back.
type reading struct {
	ended   bool           // nothing is opened any more
	open    *folder.Stored // besides the writer's at most one is open
	decoder block.Decoder
	block   []byte
}

// load reads the block with the first batch on disk from p on into a lane. It
// reports false when the lane must wait until a segment has been repaired.
func (q *Queue) load(which bridge.Lane, p bridge.Position) bool {
	q.files.Lock()
	defer q.files.Unlock()
	q.mu.Lock()
	s := q.shelf.From(p)
	if s == nil {
		// Nothing on disk from here on.
		q.mem.Load(which, p, q.mem.Base(), nil)
		q.mu.Unlock()
		return true
	}
	suspect, last := s.Suspect, s.Last
	q.mu.Unlock()
	if suspect != nil {
		return false
	}
	entries, h, err := q.readBlock(s, p)
	if err == nil && h == nil || err == nil && h.First > last {
		err = segment.Damaged("batch %d to %d should be in it", p, last)
	}
	if err != nil {
		q.unreadable(s, err)
		return false
	}
	q.mu.Lock()
	q.mem.Load(which, p, h.Last+1, entries)
	q.mu.Unlock()
	return true
}

// readBlock reads from s the block with the first batch at or after p. The
// caller holds files.
func (q *Queue) readBlock(s *folder.Stored, p bridge.Position) ([]bridge.Entry, *block.Header, error) {
	if s.File == nil {
		if err := q.openForReading(s); err != nil {
			return nil, nil, err
		}
	}
	data, h, err := s.File.Find(p, q.read.block)
	if err != nil || data == nil {
		return nil, nil, err
	}
	q.read.block = data
	entries, _, err := q.read.decoder.Decode(&h, h.Payload(data))
	if err != nil {
		return nil, nil, segment.Damaged("block %d: %w", h.First, err)
	}
	return entries, &h, nil
}

// openForReading opens a sealed segment, in place of the one that was open.
// The caller holds files.
func (q *Queue) openForReading(s *folder.Stored) error {
	if q.read.ended {
		return bridge.ErrClosed // nobody would close it again
	}
	q.closeReading()
	file, err := segment.Open(s.Path, q.segmentSize(&q.shelf))
	if err != nil {
		return err
	}
	s.File = file
	q.read.open = s
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
func (q *Queue) endReading() {
	q.files.Lock()
	defer q.files.Unlock()
	q.closeReading()
	q.read.ended = true
}

// closeReading closes the segment that is open for reading. The caller holds
// files.
func (q *Queue) closeReading() {
	if s := q.read.open; s != nil {
		s.Close()
		q.read.open = nil
	}
}

// unreadable calls the keeper: to repair a damaged segment, or to let the lanes
// try again when what is wrong may pass.
func (q *Queue) unreadable(s *folder.Stored, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case segment.IsDamage(err), errors.Is(err, os.ErrNotExist):
		if s.Suspect == nil {
			s.Suspect = err
			q.alarmLocked(q.now())
		}
	default:
		q.log.Debug("a segment cannot be read now", "file", s.Path, "err", err)
		q.rereadAt = q.now() + int64(time.Second)
		q.alarmLocked(q.rereadAt)
	}
}
