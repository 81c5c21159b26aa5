package store

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
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
	l := &q.lanes[which]
	limit := q.books.Mark()
	if which == bridge.Fresh {
		limit = q.mem.end()
	}
	if q.cfg.Load().CommitEvery == 0 {
		limit = min(limit, q.mem.base) // only what is committed
	}
	for len(entries) < max {
		p := q.books.Done.Next(l.cursor)
		if p >= limit {
			l.cursor = p
			l.forget()
			break
		}
		if entries == nil {
			entries = make([]bridge.Entry, 0, min(max, int(min(uint64(limit-p), 1<<16))))
		}
		if p >= q.mem.base {
			l.forget()
			if it := q.mem.at(p); it.state == itemWaiting {
				it.state = itemClaimed
				entries = append(entries, bridge.Entry{Batch: it.batch, Position: p, Run: q.run, Seq: uint64(p - q.base),
					Backlog: which == bridge.Backlog, Waiting: it.safe != nil})
			}
			l.cursor = p + 1
			continue
		}
		if p < l.from || p >= l.to {
			l.cursor = p
			return entries, p
		}
		entries = q.claimFromBlockLocked(l, p, which, entries)
	}
	return entries, 0
}

// forget gives the block's memory back.
func (l *lane) forget() { l.block, l.from, l.to = nil, 0, 0 }

// claimFromBlockLocked looks at the first batch at or after p in the lane's
// block, which covers p, and claims it if it waits.
func (q *Queue) claimFromBlockLocked(l *lane, p bridge.Position, which bridge.Lane, entries []bridge.Entry) []bridge.Entry {
	if l.index >= len(l.block) || l.block[l.index].Position != p {
		l.index, _ = slices.BinarySearchFunc(l.block, p, func(e bridge.Entry, p bridge.Position) int {
			return cmp.Compare(e.Position, p)
		})
	}
	if l.index == len(l.block) {
		l.cursor = l.to
		return entries
	}
	e := &l.block[l.index]
	if e.Position != p {
		l.cursor = e.Position // there is nothing in between
		return entries
	}
	l.index++
	l.cursor = p + 1
	if _, claimed := q.claims[p]; claimed {
		return entries
	}
	q.claims[p] = uint32(len(e.Readings))
	entry := *e
	entry.Backlog = which == bridge.Backlog
	return append(entries, entry)
}

// reading is what Next needs to read blocks back.
type reading struct {
	ended   bool    // nothing is opened any more
	open    *stored // besides the writer's at most one is open
	decoder block.Decoder
	block   []byte
}

// load reads the block with the first batch on disk from p on into a lane. It
// reports false when the lane must wait until a segment has been repaired.
func (q *Queue) load(which bridge.Lane, p bridge.Position) bool {
	q.files.Lock()
	defer q.files.Unlock()
	q.mu.Lock()
	s, memory := q.shelf.from(p), q.mem.base
	if s == nil {
		// Nothing on disk from here on.
		q.loadedLocked(which, p, memory, nil)
		q.mu.Unlock()
		return true
	}
	suspect, last := s.suspect, s.Last
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
	q.loadedLocked(which, p, h.Last+1, entries)
	q.mu.Unlock()
	return true
}

func (q *Queue) loadedLocked(which bridge.Lane, from, to bridge.Position, block []bridge.Entry) {
	l := &q.lanes[which]
	l.block, l.from, l.to, l.index = block, from, to, 0
}

// readBlock reads from s the block with the first batch at or after p. The
// caller holds files.
func (q *Queue) readBlock(s *stored, p bridge.Position) ([]bridge.Entry, *block.Header, error) {
	if s.file == nil {
		if err := q.openForReading(s); err != nil {
			return nil, nil, err
		}
	}
	data, h, err := s.file.Find(p, q.read.block)
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
func (q *Queue) openForReading(s *stored) error {
	if q.read.ended {
		return bridge.ErrClosed // nobody would close it again
	}
	q.closeReading()
	file, err := segment.Open(s.path, q.segmentSize(&q.shelf))
	if err != nil {
		return err
	}
	s.file = file
	q.read.open = s
	if s.verified {
		return nil
	}
	if err := file.Check(&s.Account); err != nil {
		return err
	}
	s.verified = true
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
		s.close()
		q.read.open = nil
	}
}

// unreadable calls the keeper: to repair a damaged segment, or to let the lanes
// try again when what is wrong may pass.
func (q *Queue) unreadable(s *stored, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case segment.IsDamage(err), errors.Is(err, os.ErrNotExist):
		if s.suspect == nil {
			s.suspect = err
			q.alarmLocked(q.now())
		}
	default:
		q.log.Debug("a segment cannot be read now", "file", s.path, "err", err)
		q.rereadAt = q.now() + int64(time.Second)
		q.alarmLocked(q.rereadAt)
	}
}
