// Package memory is what a queue knows of its batches beside what is on disk: the
// batches of this run that are not yet written, who holds which batch, and how far
// each lane is.
//
// The package is pure: no files, no clock, and no lock of its own. All of it is
// used under the one lock of its owner, the same that guards the books.
package memory

import (
	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
)

// Roughly what a reading and a batch take in memory, in bytes.
const (
	readingSize = 48
	batchSize   = 128
)

// Cost returns roughly what batches take in memory, in bytes, without their texts.
func Cost(n bridge.Count) uint64 { return n.Readings*readingSize + n.Batches*batchSize }

// textOf returns what the texts of a batch take, in bytes.
func textOf(b *bridge.Batch) (n uint64) {
	for i := range b.Readings {
		if v := &b.Readings[i].Value; v.Kind() == bridge.KindString {
			n += uint64(len(v.Str()))
		}
	}
	return n
}

// CostOf returns roughly what a batch takes in memory, in bytes, with its texts.
func CostOf(b *bridge.Batch) uint64 { return Cost(countOf(b)) + textOf(b) }

// Memory is the memory of one queue in one run.
type Memory struct {
	run    string
	before bridge.Position // position = before + seq
	ring   ring
	claims map[bridge.Position]uint32 // claimed and on disk: its readings
	lanes  [2]lane

	pending  bridge.Count    // unfinished batches in memory
	text     uint64          // of those, in bytes
	waiters  int             // those of them with a safe
	waitFrom bridge.Position // below, no batch in memory has a safe
	shedFrom bridge.Position // below, nothing in memory waits unclaimed
}

// New returns the memory of a run, which numbers its batches after before.
func New(run string, before bridge.Position) *Memory {
	m := &Memory{run: run, before: before, claims: make(map[bridge.Position]uint32)}
	m.ring.base = before + 1
	m.Rewind(m.ring.base)
	return m
}

// Base returns the first position that is in memory; all before it are on disk or
// done.
func (m *Memory) Base() bridge.Position { return m.ring.base }

// End returns the position that the next batch gets.
func (m *Memory) End() bridge.Position { return m.ring.end() }

// Seq returns the seq of a position of this run.
func (m *Memory) Seq(p bridge.Position) uint64 { return uint64(p - m.before) }

// Pending returns the batches in memory.
func (m *Memory) Pending() bridge.Count { return m.pending }

// Cost returns roughly what the batches in memory take, in bytes, with their texts.
func (m *Memory) Cost() uint64 { return Cost(m.pending) + m.text }

// Waiters returns for how many batches in memory a sensor waits.
func (m *Memory) Waiters() int { return m.waiters }

// Push takes a batch in, appended at, in ns since the start of the run, which is at
// place in the journal.
func (m *Memory) Push(b *bridge.Batch, safe func(error), at int64, place uint64) {
	it := m.ring.push()
	it.batch, it.safe, it.at, it.place = *b, safe, at, place
	m.pending = m.pending.Add(countOf(b))
	m.text += textOf(b)
	if safe != nil {
		m.waiters++
	}
}

// Pass gives the next position to a batch that is done already.
func (m *Memory) Pass() {
	m.ring.push().state = itemFinished
	m.ring.trim()
}

func countOf(b *bridge.Batch) bridge.Count {
	return bridge.Count{Batches: 1, Readings: uint64(len(b.Readings))}
}

// Oldest returns when the oldest batch in memory was appended, of which there is
// one; it may be a dead one.
func (m *Memory) Oldest() int64 { return m.ring.at(m.ring.base).at } // the first is never finished

// OldestWaiter returns when the oldest batch was appended for which a sensor waits,
// of which there is one.
func (m *Memory) OldestWaiter() int64 {
	m.waitFrom = max(m.waitFrom, m.ring.base)
	for m.waitFrom < m.ring.end()-1 && m.ring.at(m.waitFrom).safe == nil {
		m.waitFrom++
	}
	return m.ring.at(m.waitFrom).at
}

// finish lets go of a batch in memory and returns who waits for it.
func (m *Memory) finish(it *item) (safe func(error)) {
	m.pending = m.pending.Sub(countOf(&it.batch))
	m.text -= textOf(&it.batch)
	safe = it.safe
	if safe != nil {
		m.waiters--
	}
	*it = item{state: itemFinished}
	return safe
}

// Place returns the place in the journal of a batch from Base on; end is that of
// the next batch.
func (m *Memory) Place(p bridge.Position, end uint64) uint64 {
	if p >= m.ring.end() {
		return end
	}
	return m.ring.at(p).place
}

// Settle lets go of a claimed batch and returns who waits for it; ok is false if
// it is not claimed. [Memory.Trim] comes after the last.
func (m *Memory) Settle(p bridge.Position) (n bridge.Count, safe func(error), ok bool) {
	if p < m.ring.base {
		readings, claimed := m.claims[p]
		delete(m.claims, p)
		return bridge.Count{Batches: 1, Readings: uint64(readings)}, nil, claimed
	}
	if p >= m.ring.end() {
		return n, nil, false
	}
	it := m.ring.at(p)
	if it.state != itemClaimed {
		return n, nil, false
	}
	n = countOf(&it.batch)
	return n, m.finish(it), true
}

