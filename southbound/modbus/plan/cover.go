package plan

import (
	"math"
	"slices"
	"time"

	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Limits are what one request of a device may ask for.
type Limits struct {
	Words, Bits int            // most registers, most bits
	Gap         int            // most unused addresses in a row; -1 is by cost alone
	Stepped     []wire.Table   // of which a request has an even number of registers, or whole eights of bits
	Never       []*point.Field // that no request may touch, whatever the device allows
	holes       []hole         // addresses that no request may touch
	seams       []Seam
	alone       []wire.Table // of which a request has one value
}

// hole is a run of addresses of a table that the device does not let us read.
type hole struct {
	table wire.Table
	point.Span
}

// Cost is what a request takes of a bus: Request, and Word for each register
// (or 16 bits) in it. Trip is the part of Request that is assumed and will be
// measured: the round trip of a network, or how long a unit thinks on a serial
// line, where all else is known.
type Cost struct {
	Request, Word, Trip time.Duration
	Line                bool // a serial line
}

// Takes returns the time of one request for n registers or bits.
func (c Cost) Takes(t wire.Table, n int) time.Duration {
	if t.Bits() {
		n = (n + 15) / 16
	}
	return c.Request + time.Duration(n)*c.Word
}

// cover splits items, sorted by first address, into the runs whose requests
// together take the least time; it returns where each run ends in items. Each
// item is wholly in one request.
//
// It is the shortest path over the items: best[j] is the cheapest way to read
// the first j of them. An optimal partition into consecutive runs exists: if one
// had items i < j < k with i and k together and j elsewhere, either j's request
// reaches over k or i's over j, and one of them can move for nothing.
func cover(t wire.Table, items []point.Span, l Limits, c Cost) []int {
	most := l.Words
	switch {
	case t.Bits():
		most = l.Bits
	case t == wire.Record:
		most = min(most, wire.MaxRecordWords)
	}
	best := make([]time.Duration, len(items)+1)
	from := make([]int, len(items)+1)
	for j := 1; j <= len(items); j++ {
		best[j] = math.MaxInt64
	}
	for i := range items {
		run := items[i]
		for j := i; j < len(items); j++ {
			next := items[j]
			if j > i && !l.joins(t, run, next) {
				break
			}
			run.End = max(run.End, next.End)
			asked := l.round(t, run)
			if asked.End-asked.First > most && j > i {
				break
			}
			if total := best[i] + c.Takes(t, asked.End-asked.First); total < best[j+1] {
				best[j+1], from[j+1] = total, i
			}
		}
	}
	var ends []int
	for j := len(items); j > 0; j = from[j] {
		ends = append(ends, j)
	}
	slices.Reverse(ends)
	return ends
}

// hole reports whether s touches a hole of t.
func (l Limits) hole(t wire.Table, s point.Span) bool {
	for _, h := range l.holes {
		if h.table == t && h.First < s.End && s.First < h.End {
			return true
		}
	}
	return false
}
