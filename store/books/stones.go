package books

import (
	"slices"

	"fieldbridge/bridge"
)

// Stone is a tombstone: what is missing, and why.
type Stone struct {
	ID       uint64          `json:"id"`
	Run      string          `json:"run"`
	First    uint64          `json:"first"`          // seq
	Last     uint64          `json:"last,omitempty"` // 0 if it is not known
	Count    bridge.Count    `json:"count"`
	Cause    string          `json:"cause"`
	Since    int64           `json:"since_ms,omitempty"` // acquisition, Unix ms; 0 if it is not known
	Until    int64           `json:"until_ms,omitempty"`
	Frozen   bool            `json:"frozen,omitempty"` // the cloud was told: it does not change any more
	Position bridge.Position `json:"position,omitempty"`
}

// Why batches are missing, as tombstones say it.
const (
	Damaged     = "damaged"
	DroppedFull = "dropped_full" // the limit of the disk
	DroppedAge  = "dropped_age"
	DroppedDisk = "dropped_disk" // the disk does not take more, and the memory is full
	DroppedDead = "dropped_dead" // dead letters over their own limit
	Purged      = "purged"
	// Dead: the cloud refuses it for good, and it is kept. When it is retried or
	// dropped, another tombstone says so.
	Dead = "dead"
	// Uncommitted: a crash took them out of the memory, between others that were
	// done; how many readings they had is not known.
	Uncommitted = "uncommitted"

	// Thinned: aggregates stand for its readings. Between first and last are those, too.
	Thinned = "thinned"

	Retried   = "retried"   // a dead letter, queued again as a batch of another run and seq
	Forgotten = "forgotten" // exported, and not sent by the wish of the user
)

// Tombstone returns what the cloud is told.
func (s *Stone) Tombstone() bridge.Tombstone {
	t := bridge.Tombstone{ID: s.ID, Run: s.Run, First: s.First, Last: s.Last, Count: s.Count, Cause: s.Cause}
	if s.Since != 0 {
		t.Since = unixMilli(s.Since)
	}
	if s.Until != 0 {
		t.Until = unixMilli(s.Until)
	}
	return t
}

// maxStones bounds those that are not frozen: beyond, they are merged even if they
// are not neighbours, and then say how many between First and Last are missing.
const maxStones = 500

// merge makes t cover s, too, if they tell the same of neighbours. With close they
// need not be neighbours.
func (t *Stone) merge(s *Stone, close bool) bool {
	if t.Frozen || t.Run != s.Run || t.Cause != s.Cause || t.Last == 0 || s.Last == 0 {
		return false
	}
	if (s.First > t.Last+1 || t.First > s.Last+1) && !close {
		return false
	}
	t.First, t.Last = min(t.First, s.First), max(t.Last, s.Last)
	t.Count = t.Count.Add(s.Count)
	t.Since, t.Until = Earliest(t.Since, s.Since), max(t.Until, s.Until)
	return true
}

// Earliest returns the earlier of two times in ms, of which 0 is not known.
func Earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// names reports whether t tells all that s does.
func (t *Stone) names(s *Stone) bool {
	if t.Run != s.Run || t.Cause != s.Cause || t.Cause == Thinned {
		return false
	}
	if s.Count.Batches == 0 { // how many they were is not known
		return t.Count.Batches == 0 && t.First == s.First && t.Last == s.Last
	}
	return t.First <= s.First && s.Last <= t.Last && t.Count.Batches == t.Last-t.First+1 // each, once
}

// AddStone adds a tombstone, or makes one that is there cover it, too. A kill after a
// tombstone was written, and before what it tells was done, has it told once more: then
// nothing is added.
func (b *Books) AddStone(s Stone) {
	stones := b.Index.Tombstones
	if slices.ContainsFunc(stones, func(t Stone) bool { return t.names(&s) }) {
		return
	}
	b.changed = true
	for i := len(stones) - 1; i >= 0; i-- {
		if stones[i].merge(&s, len(stones) >= maxStones) {
			return
		}
	}
	if s.Cause == Dead {
		b.news = max(b.news, NewsLater)
	} else {
		b.news = NewsNow
	}
	b.Index.NextTombstone++
	s.ID = b.Index.NextTombstone
	b.Index.Tombstones = append(b.Index.Tombstones, s)
}

// StoneAt adds the tombstone of one batch. at is its acquisition in Unix ms, 0 if
// it is not known.
func (b *Books) StoneAt(p bridge.Position, n bridge.Count, cause string, at int64) {
	if r := b.Index.Runs.At(p); r != nil {
		seq := uint64(p - r.Base)
		b.AddStone(Stone{Run: r.Run, First: seq, Last: seq, Count: n, Cause: cause, Since: at, Until: at})
	}
}

// Tombstones returns those that the cloud has not acknowledged, and freezes them.
func (b *Books) Tombstones() (out []bridge.Tombstone) {
	for i := range b.Index.Tombstones {
		s := &b.Index.Tombstones[i]
		if !s.Frozen {
			s.Frozen, b.changed = true, true
		}
		out = append(out, s.Tombstone())
	}
	return out
}

// AckTombstones forgets what the cloud was told.
func (b *Books) AckTombstones(ids ...uint64) {
	n := len(b.Index.Tombstones)
	b.Index.Tombstones = slices.DeleteFunc(slices.Clone(b.Index.Tombstones), func(s Stone) bool {
		return slices.Contains(ids, s.ID)
	})
	b.changed = b.changed || len(b.Index.Tombstones) < n
}

// AckRuns takes note that the cloud has the records of these runs.
func (b *Books) AckRuns(runs ...string) {
	for i := range b.Index.Runs {
		if r := &b.Index.Runs[i]; !r.Acked && slices.Contains(runs, r.Run) {
			r.Acked, b.changed = true, true
		}
	}
}
