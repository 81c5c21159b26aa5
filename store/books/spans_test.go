package books

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
		var s Spans
		set := map[bridge.Position]bool{}
		for range 60 {
			from := bridge.Position(rnd.IntN(size))
			to := from + bridge.Position(rnd.IntN(8))
			s.Add(from, to)
			for p := from; p < to; p++ {
				set[p] = true
			}
			for i := range s {
				if s[i].From >= s[i].To || i > 0 && s[i-1].To >= s[i].From {
					t.Fatalf("seed %d: spans are not in order: %v", seed, s)
				}
			}
		}
		next := bridge.Position(size + 10)
		for p := bridge.Position(size + 9); p > 0; p-- {
			if !set[p] {
				next = p
			}
			if s.Has(p) != set[p] || s.Next(p) != next {
				t.Fatalf("seed %d, %v: has(%d) = %v, next = %d; want %v, %d", seed, s, p, s.Has(p), s.Next(p), set[p], next)
			}
		}
		var out []bridge.Position
		for range 10 {
			out = append(out, bridge.Position(rnd.IntN(size)))
		}
		without := s.Without(out...)
		var less Spans
		for _, p := range out {
			less.Add(p, p+1)
		}
		if minus := s.Minus(less); !slices.Equal(minus, without) {
			t.Fatalf("seed %d, %v minus %v: %v, want %v", seed, s, less, minus, without)
		}
		for p := range bridge.Position(size + 10) {
			gone := slices.Contains(out, p)
			if without.Has(p) != (set[p] && !gone) {
				t.Fatalf("seed %d, %v without %v: has(%d) = %v", seed, s, out, p, without.Has(p))
			}
		}
		found := map[bridge.Position]bool{}
		for _, g := range s.Missing(5, size) {
			for p := g.From; p < g.To; p++ {
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
