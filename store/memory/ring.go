package memory

import "fieldbridge/bridge"

// item is a batch in memory, from Append until it is on disk or done.
type item struct {
	batch bridge.Batch
	safe  func(error) // nil once called, or if nobody waits
	at    int64       // when it was appended: ns since the start of the run
	place uint64      // in the journal
	state itemState
}

type itemState uint8

const (
	itemWaiting itemState = iota
	itemClaimed
	itemBuried   // dead, and only here: a commit takes it as if it waited, so that a kill leaves it waiting
	itemFinished // done, dead, dropped, or on disk: no concern of the memory any more
)

// ring holds the batches in memory by position, without gaps. The first one is
// never finished.
type ring struct {
	items []item // a power of two of them
	head  int
	n     int
	base  bridge.Position // of the first
}

// Below that growing costs more than the memory that it spares.
const minRing = 64

// end returns the position after the last.
func (r *ring) end() bridge.Position { return r.base + bridge.Position(r.n) }

// at returns the item at position p, which must be in the ring.
func (r *ring) at(p bridge.Position) *item {
	return &r.items[(r.head+int(p-r.base))&(len(r.items)-1)]
}

// push adds an empty item at the end and returns it.
func (r *ring) push() *item {
	if r.n == len(r.items) {
		r.resize(max(minRing, 2*len(r.items)))
	}
	r.n++
	return &r.items[(r.head+r.n-1)&(len(r.items)-1)]
}

func (r *ring) resize(size int) {
	items := make([]item, size)
	for i := range r.n {
		items[i] = r.items[(r.head+i)&(len(r.items)-1)]
	}
	r.items, r.head = items, 0
}

// trim forgets finished items at the front, and memory that is far too large.
func (r *ring) trim() {
	for r.n > 0 && r.items[r.head].state == itemFinished {
		r.items[r.head] = item{}
		r.head = (r.head + 1) & (len(r.items) - 1)
		r.n--
		r.base++
	}
	if len(r.items) > 4096 && r.n < len(r.items)/8 {
		r.resize(len(r.items) / 4)
	}
}
