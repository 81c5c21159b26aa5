package store

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/folder"
)

// stats are counted since the start.
type stats struct {
	commits       uint64 // blocks
	records       uint64 // of acknowledgements
	indexes       uint64
	syncs         uint64
	bytes         uint64 // written to the disk, in whole pages
	blockBytes    uint64
	blockReadings uint64
	quarantined   uint64
	refused       uint64 // batches of sensors that wait
}

// Status is how the queue is doing, for people.
type Status struct {
	Dir     string        `json:"dir"`
	Run     string        `json:"run"`
	Ledger  bridge.Ledger `json:"ledger"`
	Fresh   bridge.Count  `json:"fresh"`   // waiting, queued since the current connection began
	Backlog bridge.Count  `json:"backlog"` // waiting, queued before
	Memory  bridge.Count  `json:"memory"`  // waiting, not on disk

	Segments int   `json:"segments"`
	Bytes    int64 `json:"bytes"` // of the segments on disk
	MaxSize  int64 `json:"max_size"`
	// FullIn is when max_size is reached at the rate of the segments on disk; 0
	// if that cannot be said.
	FullIn time.Duration `json:"full_in_ns,omitempty"`
	// Oldest and Newest are acquisition times in the segments on disk.
	Oldest  time.Time `json:"oldest,omitzero"`
	Newest  time.Time `json:"newest,omitzero"`
	Commits uint64    `json:"commits"` // blocks written
	Syncs   uint64    `json:"syncs"`
	Written uint64    `json:"written_bytes"` // to the disk, in whole pages
}

// Status returns how the queue is doing.
func (q *Queue) Status() Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Status{Dir: q.shelf.Dir, Run: q.run, Ledger: q.books.Ledger(), Backlog: q.books.Backlog(), Fresh: q.books.Fresh(), Memory: q.mem.Pending(),
		MaxSize: int64(q.cfg.Load().MaxSize), Segments: len(q.shelf.Segments), Commits: q.stats.commits, Syncs: q.stats.syncs, Written: q.stats.bytes}
	for i, seg := range q.shelf.Segments {
		s.Bytes += seg.Bytes
		if oldest := unixMilli(seg.Oldest); i == 0 || oldest.Before(s.Oldest) {
			s.Oldest = oldest
		}
		if newest := unixMilli(seg.Newest); i == 0 || newest.After(s.Newest) {
			s.Newest = newest
		}
	}
	s.FullIn = folder.FullIn(s.Newest.Sub(s.Oldest), s.Bytes, s.MaxSize-s.Bytes)
	return s
}

// Observe implements [bridge.Observable]. All values are of one instant.
func (q *Queue) Observe(yield func(bridge.Metric)) {
	q.mu.Lock()
	l, backlog, pending, st := q.books.Ledger(), q.books.Backlog(), q.mem.Pending(), q.stats
	segments, bytes := len(q.shelf.Segments), int64(0)
	for _, s := range q.shelf.Segments {
		bytes += s.Bytes
	}
	healthy := !q.conditions.Has(condition.QueueUnwritable, subject)
	q.mu.Unlock()

	states := []struct {
		name string
		kind bridge.MetricKind
		help string
		n    bridge.Count
	}{
		{"accepted", bridge.Counter, "appended since the start", l.Accepted},
		{"restored", bridge.Counter, "found at the start", l.Restored},
		{"acknowledged", bridge.Counter, "acknowledged by the cloud", l.Acked},
		{"dropped", bridge.Counter, "dropped by the limits or the user", l.Dropped},
		{"damaged", bridge.Counter, "that could not be read back", l.Damaged},
		{"dead", bridge.Gauge, "set aside as dead letters", l.Dead},
		{"waiting", bridge.Gauge, "not yet acknowledged", l.Waiting},
	}
	for _, unit := range []string{"batches", "readings"} {
		for _, s := range states {
			name, v := "fieldbridge_queue_"+s.name+"_"+unit, s.n.Batches
			if unit == "readings" {
				v = s.n.Readings
			}
			help := "Readings " + s.help + "."
			if unit == "batches" {
				help = "Batches " + s.help + "."
			}
			if s.kind == bridge.Counter {
				name += "_total"
			}
			yield(bridge.Metric{Name: name, Help: help, Kind: s.kind, Value: float64(v)})
		}
	}
	gauge := func(name, help string, v float64) {
		yield(bridge.Metric{Name: name, Help: help, Kind: bridge.Gauge, Value: v})
	}
	counter := func(name, help string, v uint64) {
		yield(bridge.Metric{Name: name, Help: help, Kind: bridge.Counter, Value: float64(v)})
	}
	gauge("fieldbridge_queue_backlog_readings", "Waiting readings queued before the current connection.", float64(backlog.Readings))
	gauge("fieldbridge_queue_memory_readings", "Waiting readings that are not on disk.", float64(pending.Readings))
	gauge("fieldbridge_queue_segments", "Segment files.", float64(segments))
	gauge("fieldbridge_queue_disk_bytes", "Disk space of the segment files.", float64(bytes))
	writable := 0.0
	if healthy {
		writable = 1
	}
	gauge("fieldbridge_queue_writable", "1 if the last write to the disk succeeded.", writable)
	counter("fieldbridge_queue_data_blocks_total", "Blocks of readings written to the disk.", st.commits)
	counter("fieldbridge_queue_commits_total", "What was made durable: blocks, records of acknowledgements, the index.", st.commits+st.records+st.indexes)
	counter("fieldbridge_queue_committed_readings_total", "Readings committed to the disk.", st.blockReadings)
	counter("fieldbridge_queue_committed_bytes_total", "Bytes of the blocks committed.", st.blockBytes)
	counter("fieldbridge_queue_ack_records_total", "Records of acknowledgements written.", st.records)
	counter("fieldbridge_queue_syncs_total", "Syncs of files of the queue.", st.syncs)
	counter("fieldbridge_queue_written_bytes_total", "Bytes written to the disk, in whole pages.", st.bytes)
	counter("fieldbridge_queue_quarantined_files_total", "Damaged files set aside.", st.quarantined)
	counter("fieldbridge_queue_refused_batches_total", "Batches of waiting sensors refused because the queue was full.", st.refused)
	yearly := float64(st.bytes) / max(time.Since(q.started).Hours(), 0.1) * 24 * 365
	gauge("fieldbridge_queue_wear_bytes_per_year", "Bytes written to the disk in a year at the rate since the start.", yearly)
}

// unixMilli returns ms as a time in UTC.
func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
