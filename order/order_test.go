package order

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

type thing struct{ key, place int }

func byKey(a, b thing) int { return cmp.Compare(a.key, b.key) }

// What comes out is what package slices makes of it.
func TestOrder(t *testing.T) {
	for n := range 200 {
		all := make([]thing, n)
		for i := range all {
			all[i] = thing{rand.IntN(n/2 + 1), i}
		}
		want := slices.Clone(all)
		slices.SortStableFunc(want, byKey)
		got := slices.Clone(all)
		if Stably(got, byKey); !slices.Equal(got, want) {
			t.Errorf("stably: %v became %v", all, got)
		}
		for _, got := range [][]thing{Sorted(slices.Values(all), byKey), func() []thing {
			got := slices.Clone(all)
			By(got, byKey)
			return got
		}()} {
			if !slices.IsSortedFunc(got, byKey) {
				t.Errorf("%v became %v", all, got)
			}
			Stably(got, func(a, b thing) int { return cmp.Or(byKey(a, b), a.place-b.place) })
			if !slices.Equal(got, want) {
				t.Errorf("%v lost something: %v", all, got)
			}
		}
	}
}
