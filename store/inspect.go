package store

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// SegmentInfo is a segment, for people.
type SegmentInfo struct {
	File    string          `json:"file"`
	First   bridge.Position `json:"first"` // positions
	Last    bridge.Position `json:"last"`
	Written bridge.Count    `json:"written"`
	Waiting bridge.Count    `json:"waiting"`
	Bytes   int64           `json:"bytes"` // on disk
	Oldest  time.Time       `json:"oldest"`
	Newest  time.Time       `json:"newest"`
	Age     time.Duration   `json:"age_ns"` // of its newest block, in run time
	Damage  string          `json:"damage,omitempty"`
}

// Report is what [Queue.Inspect] finds.
type Report struct {
	Dir             string             `json:"dir"`
	Segments        []SegmentInfo      `json:"segments"`
	Waiting         bridge.Count       `json:"waiting"`
	Dead            bridge.Count       `json:"dead"`
	Bytes           int64              `json:"bytes"` // of everything in the folder
	MaxSize         int64              `json:"max_size"`
	BytesPerReading float64            `json:"bytes_per_reading"`
	Tombstones      []bridge.Tombstone `json:"tombstones"` // not yet acknowledged
	Runs            []bridge.RunRecord `json:"runs"`       // not yet acknowledged
	// FullIn is when max_size is reached at the rate of the segments on disk; 0
	// if that cannot be said.
	FullIn time.Duration `json:"full_in_ns,omitempty"`
}

// OpenStopped opens the folder of a gateway that does not run, to look at it:
// [Queue.Inspect], [Queue.Verify], [Queue.Entries] and [Queue.Dead] work, and
// nothing is changed. It begins no run. [Queue.Close] gives the folder back.
func OpenStopped(cfg Config) (*Queue, error) {
	if _, err := os.Stat(string(cfg.Dir)); err != nil {
		return nil, err
	}
	q := newQueue(cfg, nil)
	file, err := disk.Lock(q.dir)
	if err != nil {
		return nil, err
	}
	q.keep.lock = file
	m, _, err := readMeta(q.dir)
	if err != nil {
		file.Close()
		return nil, err
	}
	q.meta, q.before = m, m.Uptime
	a, acks, _ := openAcks(filepath.Join(q.dir, "acks"))
	q.keep.acks = a
	q.done = acks.done
	q.before = max(q.before, acks.uptime)
	q.listSegments(&acks)
	q.withDead(false, func(db *bolt.DB) error { return countDead(db, &q.ledger.Dead) })
	q.mem.base = max(q.done.end(), 1)
	for _, s := range q.segments {
		q.before = max(q.before, s.Uptime)
		q.mem.base = max(q.mem.base, s.Last+1)
		q.ledger.Waiting = q.ledger.Waiting.Add(s.waiting())
	}
	close(q.ended) // there is no keeper
	return q, nil
}

// listSegments finds the segments without repairing any.
func (q *Queue) listSegments(acks *ackRecord) {
	names, _ := os.ReadDir(q.dir)
	for _, e := range names {
		first, ok := segmentFirst(e.Name())
		if !ok {
			continue
		}
		s := &stored{path: filepath.Join(q.dir, e.Name()), Account: block.Account{First: first}}
		i := slices.IndexFunc(q.meta.Segments, func(m block.Account) bool { return m.First == first })
		if i >= 0 {
			s.Account = q.meta.Segments[i]
		} else {
			file, err := segment.Look(s.path, q.cfg.Load().segmentSize())
			if err == nil {
				s.Account, err = file.Survey(first, block.MaxPosition)
			}
			file.Close()
			s.suspect = err
		}
		s.bytes = disk.Size(s.path)
		if s.Written.Batches > 0 {
			q.countDone(s, acks)
		}
		q.segments = append(q.segments, s)
	}
	slices.SortFunc(q.segments, func(a, b *stored) int { return cmp.Compare(a.First, b.First) })
}

// Inspect returns what is in the queue without reading its blocks.
func (q *Queue) Inspect() Report {
	size := folderSize(q.dir)
	q.mu.Lock()
	defer q.mu.Unlock()
	r := Report{Bytes: size, Dir: q.dir, Waiting: q.ledger.Waiting, Dead: q.ledger.Dead, MaxSize: int64(q.cfg.Load().MaxSize)}
	var written bridge.Count
	var bytes int64
	for _, s := range q.segments {
		info := SegmentInfo{File: filepath.Base(s.path), First: s.First, Last: s.Last, Written: s.Written, Waiting: s.waiting(),
			Bytes: s.bytes, Oldest: unixMilli(s.Oldest), Newest: unixMilli(s.Newest), Age: time.Duration(q.uptime()-s.Uptime) * time.Millisecond}
		if s.suspect != nil {
			info.Damage = s.suspect.Error()
		}
		written = written.Add(s.Written)
		bytes += s.bytes
		r.Segments = append(r.Segments, info)
	}
	if written.Readings > 0 {
		r.BytesPerReading = float64(bytes) / float64(written.Readings)
	}
	if n := len(r.Segments); n > 0 {
		r.FullIn = fullIn(r.Segments[n-1].Newest.Sub(r.Segments[0].Oldest), bytes, r.MaxSize-r.Bytes)
	}
	for i := range q.meta.Tombstones {
		r.Tombstones = append(r.Tombstones, q.meta.Tombstones[i].tombstone())
	}
	for i := range q.meta.Runs {
		if !q.meta.Runs[i].Acked {
			r.Runs = append(r.Runs, q.meta.Runs[i].record())
		}
	}
	return r
}

func folderSize(dir string) (total int64) {
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				total += disk.Allocated(info)
			}
		}
		return nil
	})
	return total
}

// Purge drops everything that waits and is not in flight, and returns how much
// that was.
func (q *Queue) Purge(ctx context.Context) (n bridge.Count, err error) {
	err = q.ask(ctx, func() error {
		before := q.Ledger().Dropped
		failed := q.tend(true)
		for s := q.oldestIdle(); s != nil; s = q.oldestIdle() {
			q.dropSegment(s, causePurged)
		}
		n = q.Ledger().Dropped.Sub(before)
		q.nudgeBoth()
		return failed
	})
	return n, err
}
