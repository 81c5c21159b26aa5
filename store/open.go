package store

import (
	"errors"
	"log/slog"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/disk"
	"fieldbridge/store/flash"
	"fieldbridge/store/folder"
	"fieldbridge/store/journal"
	"fieldbridge/store/memory"
	"fieldbridge/store/terms"
)

// Open opens the queue in cfg.Dir, which it makes when it does not exist, and
// begins a run. Damaged files are set aside, reported and counted. A disk that
// is full, read-only or broken is reported and tried again: until then the
// newest readings are in memory. The only errors are a [disk.LockedError] and a
// [NewerFormatError].
//
// Open starts the goroutine that commits; [Queue.Close] ends it.
func Open(cfg terms.Config, log *slog.Logger) (*Queue, error) { return OpenWatched(cfg, log, nil) }

// OpenWatched is Open for who watches the keeper: it tells p that it moves, while it
// looks at damaged files at the start, too.
func OpenWatched(cfg terms.Config, log *slog.Logger, p bridge.Pulses) (*Queue, error) {
	q := newQueue(cfg, log)
	q.keep.pulse = p.Of("committer")
	q.run = folder.NewRun()
	failed := disk.MakeDir(q.shelf.Dir)
	file, err := disk.Lock(q.shelf.Dir)
	if err != nil {
		return nil, err
	}
	q.keep.lock = file
	indexed, err := q.keep.openMeta()
	if err != nil {
		_ = disk.Unlock(file)
		return nil, err
	}
	disk.RemoveLeftovers(q.shelf.Dir)
	folder.FinishThinning(q.shelf.Dir, &q.books.Index)
	acks := q.keep.openAcks()
	q.keep.openSegments(&acks, indexed)
	q.books.Index.Removed = nil
	found := q.keep.openJournal()
	q.keep.letters.openLetters(found)
	q.keep.openOrigins()
	safe := max(q.books.Done.End(), q.shelf.End()) // of what is durable
	q.keep.takeOver(found)
	q.keep.begin(&acks, found, safe)
	q.origins.Begin(&q.books.Index, q.books.Ledger().Dead.Batches == 0, q.run, cfg.Origin)
	q.flash = flash.Open(cfg.FlashBudget.Bytes, cfg.FlashBudget.In(), q.books.Index.Flash, q.uptime())
	q.metaDue = true
	// The index knows a run before its batches are restored, and how far it got after.
	failed = errors.Join(failed, q.keep.writeOrigins(), q.keep.writeMeta(), q.keep.restore(), q.keep.record(true))
	q.keep.wrote(true, failed)
	q.noticeNew() // the run record
	go q.keep.keeping()
	return q, nil
}

func newQueue(cfg terms.Config, log *slog.Logger) *Queue {
	c := &core{log: log, shelf: folder.Shelf{Dir: string(cfg.Dir)}, started: time.Now(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), notice: make(chan struct{}, 1),
		nudges: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		mem:    memory.New("", 0), journal: new(journal.Log)}
	k := &keeper{core: c, asks: make(chan func()), ended: make(chan struct{}), block: cfg.Block(),
		letters: letters{most: uint64(cfg.MemoryMost() / 8)}}
	k.letters.k, k.thin.k = k, k
	c.cfg.Store(&cfg)
	return &Queue{core: c, keep: k}
}
