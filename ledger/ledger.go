// Package ledger checks a gateway's promise from the cloud's side: it reads
// nothing but the messages that arrived and tells, for each run of each gateway,
// which batches are there, which came twice, which are missing, and whether
// something names what is missing.
//
// It shares no code with the gateway on purpose, so that what it finds does not
// depend on what the gateway believes.
//
// Every run numbers its batches from 1. A number that never arrived is a gap. A
// gap is
//
//   - named, if a tombstone (a status message of type "lost") covers it;
//   - uncommitted, if it is above the last number that the next run knows to have
//     been durable ("previous_last" in its record): a kill or a power cut took what
//     was not yet on disk, as docs/delivery.md says;
//   - before the log, if the messages do not reach back to the run's begin and
//     the reader has said so ([Ledger.Partial]);
//   - unnamed otherwise: something was lost silently.
//
// The same (run, seq) with two contents is a conflict, but where a tombstone of cause
// "thinned" covers it: there aggregates may have come for what had arrived, and was not
// acknowledged, before. Unnamed gaps and conflicts
// break the promise.
package ledger

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"

	"fieldbridge/order"
)

// chunkSize is how many neighbouring seqs are kept together.
const chunkSize = 256

// chunk says which of its seqs were seen, and with what content. A content is
// kept as 32 bits of a hash, so that a million batches take 4 MB: two different
// contents are taken for the same once in 4 billion times.
type chunk struct {
	seen    [chunkSize / 64]uint64
	content [chunkSize]uint32
}

// run is what is known of one run.
type run struct {
	chunks     map[uint64]*chunk // by seq / chunkSize
	batches    uint64
	duplicates uint64
	conflicts  map[uint64]uint64 // how often, by seq; no more than keptConflicts
	conflicted uint64            // that of others
	first      uint64
	last       uint64

	recorded     bool   // its own record was seen
	previousLast uint64 // the largest that a following run told
	followed     bool   // a following run's record was seen
	order        int    // in which runs were first seen
	stones       []stone
}

// stone is a tombstone.
type stone struct {
	first, last uint64 // last is the largest number if the end is not known
	cause       string
}

// maxConflicts is how many conflicting seqs of one run are told one by one.
const maxConflicts = 100

// keptConflicts is of how many it is known that a tombstone covers them.
const keptConflicts = 10_000

// name is a run's.
type name struct{ gateway, run string }

// Ledger collects messages. The zero value is ready. It is for one goroutine.
type Ledger struct {
	// Partial says that the messages do not reach back to the begin of each
	// run: what is missing before the first batch of a run, whose record is not
	// among the messages either, is not a gap.
	Partial bool

	runs     map[name]*run
	messages uint64
	status   uint64
	others   uint64
	bad      []Unreadable
	unread   uint64
}

func (l *Ledger) run(gateway, id string) *run {
	n := name{gateway, id}
	r := l.runs[n]
	if r == nil {
		if l.runs == nil {
			l.runs = make(map[name]*run)
		}
		r = &run{chunks: make(map[uint64]*chunk), order: len(l.runs)}
		l.runs[n] = r
	}
	return r
}

// add notes that a batch has arrived.
func (r *run) add(seq uint64, content uint32) {
	c := r.chunks[seq/chunkSize]
	if c == nil {
		c = new(chunk)
		r.chunks[seq/chunkSize] = c
	}
	i := seq % chunkSize
	word, bit := &c.seen[i/64], uint64(1)<<(i%64)
	if *word&bit == 0 {
		*word |= bit
		c.content[i] = content
		r.batches++
		r.last = max(r.last, seq)
		if r.first == 0 || seq < r.first {
			r.first = seq
		}
		return
	}
	r.duplicates++
	if c.content[i] == content {
		return
	}
	if _, known := r.conflicts[seq]; !known && len(r.conflicts) >= keptConflicts {
		r.conflicted++
		return
	}
	if r.conflicts == nil {
		r.conflicts = make(map[uint64]uint64)
	}
	r.conflicts[seq]++
}

