package books

import (
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/thin"
)

// Thinning is what becomes of segments that follow one another: one with less.
type Thinning struct {
	Of    []block.Account // what they were
	To    block.Account   // what takes the place of the first of them
	Tally thin.Tally
}

// Begin notes in an index what is to become of segments. It is written before any file
// is replaced: after a cut in between a start goes on with it.
func (t *Thinning) Begin(m *Index) {
	first := t.Of[0].First
	m.Thinned = append(slices.Clone(m.Thinned), first)
	m.Segments = slices.Clone(m.Segments)
	for i := range t.Of {
		at := slices.IndexFunc(m.Segments, func(a block.Account) bool { return a.First == t.Of[i].First })
		if i == 0 {
			m.Segments[at] = t.To
			continue
		}
		m.Segments = slices.Delete(m.Segments, at, at+1)
		m.Removed = append(slices.Clone(m.Removed), t.Of[i].First)
	}
	b := Books{Index: *m}
	b.nameThinned(t)
	*m = b.Index
}

// Thin accounts for segments that are thinned, and leaves tombstones for the batches of
// which nothing is left. All of them are backlog, or none.
func (b *Books) Thin(t *Thinning) {
	made, merged := bridge.Count{Readings: t.Tally.Made}, bridge.Count{Readings: t.Tally.Merged}
	b.ledger.Thinned = b.ledger.Thinned.Add(t.Tally.Thinned)
	b.ledger.Merged = b.ledger.Merged.Add(merged)
	b.ledger.Aggregates = b.ledger.Aggregates.Add(made)
	less := func(n bridge.Count) bridge.Count { return n.Add(made).Sub(t.Tally.Thinned).Sub(merged) }
	b.ledger.Waiting = less(b.ledger.Waiting)
	if t.To.Last < b.mark {
		b.backlog = less(b.backlog)
	}
	b.Done.Add(t.To.Last+1, t.Of[len(t.Of)-1].Last+1)
	b.nameThinned(t)
}

// nameThinned leaves tombstones: of each run one.
func (b *Books) nameThinned(t *Thinning) {
	left, last := t.Tally.Thinned, t.Of[len(t.Of)-1].Last
	since, until := t.Of[0].Oldest, t.Of[0].Newest
	for i := range t.Of {
		since, until = min(since, t.Of[i].Oldest), max(until, t.Of[i].Newest)
	}
	spans := b.split([]Span{{t.Of[0].First, last + 1}})
	for i, s := range spans {
		n := left
		if i < len(spans)-1 { // how many of each run is not known, their sum is
			share := func(n uint64) uint64 { return n * uint64(s.To-s.From) / uint64(last+1-s.From) }
			n = bridge.Count{Batches: share(left.Batches), Readings: share(left.Readings)}
		}
		left = left.Sub(n)
		if n != (bridge.Count{}) {
			b.AddStone(b.stoneOf(s, n, Thinned, since, until))
		}
	}
}

// Absent takes note that of from..to-1 there are only the batches of entries: of the
// others nothing was left when they were thinned.
func (b *Books) Absent(from, to bridge.Position, entries []bridge.Entry) {
	for i := range entries {
		b.Done.Add(from, entries[i].Position)
		from = entries[i].Position + 1
	}
	b.Done.Add(from, to)
}
