// Package figures is what a queue tells of itself as metrics. It has no lock: its
// owner takes all of a Figures at one instant.
package figures

import (
	"time"

	"fieldbridge/bridge"
)

// Stats are counted since the start.
type Stats struct {
	Commits       uint64 // blocks
	Records       uint64 // of acknowledgements
	Indexes       uint64
	Syncs         uint64
	Bytes         uint64 // written to the disk, in whole pages
	BlockBytes    uint64
	BlockReadings uint64
	Quarantined   uint64
	Refused       uint64 // batches of sensors that wait
}

// page is what a disk is written in, in bytes.
const page = 4096

// Wrote takes note of n bytes that were written, in whole pages, with a sync. With
// replaced they are a file that took the place of another: that costs the folder's page, too,
// and its sync.
func (s *Stats) Wrote(n int, replaced bool) {
	if replaced {
		s.Syncs++
		n += page
	}
	s.Syncs++
	s.Bytes += uint64(n+page-1) / page * page
}

// Figures are those of one instant.
type Figures struct {
	Ledger   bridge.Ledger
	Backlog  bridge.Count // waiting, queued before the current connection
	Memory   bridge.Count // waiting, not on disk
	Segments int
	Bytes    int64         // of the segments on disk
	Journal  int           // memory of the journal, in bytes
	Writable bool          // the last write succeeded
	For      time.Duration // since the start
	Stats    Stats
}

// Observe calls yield with each metric.
func (f *Figures) Observe(yield func(bridge.Metric)) {
	states := []struct {
		name string
		kind bridge.MetricKind
		help string
		n    bridge.Count
	}{
		{"accepted", bridge.Counter, "appended since the start", f.Ledger.Accepted},
		{"restored", bridge.Counter, "found at the start", f.Ledger.Restored},
		{"acknowledged", bridge.Counter, "acknowledged by the cloud", f.Ledger.Acked},
		{"dropped", bridge.Counter, "dropped by the limits or the user", f.Ledger.Dropped},
		{"damaged", bridge.Counter, "that could not be read back", f.Ledger.Damaged},
		{"thinned", bridge.Counter, "that aggregates have taken the place of", f.Ledger.Thinned},
		{"dead", bridge.Gauge, "set aside as dead letters", f.Ledger.Dead},
		{"waiting", bridge.Gauge, "not yet acknowledged", f.Ledger.Waiting},
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
	yield(bridge.Metric{Name: "fieldbridge_queue_aggregates_readings_total", Kind: bridge.Counter,
		Help: "Readings of aggregates that were made.", Value: float64(f.Ledger.Aggregates.Readings)})
	yield(bridge.Metric{Name: "fieldbridge_queue_merged_readings_total", Kind: bridge.Counter,
		Help: "Readings of aggregates that became part of others.", Value: float64(f.Ledger.Merged.Readings)})
	gauge := func(name, help string, v float64) {
		yield(bridge.Metric{Name: name, Help: help, Kind: bridge.Gauge, Value: v})
	}
	counter := func(name, help string, v uint64) {
		yield(bridge.Metric{Name: name, Help: help, Kind: bridge.Counter, Value: float64(v)})
	}
	gauge("fieldbridge_queue_backlog_readings", "Waiting readings queued before the current connection.",
		float64(f.Backlog.Readings))
	gauge("fieldbridge_queue_memory_readings", "Waiting readings that are not on disk.", float64(f.Memory.Readings))
	gauge("fieldbridge_queue_journal_bytes", "Shared memory of the journal.", float64(f.Journal))
	gauge("fieldbridge_queue_segments", "Segment files.", float64(f.Segments))
	gauge("fieldbridge_queue_disk_bytes", "Disk space of the segment files.", float64(f.Bytes))
	writable := 0.0
	if f.Writable {
		writable = 1
	}
	gauge("fieldbridge_queue_writable", "1 if the last write to the disk succeeded.", writable)
	counter("fieldbridge_queue_data_blocks_total", "Blocks of readings written to the disk.", f.Stats.Commits)
	counter("fieldbridge_queue_commits_total", "What was made durable: blocks, records of acknowledgements, the index.",
		f.Stats.Commits+f.Stats.Records+f.Stats.Indexes)
	counter("fieldbridge_queue_committed_readings_total", "Readings committed to the disk.", f.Stats.BlockReadings)
	counter("fieldbridge_queue_committed_bytes_total", "Bytes of the blocks committed.", f.Stats.BlockBytes)
	counter("fieldbridge_queue_ack_records_total", "Records of acknowledgements written.", f.Stats.Records)
	counter("fieldbridge_queue_syncs_total", "Syncs of files of the queue.", f.Stats.Syncs)
	counter("fieldbridge_queue_written_bytes_total", "Bytes written to the disk, in whole pages.", f.Stats.Bytes)
	counter("fieldbridge_queue_quarantined_files_total", "Damaged files set aside.", f.Stats.Quarantined)
	counter("fieldbridge_queue_refused_batches_total", "Batches of waiting sensors refused because the queue was full.",
		f.Stats.Refused)
	yearly := float64(f.Stats.Bytes) / max(f.For.Hours(), 0.1) * 24 * 365
	gauge("fieldbridge_queue_wear_bytes_per_year", "Bytes written to the disk in a year at the rate since the start.",
		yearly)
}
