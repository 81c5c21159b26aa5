package bridgetest

import (
	"slices"

	"fieldbridge/bridge"
)

// Runs implements [bridge.Notices].
func (q *Queue) Runs() []bridge.RunRecord {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.runs)
}

// AckRuns implements [bridge.Notices].
func (q *Queue) AckRuns(runs ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.runs = slices.DeleteFunc(q.runs, func(r bridge.RunRecord) bool { return slices.Contains(runs, r.Run) })
	q.durable.runs = slices.Clone(q.runs)
}

// AddTombstone makes the queue report t.
func (q *Queue) AddTombstone(t bridge.Tombstone) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stones = append(q.stones, t)
	select {
	case q.noticed <- struct{}{}:
	default:
	}
}

// nameDeadLocked reports a dead letter, with its neighbour if that is one.
func (q *Queue) nameDeadLocked(e *bridge.Entry) {
	if n := len(q.stones); n > 0 {
		if s := &q.stones[n-1]; s.Cause == "dead" && s.Run == e.Run && s.Last+1 == e.Seq {
			s.Last, s.Count = e.Seq, s.Count.Add(countOf(e.Batch))
			return
		}
	}
	q.stones = append(q.stones, bridge.Tombstone{ID: uint64(len(q.stones) + 1), Run: e.Run,
		First: e.Seq, Last: e.Seq, Count: countOf(e.Batch), Cause: "dead"})
	select {
	case q.noticed <- struct{}{}:
	default:
	}
}

// Tombstones implements [bridge.Notices].
func (q *Queue) Tombstones() []bridge.Tombstone {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.stones)
}

// AckTombstones implements [bridge.Notices].
func (q *Queue) AckTombstones(ids ...uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stones = slices.DeleteFunc(q.stones, func(t bridge.Tombstone) bool { return slices.Contains(ids, t.ID) })
}

// Noticed implements [bridge.Notices].
func (q *Queue) Noticed() <-chan struct{} { return q.noticed }

var (
	_ bridge.Queue    = (*Queue)(nil)
	_ bridge.Notices  = (*Queue)(nil)
	_ bridge.Sink     = (*Sink)(nil)
	_ bridge.Source   = (*Source)(nil)
	_ bridge.Notebook = (*State)(nil)
	_ bridge.Format   = Format{}
)
