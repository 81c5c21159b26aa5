package store

import (
	"fieldbridge/bridge"
)

// Runs implements [bridge.Notices].
func (q *Queue) Runs() []bridge.RunRecord {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.books.Index.Runs.Untold()
}

// AckRuns implements [bridge.Notices].
func (q *Queue) AckRuns(runs ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.books.AckRuns(runs...)
	q.postLocked()
}

// Tombstones implements [bridge.Notices].
func (q *Queue) Tombstones() []bridge.Tombstone {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.postLocked()
	return q.books.Tombstones()
}

// AckTombstones implements [bridge.Notices].
func (q *Queue) AckTombstones(ids ...uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.books.AckTombstones(ids...)
	q.postLocked()
}

// Noticed implements [bridge.Notices].
func (q *Queue) Noticed() <-chan struct{} { return q.notice }
