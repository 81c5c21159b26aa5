package store

import (
	"slices"

	"fieldbridge/bridge"
)

// span is the positions from..to-1.
type span struct{ from, to bridge.Position }

// spans is a set of positions: sorted spans that neither overlap nor touch. The
// batches that are done form few spans: all of the past, and what was fresh in
// each connection since.
type spans []span

// at returns the index of the first span that ends at or after p.
func (s spans) at(p bridge.Position) int {
	// Nearly always it is the last one.
	if n := len(s); n > 0 && p >= s[n-1].from {
		if p <= s[n-1].to {
			return n - 1
		}
		return n
	}
	i, _ := slices.BinarySearchFunc(s, p, func(x span, p bridge.Position) int {
		if x.to < p {
			return -1
		}
		return 1
	})
	return i
}

// add adds the positions from..to-1.
func (s *spans) add(from, to bridge.Position) {
	if from >= to {
		return
	}
	i := s.at(from)
	if i == len(*s) {
		*s = append(*s, span{from, to})
		return
	}
	if x := &(*s)[i]; x.from <= from && to <= x.to {
		return
	}
	j := i // the spans i..j-1 are merged
	for j < len(*s) && (*s)[j].from <= to {
		from, to = min(from, (*s)[j].from), max(to, (*s)[j].to)
		j++
	}
	*s = slices.Replace(*s, i, j, span{from, to})
}

// has reports whether p is in the set.
func (s spans) has(p bridge.Position) bool { return s.next(p) != p }

// next returns the first position from p on that is not in the set.
func (s spans) next(p bridge.Position) bridge.Position {
	i := s.at(p)
	if i < len(s) && s[i].to == p {
		i++
	}
	if i < len(s) && s[i].from <= p {
		return s[i].to
	}
	return p
}

// without returns a copy of the set that lacks the positions of dead.
func (s spans) without(dead []burial) spans {
	out := slices.Clone(s)
	for i := range dead {
		p := dead[i].position
		at := out.at(p)
		if at == len(out) || out[at].from > p || out[at].to <= p {
			continue
		}
		x := out[at]
		parts := slices.DeleteFunc([]span{{x.from, p}, {p + 1, x.to}}, func(x span) bool { return x.from == x.to })
		out = slices.Replace(out, at, at+1, parts...)
	}
	return out
}

// end returns the position after the last one in the set, 0 if it is empty.
func (s spans) end() bridge.Position {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].to
}

// missing returns what of from..to-1 is not in the set.
func (s spans) missing(from, to bridge.Position) (gaps []span) {
	for from = s.next(from); from < to; {
		end := to
		if i := s.at(from); i < len(s) {
			if s[i].to == from {
				i++
			}
			if i < len(s) {
				end = min(end, s[i].from)
			}
		}
		gaps = append(gaps, span{from, end})
		from = s.next(end)
	}
	return gaps
}
