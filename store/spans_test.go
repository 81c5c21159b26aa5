package store

import (
	"math/rand/v2"
	"slices"
	"testing"

	"fieldbridge/bridge"
)

func TestSpansAgainstASet(t *testing.T) {
	const size = 200
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var s spans
		set := map[bridge.Position]bool{}
		for range 60 {
			from := bridge.Position(rnd.IntN(size))
			to := from + bridge.Position(rnd.IntN(8))
			s.add(from, to)
			for p := from; p < to; p++ {
				set[p] = true
			}
			for i := range s {
				if s[i].from >= s[i].to || i > 0 && s[i-1].to >= s[i].from {
					t.Fatalf("seed %d: spans are not in order: %v", seed, s)
				}
			}
		}
		next := bridge.Position(size + 10)
		for p := bridge.Position(size + 9); p > 0; p-- {
			if !set[p] {
				next = p
			}
			if s.has(p) != set[p] || s.next(p) != next {
				t.Fatalf("seed %d, %v: has(%d) = %v, next = %d; want %v, %d", seed, s, p, s.has(p), s.next(p), set[p], next)
			}
		}
		var dead []burial
		for range 10 {
			dead = append(dead, burial{position: bridge.Position(rnd.IntN(size))})
		}
		without := s.without(dead)
		for p := range bridge.Position(size + 10) {
			gone := slices.ContainsFunc(dead, func(d burial) bool { return d.position == p })
			if without.has(p) != (set[p] && !gone) {
				t.Fatalf("seed %d, %v without %v: has(%d) = %v", seed, s, dead, p, without.has(p))
			}
		}
		found := map[bridge.Position]bool{}
		for _, g := range s.missing(5, size) {
			for p := g.from; p < g.to; p++ {
				found[p] = true
			}
		}
		for p := bridge.Position(0); p < size+10; p++ {
			if want := p >= 5 && p < size && !set[p]; found[p] != want {
				t.Fatalf("seed %d, %v: missing has %d: %v", seed, s, p, found[p])
			}
		}
	}
}
