package main

import "testing"

func TestMedianInterval(t *testing.T) {
	v := []float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
	// Of ten values the second from each end: 1 - 2 x 11/1024 is 97.9 %.
	if low, high := medianInterval(v); low != 2 || high != 9 {
		t.Errorf("got %v to %v, want 2 to 9", low, high)
	}
	if got := median(v); got != 5.5 {
		t.Errorf("the median is %v", got)
	}
	if low, high := medianInterval(v[:3]); low != 8 || high != 10 {
		t.Errorf("of three: got %v to %v, want all", low, high)
	}
}
