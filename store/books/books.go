package books

import (
	"slices"

	"fieldbridge/bridge"
)

// Books is the account of one queue. Its owner's lock guards all of it.
type Books struct {
	// Index is what must survive the loss of any segment. What is changed in it
	// past the methods is announced by [Books.Changed].
	Index Index
	// Done are the batches that are acknowledged, dropped, dead or damaged.
	Done Spans

	ledger  bridge.Ledger
	backlog bridge.Count    // of those that wait, those below mark
	mark    bridge.Position // the first that was queued since the current connection began

	changed bool
	news    News

	// Whose tombstones are in no index on disk: those since the last Snapshot, and those
	// in one that is being written.
	untold, telling Spans
}

// News says when the cloud is to be told of something new.
type News uint8

// When the cloud is to be told.
const (
	NoNews    News = iota
	NewsLater      // in a while, with what else comes until then
	NewsNow
)

// Changed reports whether the index has changed since the last call.
func (b *Books) Changed() bool {
	was := b.changed
	b.changed = false
	return was
}

// News reports what is new since the last call.
func (b *Books) News() News {
	was := b.news
	b.news = NoNews
	return was
}

// Ledger returns the account.
func (b *Books) Ledger() bridge.Ledger { return b.ledger }

// Backlog returns what waits and was queued before the current connection.
func (b *Books) Backlog() bridge.Count { return b.backlog }

// Fresh returns what waits and was queued since the current connection began.
func (b *Books) Fresh() bridge.Count { return b.ledger.Waiting.Sub(b.backlog) }

// Mark returns the first position that was queued since the current connection.
func (b *Books) Mark() bridge.Position { return b.mark }

// SetMark begins a connection: what waits now, all of it below p, is backlog.
func (b *Books) SetMark(p bridge.Position) {
	b.mark, b.backlog = p, b.ledger.Waiting
}

// Lane returns the lane of a position.
func (b *Books) Lane(p bridge.Position) bridge.Lane {
	if p < b.mark {
		return bridge.Backlog
	}
	return bridge.Fresh
}

// Accept takes in what is appended.
func (b *Books) Accept(n bridge.Count) {
	b.ledger.Accepted = b.ledger.Accepted.Add(n)
	b.ledger.Waiting = b.ledger.Waiting.Add(n)
}

// Find takes in what was found waiting at the start, or in what was found then.
func (b *Books) Find(n bridge.Count) {
	b.backlog = b.backlog.Add(n)
	b.ledger.Restored = b.ledger.Restored.Add(n)
	b.ledger.Waiting = b.ledger.Waiting.Add(n)
}

// FindDead takes in dead letters that were found.
func (b *Books) FindDead(n bridge.Count) {
	b.ledger.Restored = b.ledger.Restored.Add(n)
	b.ledger.Dead = b.ledger.Dead.Add(n)
}

// FindDamaged takes in what must have been there and is not.
func (b *Books) FindDamaged(n bridge.Count) {
	b.ledger.Restored = b.ledger.Restored.Add(n)
	b.ledger.Damaged = b.ledger.Damaged.Add(n)
}

// The methods below say what happened to batches. Each keeps the account in balance
// by itself: what leaves one side enters the other, with as many batches and
// readings. Whether a batch may go that way is for the caller to know.

// Ack accounts for a batch that the cloud has acknowledged.
func (b *Books) Ack(p bridge.Position, n bridge.Count) {
	b.settle(p, n)
	b.ledger.Acked = b.ledger.Acked.Add(n)
}

// Bury accounts for a batch that is set aside as a dead letter. at is its
// acquisition in Unix ms, 0 if it is not known.
func (b *Books) Bury(p bridge.Position, n bridge.Count, at int64) {
	b.settle(p, n)
	b.ledger.Dead = b.ledger.Dead.Add(n)
	b.StoneAt(p, n, Dead, at)
}

// settle takes one batch out of those that wait.
func (b *Books) settle(p bridge.Position, n bridge.Count) {
	b.Done.Add(p, p+1)
	b.ledger.Waiting = b.ledger.Waiting.Sub(n)
	if p < b.mark {
		b.backlog = b.backlog.Sub(n)
	}
}

