package store

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
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

// Inspect returns what is in the queue without reading its blocks.
func (q *Queue) Inspect() Report {
	size := folderSize(q.dir)
	q.mu.Lock()
	defer q.mu.Unlock()
	r := Report{Dir: q.dir, Bytes: size, Waiting: q.books.Ledger().Waiting, Dead: q.books.Ledger().Dead, MaxSize: int64(q.cfg.Load().MaxSize)}
	r.fill(q.segments, &q.books.Index, q.uptime())
	return r
}

// fill adds what the segments and the index say.
func (r *Report) fill(segments []*stored, m *books.Index, uptime int64) {
	var written bridge.Count
	var bytes int64
	for _, s := range segments {
		info := SegmentInfo{File: filepath.Base(s.path), First: s.First, Last: s.Last, Written: s.Written, Waiting: s.waiting(),
			Bytes: s.bytes, Oldest: unixMilli(s.Oldest), Newest: unixMilli(s.Newest),
			Age: time.Duration(uptime-s.Uptime) * time.Millisecond}
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
	for i := range m.Tombstones {
		r.Tombstones = append(r.Tombstones, m.Tombstones[i].Tombstone())
	}
	r.Runs = m.Runs.Untold()
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
			q.dropSegment(s, books.Purged)
		}
		n = q.Ledger().Dropped.Sub(before)
		q.nudgeBoth()
		return failed
	})
	return n, err
}
