package books

import (
	"slices"

	"fieldbridge/bridge"
)

// Span is the positions From..To-1.
type Span struct{ From, To bridge.Position }

// Spans is a set of positions: sorted spans that neither overlap nor touch. The
// batches that are done form few spans: all of the past, and what was fresh in
// each connection since.
type Spans []Span

// at returns the index of the first span that ends at or after p.
func (s Spans) at(p bridge.Position) int {
	// Nearly always it is the last one.
	if n := len(s); n > 0 && p >= s[n-1].From {
		if p <= s[n-1].To {
			return n - 1
		}
		return n
	}
	i, _ := slices.BinarySearchFunc(s, p, func(x Span, p bridge.Position) int {
		if x.To < p {
			return -1
		}
		return 1
	})
	return i
}

// Add adds the positions from..to-1.
func (s *Spans) Add(from, to bridge.Position) {
	if from >= to {
		return
	}
	i := s.at(from)
	if i == len(*s) {
		*s = append(*s, Span{from, to})
		return
	}
	if x := &(*s)[i]; x.From <= from && to <= x.To {
		return
	}
	j := i // the spans i..j-1 are merged
	for j < len(*s) && (*s)[j].From <= to {
		from, to = min(from, (*s)[j].From), max(to, (*s)[j].To)
		j++
	}
	*s = slices.Replace(*s, i, j, Span{from, to})
}

// Has reports whether p is in the set.
func (s Spans) Has(p bridge.Position) bool { return s.Next(p) != p }

// Touch reports whether one of the positions from..to-1 is in the set.
func (s Spans) Touch(from, to bridge.Position) bool {
	for i := s.at(from); i < len(s) && s[i].From < to; i++ {
		if s[i].To > from {
			return true
		}
	}
	return false
}

// Next returns the first position from p on that is not in the set.
func (s Spans) Next(p bridge.Position) bridge.Position {
	i := s.at(p)
	if i < len(s) && s[i].To == p {
		i++
	}
	if i < len(s) && s[i].From <= p {
		return s[i].To
	}
	return p
}

// Without returns a copy of the set that lacks the positions of out.
func (s Spans) Without(out ...bridge.Position) Spans {
	left := slices.Clone(s)
	for _, p := range out {
		at := left.at(p)
		if at == len(left) || left[at].From > p || left[at].To <= p {
			continue
		}
		x := left[at]
		parts := slices.DeleteFunc([]Span{{x.From, p}, {p + 1, x.To}}, func(x Span) bool { return x.From == x.To })
		left = slices.Replace(left, at, at+1, parts...)
	}
	return left
}

// Minus returns a copy of the set that lacks the positions of out.
func (s Spans) Minus(out Spans) (left Spans) {
	if len(out) == 0 {
		return slices.Clone(s)
	}
	for _, x := range s {
		left = append(left, out.Missing(x.From, x.To)...)
	}
	return left
}

// End returns the position after the last one in the set, 0 if it is empty.
func (s Spans) End() bridge.Position {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].To
}

// Missing returns what of from..to-1 is not in the set.
func (s Spans) Missing(from, to bridge.Position) (gaps []Span) {
	for from = s.Next(from); from < to; {
		end := to
		if i := s.at(from); i < len(s) {
			if s[i].To == from {
				i++
			}
			if i < len(s) {
				end = min(end, s[i].From)
			}
		}
		gaps = append(gaps, Span{from, end})
		from = s.Next(end)
	}
	return gaps
}
