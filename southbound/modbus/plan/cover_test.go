package plan

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// cheapest tries every partition of items into consecutive runs.
func cheapest(t wire.Table, items []point.Span, l Limits, c Cost) time.Duration {
	best := time.Duration(-1)
	for cuts := range 1 << (len(items) - 1) {
		total, start, ok := time.Duration(0), 0, true
		for i := range items {
			if i < len(items)-1 && cuts>>i&1 == 0 {
				continue
			}
			run := items[start]
			for _, s := range items[start+1 : i+1] {
				if l.Gap >= 0 && s.First-run.End > l.Gap || s.First > run.End &&
					l.hole(t, point.Span{First: run.End, End: s.First}) {
					ok = false
				}
				run.End = max(run.End, s.End)
			}
			if run.End-run.First > l.Words && i > start {
				ok = false
			}
			total += c.Takes(t, run.End-run.First)
			start = i + 1
		}
		if ok && (best < 0 || total < best) {
			best = total
		}
	}
	return best
}

func TestCoverIsTheCheapest(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		var items []point.Span
		for range 1 + rnd.IntN(9) {
			first := rnd.IntN(60)
			items = append(items, point.Span{First: first, End: first + 1 + rnd.IntN(12)})
		}
		slices.SortFunc(items, func(a, b point.Span) int { return a.First - b.First })
		l := Limits{Words: 12 + rnd.IntN(40), Bits: 2000, Gap: rnd.IntN(20) - 1}
		if rnd.IntN(2) == 0 {
			first := rnd.IntN(60)
			l.holes = []hole{{wire.Holding, point.Span{First: first, End: first + 1 + rnd.IntN(3)}}}
		}
		c := Cost{Request: time.Duration(rnd.IntN(50)), Word: time.Duration(1 + rnd.IntN(5))}
		var total time.Duration
		start := 0
		for _, end := range cover(wire.Holding, items, l, c) {
			run := items[start]
			for _, s := range items[start:end] {
				run.End = max(run.End, s.End)
			}
			total += c.Takes(wire.Holding, run.End-run.First)
			start = end
		}
		if want := cheapest(wire.Holding, items, l, c); total != want {
			t.Fatalf("seed %d: %v with %+v, %+v: %d, but %d is possible", seed, items, l, c, total, want)
		}
	}
}
