package store

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
	"fieldbridge/store/segment"
)

// Open opens the queue in cfg.Dir, which it makes when it does not exist, and
// begins a run. Damaged files are set aside, reported and counted. A disk that
// is full, read-only or broken is reported and tried again: until then the
// newest readings are in memory. The only errors are a [disk.LockedError] and a
// [NewerFormatError].
//
// Open starts the goroutine that commits; [Queue.Close] ends it.
func Open(cfg Config, log *slog.Logger) (*Queue, error) {
	q := newQueue(cfg, log)
	q.run = newRunID()
	var failed error
	if err := os.MkdirAll(q.shelf.Dir, 0o700); err != nil {
		failed = err
	}
	file, err := disk.Lock(q.shelf.Dir)
	if err != nil {
		return nil, err
	}
	q.keep.lock = file
	found, err := q.openMeta()
	if err != nil {
		file.Close()
		return nil, err
	}
	disk.RemoveLeftovers(q.shelf.Dir)
	acks := q.openAcks()
	q.openSegments(&acks, found)
	q.books.Index.Removed = nil
	q.openLetters()
	q.begin(&acks)
	q.metaDue = true
	failed = errors.Join(failed, q.writeMeta())
	q.wrote(true, failed)
	q.noticeNew() // the run record
	go q.keeping()
	return q, nil
}

func newQueue(cfg Config, log *slog.Logger) *Queue {
	q := &Queue{
		log: log, shelf: folder.Shelf{Dir: string(cfg.Dir)}, started: time.Now(),
		wake: make(chan struct{}, 1), asks: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{}),
		nudges: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		notice: make(chan struct{}, 1),
		mem:    memory.New("", 0), keep: keeper{blockReadings: mostReadings}, letters: letters{most: lettersCost},
	}
	q.cfg.Store(&cfg)
	return q
}

// newRunID returns 40 random bits as 8 letters and digits: unique without a
// clock, a counter or a disk.
func newRunID() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// openMeta reads the index. Without one, or with one that is damaged, the
// segments themselves are read.
func (q *Queue) openMeta() (found bool, err error) {
	m, found, err := folder.ReadIndex(q.shelf.Dir)
	var newer *folder.NewerFormatError
	switch {
	case errors.As(err, &newer):
		return false, newer
	case err != nil:
		q.quarantine(filepath.Join(q.shelf.Dir, folder.IndexFile), fmt.Errorf("the index of the queue is damaged: %w", err))
		return false, nil
	}
	q.books.Index, q.before = m, m.Uptime
	return found, nil
}

func (q *Queue) openAcks() books.Record {
	path := filepath.Join(q.shelf.Dir, "acks")
	a, r, err := folder.OpenAcks(path)
	if err != nil {
		a.Abandon()
		q.quarantine(path, fmt.Errorf("the record of acknowledgements is damaged, what was acknowledged is sent again: %w", err))
	}
	q.keep.acks = a
	q.books.Done = r.Done
	q.before = max(q.before, r.Uptime)
	return r
}

// openSegments finds the segments. Those in the index are not opened; the
// others, normally the newest alone, are read.
func (q *Queue) openSegments(acks *books.Record, indexed bool) {
	found, missing := q.shelf.List(q.books.Index.Segments)
	found = slices.DeleteFunc(found, func(s *folder.Stored) bool {
		removed := slices.Contains(q.books.Index.Removed, s.First)
		if removed {
			os.Remove(s.Path)
		}
		return removed
	})
	q.shelf.Segments = found
	q.missSegments(missing, acks)
	q.shelf.Segments = nil
	q.openShelf(&q.shelf, found, !indexed)
	for _, s := range q.shelf.Segments {
		q.books.Done = s.CountDone(q.books.Done, acks)
	}
}