// conflicting returns the first seqs that arrived with two contents and were not thinned,
// and how often that happened.
func (r *run) conflicting() (seqs []uint64, n uint64) {
	seqs, n = []uint64{}, r.conflicted
	for _, seq := range slices.Sorted(maps.Keys(r.conflicts)) {
		if slices.ContainsFunc(r.stones, func(s stone) bool {
			return s.cause == Thinned && s.first <= seq && seq <= s.last
		}) {
			continue
		}
		n += r.conflicts[seq]
		if len(seqs) < maxConflicts {
			seqs = append(seqs, seq)
		}
	}
	return seqs, n
}

// span is seqs from first to last.
type span struct{ first, last uint64 }

// missing returns the seqs from 1 to end that were not seen.
func (r *run) missing(end uint64) (gaps []span) {
	next := uint64(1) // the first that is not accounted for
	hole := func(until uint64) {
		if until = min(until, end); next <= until {
			gaps = append(gaps, span{next, until})
		}
	}
	keys := make([]uint64, 0, len(r.chunks))
	for k := range r.chunks {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		c := r.chunks[k]
		for i, word := range c.seen {
			for word != 0 {
				b := bits.TrailingZeros64(word)
				word &= word - 1
				seq := k*chunkSize + uint64(i*64+b)
				if seq > next {
					hole(seq - 1)
				}
				next = seq + 1
			}
		}
	}
	hole(end)
	return gaps
}

// Kind says what is known of a gap.
type Kind string

// The kinds of gaps.
const (
	Named       Kind = "named"       // a tombstone covers it
	Uncommitted Kind = "uncommitted" // a crash took it before it was on disk
	BeforeLog   Kind = "before_log"  // the messages begin later
	Unnamed     Kind = "unnamed"     // lost silently
)

// Dead is the cause of a gap whose batches the cloud has refused for good: the
// gateway keeps them, until its owner retries or purges them.
const Dead = "dead"

// Thinned is the cause of a gap between aggregates that stand for its readings.
const Thinned = "thinned"

// Gap is batches of one run that did not arrive.
type Gap struct {
	First uint64 `json:"first"` // seq
	Last  uint64 `json:"last"`
	Kind  Kind   `json:"kind"`
	Cause string `json:"cause,omitempty"` // of a named one, as its tombstone says
}

// Batches returns how many are missing.
func (g Gap) Batches() uint64 { return g.Last - g.First + 1 }

// explain cuts a gap where what is known of it changes. Stones are in the order
// of their first seq.
func (r *run) explain(s span, stones []stone, partial bool) (gaps []Gap) {
	for s.first <= s.last {
		g := Gap{First: s.first, Last: s.last, Kind: r.kind(s.first, partial)}
		for _, stone := range stones {
			if stone.first > s.first {
				g.Last = min(g.Last, stone.first-1)
				break
			}
			if stone.last >= s.first {
				g.Kind, g.Cause, g.Last = Named, stone.cause, min(s.last, stone.last)
				break
			}
		}
		if limit := r.previousLast; g.Kind == Unnamed && r.followed && g.First <= limit {
			g.Last = min(g.Last, limit)
		}
		gaps = append(gaps, g)
		s.first = g.Last + 1
	}
	return gaps
}

// kind is what a missing seq is that no tombstone names.
func (r *run) kind(seq uint64, partial bool) Kind {
	switch {
	case partial && !r.recorded && (r.first == 0 || seq < r.first):
		return BeforeLog
	case r.followed && seq > r.previousLast:
		return Uncommitted
	}
	return Unnamed
}

// gaps returns all that is missing, in order.
func (r *run) gaps(partial bool) (gaps []Gap) {
	order.By(r.stones, func(a, b stone) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last))
	})
	// What became of a dead letter says more than that it was one.
	var final, dead []stone
	for _, s := range r.stones {
		if s.cause == Dead {
			dead = append(dead, s)
		} else {
			final = append(final, s)
		}
	}
	end := max(r.last, r.previousLast)
	for _, s := range r.missing(end) {
		for _, g := range r.explain(s, final, partial) {
			if g.Kind == Named {
				gaps = append(gaps, g)
			} else {
				gaps = append(gaps, r.explain(span{g.First, g.Last}, dead, partial)...)
			}
		}
	}
	return gaps
}
