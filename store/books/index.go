package books

import (
	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/flash"
)

// Index is what must survive the loss of any segment. It is replaced whole at
// each start, rotation, tombstone and acknowledged notice, never per commit.
type Index struct {
	Format        int     `json:"format"`
	Uptime        int64   `json:"uptime_ms"` // run time of the folder
	Runs          Runs    `json:"runs"`
	Tombstones    []Stone `json:"tombstones,omitempty"` // those the cloud has not acknowledged
	NextTombstone uint64  `json:"next_tombstone"`
	// Segments are those that are sealed.
	Segments []block.Account `json:"segments,omitempty"`
	// Writer is the segment that was being written then, 0 for none.
	Writer bridge.Position `json:"writer,omitempty"`
	// Before is what was in all blocks before those of Writer.
	Before bridge.Count `json:"before,omitzero"`
	Dead   DeadIndex    `json:"dead,omitzero"`
	// Removed are segments that are accounted for and about to be deleted.
	Removed []bridge.Position `json:"removed,omitempty"`
	// Thinned are segments whose new file, beside them, is to take their place.
	Thinned []bridge.Position `json:"thinned,omitempty"`
	// Flash is what may be written within store.flash_budget.
	Flash *flash.Saved `json:"flash,omitempty"`
}

// DeadIndex is what the index has of the dead letters. They have numbers of their
// own, in the order in which they were buried.
type DeadIndex struct {
	From     bridge.Position `json:"from,omitempty"`     // those with lower numbers are gone
	Gone     bridge.Count    `json:"gone,omitzero"`      // what of the segment with that number is gone
	Segments []block.Account `json:"segments,omitempty"` // those that are sealed
	Writer   bridge.Position `json:"writer,omitempty"`   // the one that was being written, 0 for none
	// Retry are letters that are on their way back into the queue.
	Retry *Retry `json:"retry,omitempty"`
	// Turn is the number of the first letter that comes from an old file, which
	// is still there; 0 when none is turned over.
	Turn bridge.Position `json:"turn,omitempty"`
}

// Retry are letters that are on their way back into the queue. It is in the index
// before they are, so that after a kill at any point each is in one place.
type Retry struct {
	From     bridge.Position `json:"from"`     // their first number
	First    bridge.Position `json:"first"`    // their first position in the queue, 0 before they have one
	Readings []uint64        `json:"readings"` // of each
}

// Came returns how many letters from the first on have come back into the queue, and how
// many of those are durable, when the first is at a position, 0 for none. durable and known
// report that of a position: known, that it is in the journal at least.
func (r *Retry) Came(first bridge.Position, durable, known func(bridge.Position) bool) (safe, all int) {
	for ; first != 0 && all < len(r.Readings); all++ {
		switch p := first + bridge.Position(all); {
		case durable(p):
			if safe == all {
				safe++
			}
		case !known(p):
			return safe, all
		}
	}
	return safe, all
}

// Rest returns what is on its way of the letters from..to-1, counted from the first, which
// is at a position; nil if that is none.
func (r *Retry) Rest(first bridge.Position, from, to int) *Retry {
	if from >= to {
		return nil
	}
	return &Retry{From: r.From + bridge.Position(from), First: first + bridge.Position(from),
		Readings: r.Readings[from:to]}
}

// Count returns what the first n letters have.
func (r *Retry) Count(n int) bridge.Count {
	c := bridge.Count{Batches: uint64(n)}
	for _, readings := range r.Readings[:n] {
		c.Readings += readings
	}
	return c
}
