package store

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
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

// metaDueLocked makes the keeper write the index.
func (q *Queue) metaDueLocked() {
	q.metaDue = true
	q.alarmLocked(q.now())
}

// postLocked passes on what the books have to say after they were changed: the
// index is to be written, the cloud is to be told.
func (q *Queue) postLocked() {
	if q.books.Changed() {
		q.metaDueLocked()
	}
	switch q.books.News() {
	case books.NewsNow:
		q.noticeNew()
	case books.NewsLater:
		q.noticeLaterLocked()
	}
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

func (q *Queue) noticeNew() {
	select {
	case q.notice <- struct{}{}:
	default:
	}
}

// noticeDelay is how long a dead letter waits before the cloud is told, so that
// its neighbours share a notice: a topic that is refused for good would cost one
// for each message.
const noticeDelay = time.Second

func (q *Queue) noticeLaterLocked() {
	if q.noticeAt == 0 {
		q.noticeAt = q.now() + int64(noticeDelay)
		q.alarmLocked(q.noticeAt)
	}
}

// noticeDue tells of what was held back long enough.
func (q *Queue) noticeDue() {
	q.mu.Lock()
	due := q.noticeAt != 0 && q.noticeAt <= q.now()
	if due {
		q.noticeAt = 0
	}
	q.mu.Unlock()
	if due {
		q.noticeNew()
	}
}

// dropLocked accounts for the batches in gaps, n together, that are given up for
// cause.
func (q *Queue) dropLocked(gaps []books.Span, n bridge.Count, cause string, since, until int64) {
	q.books.Drop(gaps, n, cause, since, until)
	q.lostLocked(n)
}

// damageLocked accounts for the batches in gaps, n together, that cannot be read
// any more.
func (q *Queue) damageLocked(gaps []books.Span, n bridge.Count, since, until int64) {
	q.books.Damage(gaps, n, since, until)
	q.lostLocked(n)
}

// lostLocked ends the claims of what is lost.
func (q *Queue) lostLocked(n bridge.Count) {
	q.postLocked()
	if n.Batches > 0 {
		q.mem.Lose(q.books.Done)
	}
}
