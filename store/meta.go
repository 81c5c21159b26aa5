package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
)

// formatVersion is the version of the folder's layout. A newer one is refused, and
// an older one is read. Version 2 has blocks of version 2.
const formatVersion = 2

const metaFile = "meta"

// meta is what must survive the loss of any segment. It is replaced whole at
// each start, rotation, tombstone and acknowledged notice, never per commit.
type meta struct {
	Format int   `json:"format"`
	Uptime int64 `json:"uptime_ms"` // run time of the folder
	// Runs are those with batches in the folder, or with a record that the
	// cloud has not acknowledged; the oldest first.
	Runs          []runMeta       `json:"runs"`
	Tombstones    []stoneMeta     `json:"tombstones,omitempty"`
	NextTombstone uint64          `json:"next_tombstone"`
	Segments      []block.Account `json:"segments,omitempty"` // those that are sealed
	// Writer is the segment that was being written then, 0 for none.
	Writer bridge.Position `json:"writer,omitempty"`
	// Before is what was in all blocks before those of Writer.
	Before bridge.Count `json:"before,omitzero"`
	Dead   deadMeta     `json:"dead,omitzero"`
	// Removed are segments that are accounted for and about to be deleted.
	Removed []bridge.Position `json:"removed,omitempty"`
}

type runMeta struct {
	Run          string          `json:"run"`
	Base         bridge.Position `json:"base"` // position = base + seq
	Started      int64           `json:"started_ms"`
	Previous     string          `json:"previous,omitempty"`
	PreviousLast uint64          `json:"previous_last,omitempty"`
	Acked        bool            `json:"acked,omitempty"` // the record
}

func (r *runMeta) record() bridge.RunRecord {
	return bridge.RunRecord{Run: r.Run, Started: unixMilli(r.Started), Previous: r.Previous, PreviousLast: r.PreviousLast}
}

type stoneMeta struct {
	ID       uint64          `json:"id"`
	Run      string          `json:"run"`
	First    uint64          `json:"first"`
	Last     uint64          `json:"last,omitempty"`
	Count    bridge.Count    `json:"count"`
	Cause    string          `json:"cause"`
	Since    int64           `json:"since_ms,omitempty"`
	Until    int64           `json:"until_ms,omitempty"`
	Frozen   bool            `json:"frozen,omitempty"`
	Position bridge.Position `json:"position,omitempty"` // of Last, to find neighbours
}

func (s *stoneMeta) tombstone() bridge.Tombstone {
	t := bridge.Tombstone{ID: s.ID, Run: s.Run, First: s.First, Last: s.Last, Count: s.Count, Cause: s.Cause}
	if s.Since != 0 {
		t.Since = unixMilli(s.Since)
	}
	if s.Until != 0 {
		t.Until = unixMilli(s.Until)
	}
	return t
}

// NewerFormatError is why [Open] refuses a folder that a newer program wrote.
type NewerFormatError struct {
	Dir    string
	Format int
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("open queue %s: its format is version %d, this program knows %d: it is left as it is; run the newer program, or give this one another folder",
		e.Dir, e.Format, formatVersion)
}

// readMeta returns the meta file's content; found is false when there is none.
func readMeta(dir string) (m meta, found bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, true, err
	}
	value, ok := disk.Unframe(data)
	if !ok {
		return m, true, block.ErrChecksum
	}
	if err := json.Unmarshal(value, &m); err != nil {
		return meta{}, true, err
	}
	if m.Format > formatVersion {
		return m, true, &NewerFormatError{dir, m.Format}
	}
	return m, true, nil
}

// write replaces the meta file and returns the bytes written.
func (m *meta) write(dir string) (int, error) { return m.writeAs(dir, formatVersion) }

func (m *meta) writeAs(dir string, format int) (int, error) {
	m.Format = format
	value, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("write queue index: %w", err)
	}
	data := disk.Frame(value)
	if err := disk.Replace(filepath.Join(dir, metaFile), data); err != nil {
		return 0, fmt.Errorf("write queue index: %w", err)
	}
	return len(data), nil
}

// runAt returns the run that numbered position p.
func (m *meta) runAt(p bridge.Position) *runMeta {
	for i := len(m.Runs) - 1; i >= 0; i-- {
		if m.Runs[i].Base < p {
			return &m.Runs[i]
		}
	}
	return nil
}

// newRun adds a run that begins now.
func (m *meta) newRun(run string, base, last bridge.Position) {
	r := runMeta{Run: run, Base: base, Started: time.Now().UnixMilli()}
	if n := len(m.Runs); n > 0 {
		r.Previous = m.Runs[n-1].Run
		if last > m.Runs[n-1].Base {
			r.PreviousLast = uint64(last - m.Runs[n-1].Base)
		}
	}
	m.Runs = append(m.Runs, r)
}

// mostRuns bounds the run records that wait for the cloud: a gateway may start
// and die for weeks without one. Beyond, the oldest without batches go.
const mostRuns = 500

// prune forgets runs that neither a batch at or after oldest nor the cloud has
// use for. The newest stays, as the next one's previous.
func (m *meta) prune(oldest bridge.Position) {
	empty := func(i int) bool { return i < len(m.Runs)-1 && m.Runs[i+1].Base < oldest }
	untold := 0
	for i := range m.Runs {
		if empty(i) && !m.Runs[i].Acked {
			untold++
		}
	}
	kept := make([]runMeta, 0, len(m.Runs))
	for i := range m.Runs {
		if empty(i) {
			if m.Runs[i].Acked {
				continue
			}
			if untold > mostRuns {
				untold--
				continue
			}
		}
		kept = append(kept, m.Runs[i])
	}
	m.Runs = kept
}
