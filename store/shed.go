package store

import (
	"fieldbridge/bridge"
	"fieldbridge/store/books"
)

// shedLocked drops the oldest batches in memory that nobody holds, when there
// are too many to keep. It returns whom to refuse.
func (c *core) shedLocked() []func(error) {
	g := c.mem.Shed(memoryMost * 15 / 16)
	c.dropLocked(g.Gaps, g.Count, books.DroppedDisk, 0, 0)
	return g.Safes
}

// refuseLocked handles Append of a queue that is full, drops what is new, and
// has no connection over which it might go nevertheless. It reports whether that
// is so.
func (c *core) refuseLocked(b *bridge.Batch, safe func(error)) bool {
	if !c.full || c.online {
		return false
	}
	if safe != nil {
		c.stats.refused++
		return true
	}
	n := bridge.Count{Batches: 1, Readings: uint64(len(b.Readings))}
	p := c.mem.End()
	c.mem.Pass()
	c.books.Accept(n)
	at := b.At.UnixMilli()
	c.dropLocked([]books.Span{{From: p, To: p + 1}}, n, books.DroppedFull, at, at)
	return true
}
