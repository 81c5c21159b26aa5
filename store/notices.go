package store

import (
	"slices"
	"time"

	"fieldbridge/bridge"
)

// Runs implements [bridge.Notices].
func (q *Queue) Runs() []bridge.RunRecord {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []bridge.RunRecord
	for i := range q.meta.Runs {
		if !q.meta.Runs[i].Acked {
			out = append(out, q.meta.Runs[i].record())
		}
	}
	return out
}

// AckRuns implements [bridge.Notices].
func (q *Queue) AckRuns(runs ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.meta.Runs {
		if r := &q.meta.Runs[i]; !r.Acked && slices.Contains(runs, r.Run) {
			r.Acked = true
			q.metaDueLocked()
		}
	}
}

// metaDueLocked makes the keeper write the index.
func (q *Queue) metaDueLocked() {
	q.metaDue = true
	q.alarmLocked(q.now())
}

// Tombstones implements [bridge.Notices].
func (q *Queue) Tombstones() []bridge.Tombstone {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []bridge.Tombstone
	for i := range q.meta.Tombstones {
		s := &q.meta.Tombstones[i]
		if !s.Frozen {
			s.Frozen = true
			q.metaDueLocked()
		}
		out = append(out, s.tombstone())
	}
	return out
}

// AckTombstones implements [bridge.Notices].
func (q *Queue) AckTombstones(ids ...uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.meta.Tombstones)
	q.meta.Tombstones = slices.DeleteFunc(slices.Clone(q.meta.Tombstones), func(s stoneMeta) bool { return slices.Contains(ids, s.ID) })
	if len(q.meta.Tombstones) < n {
		q.metaDueLocked()
	}
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

// maxTombstones bounds those that are not frozen: beyond, they are merged even
// if they are no neighbours, and then say how many of their span are missing.
const maxTombstones = 500

// addStoneLocked adds a tombstone, or makes one that is there cover it, too.
func (q *Queue) addStoneLocked(s stoneMeta) {
	stones := q.meta.Tombstones
	for i := len(stones) - 1; i >= 0; i-- {
		t := &stones[i]
		if t.Frozen || t.Run != s.Run || t.Cause != s.Cause || t.Last == 0 || s.Last == 0 {
			continue
		}
		adjacent := t.Last+1 == s.First || s.Last+1 == t.First
		if !adjacent && len(stones) < maxTombstones {
			continue
		}
		t.First, t.Last = min(t.First, s.First), max(t.Last, s.Last)
		t.Count = t.Count.Add(s.Count)
		t.Since, t.Until = earliest(t.Since, s.Since), max(t.Until, s.Until)
		q.metaDueLocked()
		return
	}
	if s.Cause == causeSetAside {
		q.noticeLaterLocked()
	} else {
		q.noticeNew()
	}
	q.meta.NextTombstone++
	s.ID = q.meta.NextTombstone
	q.meta.Tombstones = append(q.meta.Tombstones, s)
	q.metaDueLocked()
}

func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Why batches are missing, as tombstones say it.
const (
	causeDamaged = "damaged"
	causeFull    = "dropped_full" // the limit of the disk
	causeAge     = "dropped_age"
	causeDisk    = "dropped_disk" // the disk does not take more, and the memory is full
	causeDead    = "dropped_dead" // dead letters over their own limit
	causePurged  = "purged"
	// A dead letter: the cloud refuses it for good, and it is kept. When it is
	// retried or dropped, another tombstone says so.
	causeSetAside = "dead"
	// A crash took them out of the memory, between others that were done; how
	// many readings they had is not known.
	causeUncommitted = "uncommitted"

	causeRetried = "retried"   // a dead letter, queued again as a batch of another run and seq
	causeForget  = "forgotten" // exported, and not sent by the wish of the user
)

// missLocked takes the batches in gaps, n together, out of those that wait, and
// leaves tombstones for them. The caller counts where they went.
func (q *Queue) missLocked(gaps []span, n bridge.Count, cause string, since, until int64) {
	if n.Batches == 0 {
		return
	}
	gaps = q.splitLocked(gaps)
	left, width := n, uint64(0)
	for _, g := range gaps {
		width += uint64(g.to - g.from)
	}
	for i, g := range gaps {
		// The readings of one gap are not known by themselves, their sum is.
		share := left
		if i < len(gaps)-1 {
			w := uint64(g.to - g.from)
			share = bridge.Count{Batches: n.Batches * w / width, Readings: n.Readings * w / width}
		}
		left = left.Sub(share)
		q.done.add(g.from, g.to)
		q.ledger.Waiting = q.ledger.Waiting.Sub(share)
		if g.from < q.mark {
			q.backlog = q.backlog.Sub(share)
		}
		stone := stoneMeta{Count: share, Cause: cause, Since: since, Until: until}
		if r := q.meta.runAt(g.from); r != nil {
			stone.Run, stone.First, stone.Last = r.Run, uint64(g.from-r.Base), uint64(g.to-1-r.Base)
		}
		q.addStoneLocked(stone)
	}
	for p := range q.claims {
		if q.done.has(p) {
			delete(q.claims, p)
		}
	}
}

// stoneAtLocked adds the tombstone of one batch. at is its acquisition in Unix
// ms, 0 if it is not known.
func (q *Queue) stoneAtLocked(p bridge.Position, n bridge.Count, cause string, at int64) {
	if r := q.meta.runAt(p); r != nil {
		seq := uint64(p - r.Base)
		q.addStoneLocked(stoneMeta{Run: r.Run, First: seq, Last: seq, Count: n, Cause: cause, Since: at, Until: at})
	}
}

// splitLocked cuts gaps where a run or the backlog ends.
func (q *Queue) splitLocked(gaps []span) (out []span) {
	for _, g := range gaps {
		cut := func(p bridge.Position) {
			if p > g.from && p < g.to {
				out = append(out, span{g.from, p})
				g.from = p
			}
		}
		for i := range q.meta.Runs {
			if q.mark <= q.meta.Runs[i].Base {
				cut(q.mark)
			}
			cut(q.meta.Runs[i].Base + 1)
		}
		cut(q.mark)
		out = append(out, g)
	}
	return out
}
