package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
	"fieldbridge/store/thin"
)

// thinned is what follows the name of a segment in that of the file which is to take its
// place.
const thinned = ".thin"

// Slimming makes one file of segments that follow one another, with less: what is done is
// left out, and what may be thinned is. It reads the segments without bbolt, and locks
// nothing: they are not to be written, and a file that is deleted meanwhile does no harm.
//
// One goroutine runs it. The others may hurry it, give it up, and look at what came of it
// once it has ended.
type Slimming struct {
	Segments []*Stored
	books.Thinning
	Level   int
	Written int64         // bytes
	Worth   bool          // there is a new file
	Err     error         // why there is none
	Ended   chan struct{} // closed when it has

	paths    []string
	was      []bridge.Count // what of each segment was done
	done     books.Spans
	block    bridge.Count  // how much a block has
	size     int64         // how large a segment grows, in bytes
	hurry    chan struct{} // closed: it need not spare the processor
	end      chan struct{} // closed: it is given up
	hurrying sync.Once
	ending   sync.Once
	began    time.Time // with the block that is worked on

	sources []*segment.Salvaged
	decoder block.Decoder
	encoder block.Encoder
	file    *segment.File
	batches []block.Numbered
	count   int // of their readings
	next    block.Header
	blocks  []segment.Block
}

// NewSlimming returns what thins segments to a level. done are the batches that do not
// wait, most is how much a block has, size how large a segment grows, in bytes. The caller
// holds mu.
func NewSlimming(segments []*Stored, level int, done books.Spans, most bridge.Count, size int64) *Slimming {
	s := &Slimming{Segments: segments, Level: level, done: slices.Clone(done), block: most, size: size,
		Ended: make(chan struct{}), hurry: make(chan struct{}), end: make(chan struct{})}
	for _, x := range segments {
		s.paths, s.Of, s.was = append(s.paths, x.Path), append(s.Of, x.Account), append(s.was, x.Done)
	}
	return s
}

// Untouched reports whether nothing was done of the segments since, they still are in a
// shelf, and rest. The caller holds mu.
func (s *Slimming) Untouched(sh *Shelf, rests func(*Stored) bool) bool {
	for i, x := range s.Segments {
		if !slices.Contains(sh.Segments, x) || x.Done != s.was[i] || !rests(x) {
			return false
		}
	}
	return true
}

// Hurry has it no longer rest between blocks.
func (s *Slimming) Hurry() { s.hurrying.Do(func() { close(s.hurry) }) }

// GiveUp ends it, waits for that, and removes what it made.
func (s *Slimming) GiveUp() {
	s.ending.Do(func() { close(s.end) })
	<-s.Ended
	_ = os.Remove(s.Path())
}

// Name returns the path of the first segment, for people.
func (s *Slimming) Name() string { return s.paths[0] }

var errGivenUp = errors.New("thinning is given up")

// rest is how much longer than its work a slimming that need not hurry rests.
const rest = 3

// pause rests after a block, so that who polls and delivers has the processor.
func (s *Slimming) pause() error {
	timer := time.NewTimer(rest * time.Since(s.began))
	defer timer.Stop()
	select {
	case <-s.end:
		return errGivenUp
	case <-s.hurry:
	case <-timer.C:
	}
	s.began = time.Now()
	return nil
}

// Path returns where the new file is.
func (s *Slimming) Path() string { return s.paths[0] + thinned }

// Run makes the new file by rules, of so many points at most.
func (s *Slimming) Run(rules thin.Rules, points int) {
	defer close(s.Ended)
	s.began = time.Now()
	s.Worth, s.Err = s.run(thin.New(rules, s.Level, points))
}

// run reports false, and leaves no file, when it is not worth it or impossible.
func (s *Slimming) run(t *thin.Thinner) (worth bool, err error) {
	defer func() {
		for _, f := range s.sources {
			_ = f.Close()
		}
		if s.file != nil {
			err = errors.Join(err, s.file.Close())
		}
		if err != nil || !worth {
			_ = os.Remove(s.Path())
		}
	}()
	for i, path := range s.paths {
		if err := s.open(path, &s.Of[i]); err != nil {
			return false, err
		}
	}
	err = s.each(func(_ *block.Header, e *bridge.Entry, _ int64) error {
		t.Look(e)
		return nil
	})
	if err != nil || !t.Decide() {
		return false, err
	}
	if s.file, err = segment.Create(s.Path(), s.size); err != nil {
		return false, err
	}
	first, last := &s.Of[0], &s.Of[len(s.Of)-1]
	s.To.Total = first.Total.Sub(first.Written)
	err = s.each(func(h *block.Header, e *bridge.Entry, mono int64) error {
		if e.Readings = t.Take(e); len(e.Readings) == 0 {
			return nil
		}
		return s.put(h, e, mono)
	})
	if err = errors.Join(err, s.flush(), s.write()); err != nil {
		return false, err
	}
	s.To.First, s.To.Total, s.To.Uptime = first.First, last.Total, last.Uptime
	s.To.Thinned, s.Tally = s.Level, t.Tally
	return true, nil
}

