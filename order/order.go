// Package order sorts slices as package slices does, with one copy of the code in the
// program: slices.SortFunc is compiled anew for each type of struct, 25 KB a type.
// Where readings pass, and for slices of pointers, texts and numbers, slices is right:
// it is twice as fast, and those share a copy.
package order

import (
	"iter"
	"slices"
	"sort"
)

// By sorts all by compare, which is as in slices.SortFunc. Equals may change places.
func By[T any](all []T, compare func(a, b T) int) { sort.Sort(sorter[T]{all, compare}) }

// Stably sorts all by compare. Equals keep their places.
func Stably[T any](all []T, compare func(a, b T) int) { sort.Stable(sorter[T]{all, compare}) }

// Sorted collects what all yields, sorted by compare. Equals may change places.
func Sorted[T any](all iter.Seq[T], compare func(a, b T) int) []T {
	s := slices.Collect(all)
	By(s, compare)
	return s
}

type sorter[T any] struct {
	all     []T
	compare func(a, b T) int
}

func (s sorter[T]) Len() int           { return len(s.all) }
func (s sorter[T]) Less(i, j int) bool { return s.compare(s.all[i], s.all[j]) < 0 }
func (s sorter[T]) Swap(i, j int)      { s.all[i], s.all[j] = s.all[j], s.all[i] }
