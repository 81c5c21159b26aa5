package store

import (
	"errors"
	"log/slog"
	"time"

	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/memory"
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
	q.run = folder.NewRun()
	failed := disk.MakeDir(q.shelf.Dir)
	file, err := disk.Lock(q.shelf.Dir)
	if err != nil {
		return nil, err
	}
	q.keep.lock = file
	indexed, err := q.keep.openMeta()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	disk.RemoveLeftovers(q.shelf.Dir)
	acks := q.keep.openAcks()
	q.keep.openSegments(&acks, indexed)
	q.books.Index.Removed = nil
	q.keep.letters.openLetters()
	safe := max(q.books.Done.End(), q.shelf.End()) // of what is durable
	found := q.keep.openJournal()
	q.keep.begin(&acks, found, safe)
	q.metaDue = true
	// The index knows a run before its batches are restored, and how far it got after.
	failed = errors.Join(failed, q.keep.writeMeta(), q.keep.restore())
	q.keep.wrote(true, failed)
	q.noticeNew() // the run record
	go q.keep.keeping()
	return q, nil
}

func newQueue(cfg Config, log *slog.Logger) *Queue {
	c := &core{log: log, shelf: folder.Shelf{Dir: string(cfg.Dir)}, started: time.Now(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), notice: make(chan struct{}, 1),
		nudges: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		mem:    memory.New("", 0), journal: new(journal.Log)}
	k := &keeper{core: c, asks: make(chan func()), ended: make(chan struct{}),
		blockReadings: mostReadings, letters: letters{most: lettersCost}}
	k.letters.k = k
	c.cfg.Store(&cfg)
	return &Queue{core: c, keep: k}
}