// Drop accounts for the batches in gaps, n together, that are given up, and leaves
// tombstones for them.
func (b *Books) Drop(gaps []Span, n bridge.Count, cause string, since, until int64) {
	b.miss(gaps, n, cause, since, until)
	b.ledger.Dropped = b.ledger.Dropped.Add(n)
}

// Damage accounts for the batches in gaps, n together, that cannot be read any
// more, and leaves tombstones for them.
func (b *Books) Damage(gaps []Span, n bridge.Count, since, until int64) {
	b.miss(gaps, n, Damaged, since, until)
	b.ledger.Damaged = b.ledger.Damaged.Add(n)
}

// miss takes the batches in gaps, n together, out of those that wait.
func (b *Books) miss(gaps []Span, n bridge.Count, cause string, since, until int64) {
	if n.Batches == 0 {
		return
	}
	gaps = b.split(gaps)
	left, width := n, uint64(0)
	for _, g := range gaps {
		width += uint64(g.To - g.From)
	}
	for i, g := range gaps {
		// Tombstones are of one run each, and the backlog is told apart, so a gap may
		// have become several. The readings of one gap are not known by themselves, their sum is.
		share := left
		if i < len(gaps)-1 {
			w := uint64(g.To - g.From)
			share = bridge.Count{Batches: n.Batches * w / width, Readings: n.Readings * w / width}
		}
		left = left.Sub(share)
		b.Done.Add(g.From, g.To)
		b.untold.Add(g.From, g.To)
		b.ledger.Waiting = b.ledger.Waiting.Sub(share)
		if g.From < b.mark {
			b.backlog = b.backlog.Sub(share)
		}
		b.AddStone(b.stoneOf(g, share, cause, since, until))
	}
}

// stoneOf returns the tombstone of positions that one run has numbered.
func (b *Books) stoneOf(g Span, n bridge.Count, cause string, since, until int64) Stone {
	s := Stone{Count: n, Cause: cause, Since: since, Until: until}
	if r := b.Index.Runs.At(g.From); r != nil {
		s.Run, s.First, s.Last = r.Run, uint64(g.From-r.Base), uint64(g.To-1-r.Base)
	}
	return s
}

// split cuts gaps where a run or the backlog ends.
func (b *Books) split(gaps []Span) (out []Span) {
	for _, g := range gaps {
		cut := func(p bridge.Position) {
			if p > g.From && p < g.To {
				out = append(out, Span{g.From, p})
				g.From = p
			}
		}
		for i := range b.Index.Runs {
			if b.mark <= b.Index.Runs[i].Base {
				cut(b.mark)
			}
			cut(b.Index.Runs[i].Base + 1)
		}
		cut(b.mark)
		out = append(out, g)
	}
	return out
}

// stoned returns which batches of a run tombstones tell of: a crash may come before it is
// recorded that they are done. Another run may have numbered from the same base.
func (b *Books) stoned(r *Run) (lost Spans) {
	for i := range b.Index.Tombstones {
		s := &b.Index.Tombstones[i]
		if s.Run == r.Run && s.Last > 0 && s.Cause != Dead && s.Cause != Retried { // which are to be somewhere
			lost.Add(r.Base+bridge.Position(s.First), r.Base+bridge.Position(s.Last)+1)
		}
	}
	return lost
}

// NameUncommitted leaves tombstones for what of from..to-1 is not done, although
// later batches are: a crash took them out of the memory. They never were in the
// account of this run.
func (b *Books) NameUncommitted(from, to bridge.Position) {
	for _, x := range b.split(b.Done.Missing(max(from, 1), to)) {
		r := b.Index.Runs.At(x.From)
		if r == nil {
			continue
		}
		for _, g := range b.stoned(r).Missing(x.From, x.To) {
			b.untold.Add(g.From, g.To)
			b.AddStone(b.stoneOf(g, bridge.Count{Batches: uint64(g.To - g.From)}, Uncommitted, 0, 0))
		}
	}
}