// Bury is Settle for a batch that becomes a dead letter, and returns the batch if it is in
// memory. It stays there until it is on disk, by [Memory.Commit] or [Memory.Buried].
func (m *Memory) Bury(p bridge.Position) (b *bridge.Batch, n bridge.Count, safe func(error), ok bool) {
	if p < m.ring.base || p >= m.ring.end() {
		n, safe, ok = m.Settle(p)
		return nil, n, safe, ok
	}
	it := m.ring.at(p)
	was := *it
	if n, safe, ok = m.Settle(p); ok {
		*it = item{batch: was.batch, at: was.at, place: was.place, state: itemBuried}
	}
	return &was.batch, n, safe, ok
}

// Buried takes a batch out of memory whose dead letter is on disk.
func (m *Memory) Buried(p bridge.Position) {
	if p >= m.ring.base && p < m.ring.end() && m.ring.at(p).state == itemBuried {
		*m.ring.at(p) = item{state: itemFinished}
	}
}

// Trim gives back the memory of what is finished.
func (m *Memory) Trim() { m.ring.trim() }

// Unclaim makes a claimed batch one that waits. It reports whether it was claimed.
func (m *Memory) Unclaim(p bridge.Position) bool {
	if p >= m.ring.base {
		if p >= m.ring.end() || m.ring.at(p).state != itemClaimed {
			return false
		}
		m.ring.at(p).state = itemWaiting
	} else {
		if _, ok := m.claims[p]; !ok {
			return false
		}
		delete(m.claims, p)
	}
	m.shedFrom = min(m.shedFrom, p)
	return true
}

// UnclaimAll makes every claimed batch one that waits.
func (m *Memory) UnclaimAll() {
	m.shedFrom = 0
	for p := m.ring.base; p < m.ring.end(); p++ {
		if it := m.ring.at(p); it.state == itemClaimed {
			it.state = itemWaiting
		}
	}
	clear(m.claims)
}

// Claimed reports whether a batch on disk is claimed.
func (m *Memory) Claimed(p bridge.Position) bool {
	_, ok := m.claims[p]
	return ok
}

// ClaimedWithin reports whether a batch on disk from first to last is claimed.
func (m *Memory) ClaimedWithin(first, last bridge.Position) bool {
	for p := range m.claims {
		if p >= first && p <= last {
			return true
		}
	}
	return false
}

// Lose forgets the claims of batches on disk that are done without their holder.
func (m *Memory) Lose(done books.Spans) {
	for p := range m.claims {
		if done.Has(p) {
			delete(m.claims, p)
		}
	}
}

// Collect appends to batches those in memory from from on, below upTo: at most so
// many, and as many as have so many readings, or one more. A dead one is among them: else
// a kill before its letter is on disk left a hole in what is.
func (m *Memory) Collect(batches []block.Numbered, from, upTo bridge.Position, most, readings int) []block.Numbered {
	for p := max(from, m.ring.base); p < upTo && len(batches) < most && readings > 0; p++ {
		it := m.ring.at(p)
		if it.state == itemFinished {
			continue
		}
		batches = append(batches, block.Numbered{Batch: it.batch, Position: p, Mono: it.at / 1e6})
		readings -= len(it.batch.Readings)
	}
	return batches
}

// Commit takes a batch out of memory that is now on disk, and returns who waits
// for it. It reports false if the batch was done meanwhile. Batches are committed
// in their order, and [Memory.Trim] comes after the last: then the claims of those
// that are held count for the disk.
//
// The place of a batch in the ring is free at once; what it was claimed by stays
// known by its position alone.
func (m *Memory) Commit(p bridge.Position) (safe func(error), ok bool) {
	if p < m.ring.base {
		return nil, false
	}
	it := m.ring.at(p)
	switch it.state {
	case itemBuried:
		m.Buried(p)
		return nil, false
	case itemFinished:
		return nil, false
	case itemClaimed:
		m.claims[p] = uint32(len(it.batch.Readings))
	}
	return m.finish(it), true
}

// Given is what was taken out of the memory unsent.
// The owner calls the safes after it has let go of its lock.
type Given struct {
	Gaps  books.Spans
	Count bridge.Count
	Safes []func(error) // who waits for it
}

// give takes a batch out that waits.
func (m *Memory) give(p bridge.Position, g *Given) {
	it := m.ring.at(p)
	if it.state != itemWaiting {
		return
	}
	g.Count = g.Count.Add(countOf(&it.batch))
	g.Gaps.Add(p, p+1)
	if safe := m.finish(it); safe != nil {
		g.Safes = append(g.Safes, safe)
	}
}

// Shed takes the oldest batches out that nobody holds, until the memory costs no
// more than most bytes. It is called for each batch that comes while there are too
// many, so it remembers how far it has looked.
func (m *Memory) Shed(most uint64) (g Given) {
	for p := max(m.shedFrom, m.ring.base); p < m.ring.end() && m.Cost() > most; p++ {
		m.shedFrom = p + 1
		m.give(p, &g)
	}
	if g.Count.Batches == 0 {
		m.shedFrom = 0 // all are claimed; look again next time
	}
	m.ring.trim()
	return g
}

// Give takes all batches below upTo out that nobody holds.
func (m *Memory) Give(upTo bridge.Position) (g Given) {
	for p := m.ring.base; p < upTo; p++ {
		m.give(p, &g)
	}
	m.ring.trim()
	return g
}

// Safes returns who waits for batches in memory: they are forgotten.
func (m *Memory) Safes() (safes []func(error)) {
	for p := m.ring.base; p < m.ring.end(); p++ {
		if it := m.ring.at(p); it.safe != nil {
			safes = append(safes, it.safe)
			it.safe = nil
		}
	}
	m.waiters = 0
	return safes
}
