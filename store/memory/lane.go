package memory

import (
	"cmp"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
)

// lane is where a lane of the queue is.
type lane struct {
	cursor bridge.Position // no batch of the lane waits below but those skipped
	block  []bridge.Entry  // the block that is being handed out, in order
	from   bridge.Position // in from..to-1, block has all batches on disk
	to     bridge.Position
	index  int // in block, where to look first
}

// forget gives the block's memory back.
func (l *lane) forget() { l.block, l.from, l.to = nil, 0, 0 }

// Rewind lets both lanes look at everything again; batches below mark are backlog.
func (m *Memory) Rewind(mark bridge.Position) {
	m.lanes[bridge.Backlog] = lane{}
	m.lanes[bridge.Fresh] = lane{cursor: mark}
}

// Back makes a lane look at position p again.
func (m *Memory) Back(which bridge.Lane, p bridge.Position) {
	l := &m.lanes[which]
	l.cursor = min(l.cursor, p)
}

// Load gives a lane a block from the disk: it has all batches of from..to-1 that
// are there.
func (m *Memory) Load(which bridge.Lane, from, to bridge.Position, block []bridge.Entry) {
	l := &m.lanes[which]
	l.block, l.from, l.to, l.index = block, from, to, 0
}

// Loaded reports whether a lane has a block with positions from first to last.
func (m *Memory) Loaded(first, last bridge.Position) bool {
	return slices.ContainsFunc(m.lanes[:], func(l lane) bool { return l.block != nil && l.from <= last && l.to > first })
}

// Claim claims up to most batches of a lane below limit that are not done. When
// the next one is on disk and not in the lane's block, it returns what it has, and
// the position: if there is nothing else, it is to be loaded.
func (m *Memory) Claim(which bridge.Lane, most int, limit bridge.Position, done books.Spans) (
	entries []bridge.Entry, missing bridge.Position,
) {
	l := &m.lanes[which]
	for len(entries) < most {
		p := done.Next(l.cursor)
		if p >= limit {
			l.cursor = p
			l.forget()
			break
		}
		if entries == nil {
			entries = make([]bridge.Entry, 0, min(most, int(min(uint64(limit-p), 1<<16))))
		}
		if p >= m.ring.base {
			l.forget()
			if it := m.ring.at(p); it.state == itemWaiting {
				it.state = itemClaimed
				entries = append(entries, bridge.Entry{Batch: it.batch, Position: p, Run: m.run, Seq: m.Seq(p),
					Backlog: which == bridge.Backlog, Waiting: it.safe != nil})
			}
			l.cursor = p + 1
			continue
		}
		if p < l.from || p >= l.to {
			l.cursor = p
			return entries, p
		}
		entries = m.claimFromBlock(l, p, which, entries)
	}
	return entries, 0
}

// claimFromBlock looks at the first batch at or after p in the lane's block, which
// covers p, and claims it if it waits.
func (m *Memory) claimFromBlock(l *lane, p bridge.Position, which bridge.Lane, entries []bridge.Entry) []bridge.Entry {
	if l.index >= len(l.block) || l.block[l.index].Position != p {
		l.index, _ = slices.BinarySearchFunc(l.block, p, func(e bridge.Entry, p bridge.Position) int {
			return cmp.Compare(e.Position, p)
		})
	}
	if l.index == len(l.block) {
		l.cursor = l.to
		return entries
	}
	e := &l.block[l.index]
	if e.Position != p {
		l.cursor = e.Position // there is nothing in between
		return entries
	}
	l.index++
	l.cursor = p + 1
	if m.Claimed(p) {
		return entries
	}
	m.claims[p] = uint32(len(e.Readings))
	entry := *e
	entry.Backlog = which == bridge.Backlog
	return append(entries, entry)
}
