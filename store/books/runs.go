package books

import (
	"slices"
	"time"

	"fieldbridge/bridge"
)

// Run is a start of the gateway: it numbered the batches after Base.
type Run struct {
	Run          string          `json:"run"`
	Base         bridge.Position `json:"base"` // position = base + seq
	Started      int64           `json:"started_ms"`
	Previous     string          `json:"previous,omitempty"`
	PreviousLast uint64          `json:"previous_last,omitempty"`
	Acked        bool            `json:"acked,omitempty"` // the record
}

// Record returns what the cloud is told of the run.
func (r *Run) Record() bridge.RunRecord {
	return bridge.RunRecord{Run: r.Run, Started: unixMilli(r.Started), Previous: r.Previous, PreviousLast: r.PreviousLast}
}

// unixMilli returns ms as a time in UTC.
func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Runs are those with batches in the folder, or with a record that the cloud has
// not acknowledged; the oldest first.
type Runs []Run

// At returns the run that numbered position p, nil if that is not known.
func (r Runs) At(p bridge.Position) *Run {
	for i := len(r) - 1; i >= 0; i-- {
		if r[i].Base < p {
			return &r[i]
		}
	}
	return nil
}

// Named returns the run with an id, nil if it is not known.
func (r Runs) Named(run string) *Run {
	if i := slices.IndexFunc(r, func(x Run) bool { return x.Run == run }); i >= 0 {
		return &r[i]
	}
	return nil
}

// Begin adds a run that began at started, in Unix ms. last is the last position
// before it that is known to be durable or acknowledged.
func (r *Runs) Begin(run string, base, last bridge.Position, started int64) {
	next := Run{Run: run, Base: base, Started: started}
	if n := len(*r); n > 0 {
		before := &(*r)[n-1]
		next.Previous = before.Run
		if last > before.Base {
			next.PreviousLast = uint64(last - before.Base)
		}
	}
	*r = append(*r, next)
}

// Reach notes that last is known to be durable or acknowledged: the run after the one
// that numbered it says so. It reports whether that is new.
func (r Runs) Reach(last bridge.Position) bool {
	for i := len(r) - 2; i >= 0; i-- {
		if r[i].Base >= last {
			continue
		}
		// The run between them may be forgotten already: then nobody is to say it.
		if next := &r[i+1]; next.Previous == r[i].Run && last <= next.Base && uint64(last-r[i].Base) > next.PreviousLast {
			next.PreviousLast, next.Acked = uint64(last-r[i].Base), false
			return true
		}
		break
	}
	return false
}

// Learn adds a run that is known from a block alone, if it is not known yet.
// Whether the cloud has its record is not known: it is told once more.
func (r *Runs) Learn(run string, base bridge.Position, started int64) {
	if r.Named(run) != nil {
		return
	}
	at := slices.IndexFunc(*r, func(x Run) bool { return x.Base > base })
	if at < 0 {
		at = len(*r)
	}
	*r = slices.Insert(*r, at, Run{Run: run, Base: base, Started: started})
}

// Own reports whether the positions first to last are of a run that numbered from
// base. One that is not known yet is added, unless another has batches before end that
// would be its own, or numbered from the same base: a run is known before it has batches.
func (r *Runs) Own(run string, base, first, last, end bridge.Position, started int64) bool {
	rival := func(x Run) bool { return x.Base == base }
	if r.Named(run) == nil && (end > base+1 || slices.ContainsFunc(*r, rival)) {
		return false
	}
	r.Learn(run, base, started)
	a, b := r.At(first), r.At(last)
	return a == b && a.Run == run && a.Base == base
}

// Untold returns the records that the cloud has not acknowledged.
func (r Runs) Untold() (out []bridge.RunRecord) {
	for i := range r {
		if !r[i].Acked {
			out = append(out, r[i].Record())
		}
	}
	return out
}

// mostRuns bounds the run records that wait for the cloud: a gateway may start
// and die for weeks without one. Beyond, the oldest without batches go.
const mostRuns = 500

// Prune returns the runs that a batch at or after oldest or the cloud has use
// for. The newest stays, as the next one's previous.
func (r Runs) Prune(oldest bridge.Position) Runs {
	empty := func(i int) bool { return i < len(r)-1 && r[i+1].Base < oldest }
	untold := 0
	for i := range r {
		if empty(i) && !r[i].Acked {
			untold++
		}
	}
	kept := make(Runs, 0, len(r))
	for i := range r {
		if empty(i) {
			if r[i].Acked {
				continue
			}
			if untold > mostRuns {
				untold--
				continue
			}
		}
		kept = append(kept, r[i])
	}
	return kept
}