// open finds the blocks of a segment, all of them.
func (s *Slimming) open(path string, a *block.Account) error {
	f, err := segment.Salvage(path, a.First, a.Last+1)
	if err != nil {
		return err
	}
	s.sources = append(s.sources, f)
	var n bridge.Count
	for i := range f.Blocks {
		n = n.Add(f.Blocks[i].Count)
	}
	if f.Unread > 0 || n != a.Written {
		return fmt.Errorf("%s has %d readings that can be read instead of %d", path, n.Readings, a.Written.Readings)
	}
	return nil
}

// each calls visit with the batches that wait, in order.
func (s *Slimming) each(visit func(h *block.Header, e *bridge.Entry, mono int64) error) error {
	for _, f := range s.sources {
		for i := range f.Blocks {
			b := &f.Blocks[i]
			data, err := f.Read(b)
			if err != nil {
				return err
			}
			entries, mono, err := s.decoder.Decode(&b.Header, b.Payload(data))
			if err != nil {
				return err
			}
			for i := range entries {
				if s.done.Has(entries[i].Position) {
					continue
				}
				if err := visit(&b.Header, &entries[i], mono[i]); err != nil {
					return err
				}
			}
			if err := s.pause(); err != nil {
				return err
			}
		}
	}
	return nil
}

// put adds a batch. A block has those of one run.
func (s *Slimming) put(h *block.Header, e *bridge.Entry, mono int64) error {
	if len(s.batches) > 0 && (h.Run != s.next.Run || h.Owner != s.next.Owner ||
		len(s.batches) >= int(s.block.Batches) || s.count >= int(s.block.Readings)) {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if len(s.batches) == 0 {
		s.next = block.Header{Run: h.Run, Owner: h.Owner, Seq: e.Seq}
	}
	s.next.Wall, s.next.Uptime, s.next.Mono = h.Wall, h.Uptime, h.Mono
	s.batches = append(s.batches, block.Numbered{Batch: e.Batch, Position: e.Position, Mono: mono})
	s.count += len(e.Readings)
	return nil
}

// together is how many blocks are written in one transaction.
const together = 16

// flush makes a block of the batches.
func (s *Slimming) flush() error {
	if len(s.batches) == 0 {
		return nil
	}
	s.next.Before = s.To.Total
	data, err := s.encoder.Encode(&s.next, s.batches)
	if err != nil {
		return err
	}
	s.To.Take(&s.next)
	s.blocks = append(s.blocks, segment.Block{First: s.next.First, Bytes: slices.Clone(data)})
	clear(s.batches)
	s.batches, s.count = s.batches[:0], 0
	if len(s.blocks) < together {
		return nil
	}
	return s.write()
}

// write makes the blocks durable.
func (s *Slimming) write() error {
	if len(s.blocks) == 0 {
		return nil
	}
	n, err := s.file.Append(s.blocks...)
	s.Written += n
	s.blocks = nil
	return err
}

// Replace puts the new file in the place of the first segment.
func (s *Slimming) Replace() error {
	if err := os.Rename(s.Path(), s.paths[0]); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(s.paths[0]))
}

// FinishThinning puts the new files in their places of which the index says so, and
// removes those that are not complete.
func FinishThinning(dir string, m *books.Index) {
	for _, first := range m.Thinned {
		path := SegmentPath(dir, first)
		if os.Rename(path+thinned, path) == nil {
			_ = disk.SyncDir(dir) // the next index syncs it, too
		}
	}
	m.Thinned = nil
	left, _ := filepath.Glob(filepath.Join(dir, SegmentPrefix+"*"+thinned))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// current returns the path of a segment of the queue that is read without changing
// anything: that of the new file, if it is to take its place.
func current(path string, m *books.Index) string {
	first, _ := SegmentFirst(filepath.Base(path))
	if slices.Contains(m.Thinned, first) && disk.Size(path+thinned) > 0 {
		return path + thinned
	}
	return path
}

// Next returns segments that follow one another and are to be thinned next, to which of
// levels: those that were thinned least, of those the oldest. Small ones are taken together,
// up to size bytes, and more of what is made of aggregates, of which little is left. rests
// says of a segment that nobody uses it. The caller holds mu.
func (sh *Shelf) Next(levels int, size int64, rests func(*Stored) bool) (some []*Stored, level int) {
	for level = 1; level <= levels; level++ {
		bytes := int64(0)
		if level == 2 {
			size *= 4
		}
		for _, s := range sh.Segments {
			if s.Thinned < level && (some == nil || bytes+s.Bytes <= size) && rests(s) {
				some, bytes = append(some, s), bytes+s.Bytes
			} else if some != nil {
				return some, level
			}
		}
		if some != nil {
			return some, level
		}
	}
	return nil, 0
}