// NameLost leaves tombstones for positions from..to-1 that are neither done nor found,
// although later ones are: a crash took them out of the memory. Without a record of
// acknowledgements nothing is known of them; with a journal of run it is known of those
// below its base that they are done.
func (b *Books) NameLost(recorded bool, run string, base, from, to bridge.Position) {
	name := func(from, to bridge.Position, known bool) {
		if known && from < to {
			b.NameUncommitted(from, to)
		}
	}
	r := b.Index.Runs.Named(run)
	if r == nil || base <= r.Base {
		name(from, to, recorded)
		return
	}
	name(from, min(to, r.Base+1), recorded)
	name(max(from, base), to, true)
}

// MissAfter adds an open-ended tombstone for what may have come after position p,
// up to end if that is not 0.
func (b *Books) MissAfter(p, end bridge.Position) {
	stone := Stone{Cause: Damaged, First: 1}
	if r := b.Index.Runs.At(p + 1); r != nil {
		stone.Run, stone.First = r.Run, uint64(p+1-r.Base)
		if end > p {
			stone.Last = uint64(end - r.Base)
		}
	}
	b.AddStone(stone)
}

// Letter names a dead letter.
type Letter struct {
	Run   string
	Seq   uint64
	Count bridge.Count
	At    int64 // acquisition, Unix ms
}

func (l *Letter) stone(cause string) Stone {
	return Stone{Run: l.Run, First: l.Seq, Last: l.Seq, Count: l.Count, Cause: cause, Since: l.At, Until: l.At}
}

// DropDead accounts for a dead letter that is dropped for cause.
func (b *Books) DropDead(l Letter, cause string) {
	b.ledger.Dead = b.ledger.Dead.Sub(l.Count)
	b.ledger.Dropped = b.ledger.Dropped.Add(l.Count)
	b.AddStone(l.stone(cause))
}

// Retry accounts for a dead letter that waits once more. The readings come under
// a new name; a tombstone says so, that the old one does not look lost.
func (b *Books) Retry(l Letter) {
	b.ledger.Dead = b.ledger.Dead.Sub(l.Count)
	b.ledger.Waiting = b.ledger.Waiting.Add(l.Count)
	b.AddStone(l.stone(Retried))
}

// LoseDead accounts for dead letters that cannot be read any more.
func (b *Books) LoseDead(n bridge.Count) {
	b.ledger.Dead = b.ledger.Dead.Sub(n)
	b.ledger.Damaged = b.ledger.Damaged.Add(n)
}

// LoseBuried is LoseDead for one that was on its way to the dead letters.
func (b *Books) LoseBuried(p bridge.Position, n bridge.Count) {
	b.LoseDead(n)
	b.untold.Add(p, p+1)
	b.StoneAt(p, n, Damaged, 0)
}

// Forget takes note that nothing of from..to-1 waits: there never was anything, or
// it is known to be done.
func (b *Books) Forget(from, to bridge.Position) { b.Done.Add(from, to) }

// RunRecords returns the records of runs that the cloud has not acknowledged.
func (b *Books) RunRecords() []bridge.RunRecord { return b.Index.Runs.Untold() }

// Snapshot returns a copy of the index to be written; [Books.Told] says how that went.
// Runs that no batch at or after oldest and not the cloud has use for are forgotten,
// here too.
func (b *Books) Snapshot(oldest bridge.Position) Index {
	b.telling, b.untold = b.untold, nil
	b.Index.Runs = b.Index.Runs.Prune(oldest)
	m := b.Index
	m.Runs = slices.Clone(m.Runs)
	m.Tombstones = slices.Clone(m.Tombstones)
	return m
}

// Told says whether the last Snapshot is on disk.
func (b *Books) Told(ok bool) {
	if !ok {
		for _, x := range b.telling {
			b.untold.Add(x.From, x.To)
		}
	}
	b.telling = nil
}

// Untold returns those of Done that are missing, and whose tombstones are not on disk:
// if they are recorded as done before, a crash leaves nothing that names them.
func (b *Books) Untold() Spans { return b.untold }