// openShelf takes over the segments that were found. Those of which nothing is
// known are read, and the newest is written to again if it is right and has room.
func (q *Queue) openShelf(sh *folder.Shelf, found []*folder.Stored, learnRuns bool) {
	for i, s := range found {
		limit := block.MaxPosition
		if i+1 < len(found) {
			limit = found[i+1].First
		}
		if s.Last == 0 {
			q.surveySegment(sh, s, limit, learnRuns)
		}
		if s.Written.Batches == 0 && s.Suspect == nil {
			s.Close()
			os.Remove(s.Path) // made, and then the power was cut; or set aside
			continue
		}
		sh.Segments = append(sh.Segments, s)
		q.before = max(q.before, s.Uptime)
	}
	for i, s := range sh.Segments {
		if i == len(sh.Segments)-1 && s.Suspect == nil {
			q.openWriter(sh, s)
		} else {
			s.Close()
		}
	}
}

// surveySegment reads a segment that is not in the index.
func (q *Queue) surveySegment(sh *folder.Shelf, s *folder.Stored, limit bridge.Position, learnRuns bool) {
	var found block.Account
	file, err := segment.Open(s.Path, q.segmentSize(sh))
	if err == nil {
		found, err = file.Survey(s.First, limit)
	}
	if err != nil {
		file.Close()
		q.salvageUnknown(sh, s, limit, err)
		return
	}
	s.File, s.Verified, s.Account = file, true, found
	if learnRuns {
		q.learnRuns(s)
	}
}

// openWriter goes on with a segment, the newest, if it has room.
func (q *Queue) openWriter(sh *folder.Shelf, s *folder.Stored) {
	size := q.segmentSize(sh)
	if s.Bytes > size*7/8 {
		s.Close()
		return
	}
	var err error
	if s.File == nil {
		if s.File, err = segment.Open(s.Path, size); err == nil {
			err = s.File.Check(&s.Account)
		}
	}
	if err != nil {
		s.Close()
		if segment.IsDamage(err) {
			s.Suspect = err
		}
		return
	}
	s.Verified = true
	sh.Writer = s
}

// begin numbers on from what was found and begins the run.
func (q *Queue) begin(acks *books.Record) {
	last := bridge.Position(0)
	if e := q.books.Done.End(); e > 0 {
		last = e - 1
	}
	if n := len(q.shelf.Segments); n > 0 {
		last = max(last, q.shelf.Segments[n-1].Last)
	}
	base := last
	if acks.Next > 0 {
		base = max(base, acks.Next-1)
	}
	if n := len(q.books.Index.Runs); n > 0 {
		base = max(base, q.books.Index.Runs[n-1].Base)
	}
	// Between the segments there is nothing.
	from := bridge.Position(0)
	for _, s := range q.shelf.Segments {
		q.nameUncommitted(acks, from, s.First)
		q.books.Forget(from, s.First)
		from = s.Last + 1
		q.books.Find(s.Waiting())
	}
	q.nameUncommitted(acks, from, last+1)
	q.books.Forget(from, base+1)
	q.mem = memory.New(q.run, base)
	q.books.SetMark(q.mem.Base())
	q.books.Index.Runs.Begin(q.run, base, last, time.Now().UnixMilli())
}

// nameUncommitted leaves tombstones for positions from..to-1 that are neither
// done nor on disk, although later ones are: a crash took them out of the
// memory. Without a record of acknowledgements nothing is known of them.
func (q *Queue) nameUncommitted(acks *books.Record, from, to bridge.Position) {
	if acks.Next != 0 && from < to {
		q.books.NameUncommitted(from, to)
		q.postLocked()
	}
}

// OpenStopped opens the folder of a gateway that does not run, for reading. It
// returns a [disk.LockedError] if one does, and a [folder.NewerFormatError].
func OpenStopped(cfg Config) (*folder.Reader, error) {
	return folder.OpenReader(string(cfg.Dir), folder.Limits{Size: int64(cfg.MaxSize), Segment: cfg.segmentSize()})
}
