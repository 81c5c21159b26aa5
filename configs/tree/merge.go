package tree

import "fmt"

// Merge lays over upon base: maps by key, everything else replaced, a null that
// is written out removes. The members of base keep their order and come first.
func Merge(base, over *Node) *Node {
	if base == nil || base.Kind != Mapping || over.Kind != Mapping {
		return over
	}
	members := make([]Member, 0, len(base.Members)+len(over.Members))
	for _, m := range base.Members {
		o := over.Get(m.Key)
		switch {
		case o == nil:
			members = append(members, m)
		case o.Value.Removes():
		default:
			members = append(members, Member{Key: m.Key, Pos: o.Pos, Value: Merge(m.Value, o.Value)})
		}
	}
	for _, o := range over.Members {
		if base.Get(o.Key) == nil {
			members = append(members, o)
		}
	}
	out := NewMapping(over.Pos, members)
	return out
}

// WithoutNulls takes out what is still null after a merge: it removes nothing.
// It tells the positions of those.
func WithoutNulls(n *Node, report func(Member)) *Node {
	if n.Kind != Mapping {
		return n
	}
	var out []Member // nil while nothing has changed
	for i, m := range n.Members {
		value := WithoutNulls(m.Value, report)
		if m.Value.Removes() {
			report(m)
		}
		if (m.Value.Removes() || value != m.Value) && out == nil {
			out = append(make([]Member, 0, len(n.Members)), n.Members[:i]...)
		}
		if out != nil && !m.Value.Removes() {
			out = append(out, Member{m.Key, m.Pos, m.Bare, value})
		}
	}
	if out == nil {
		return n
	}
	return NewMapping(n.Pos, out)
}

// Union joins maps of named things; a name in both is a problem.
func Union(what string, a, b *Node, problems *[]Problem) *Node {
	if a == nil || a.Kind != Mapping || b.Kind != Mapping {
		return b
	}
	members := append([]Member(nil), a.Members...)
	for _, m := range b.Members {
		if first := a.Get(m.Key); first != nil {
			*problems = append(*problems, Problem{m.Pos,
				fmt.Sprintf("%s %q is given twice, first in %s", what, m.Key, first.Pos), "rename or remove one of them"})
			continue
		}
		members = append(members, m)
	}
	return NewMapping(b.Pos, members)
}
