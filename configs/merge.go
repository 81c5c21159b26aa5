package configs

import "fmt"

// merge lays over upon base: maps by key, everything else replaced, a null that
// is written out removes. The members of base keep their order and come first.
func merge(base, over *node) *node {
	if base == nil || base.kind != mapping || over.kind != mapping {
		return over
	}
	members := make([]member, 0, len(base.members)+len(over.members))
	for _, m := range base.members {
		o := over.get(m.key)
		switch {
		case o == nil:
			members = append(members, m)
		case o.value.removes():
		default:
			members = append(members, member{key: m.key, pos: o.pos, value: merge(m.value, o.value)})
		}
	}
	for _, o := range over.members {
		if base.get(o.key) == nil {
			members = append(members, o)
		}
	}
	out := newMapping(over.pos, members)
	return out
}

// removes reports whether n is a null that is written out.
func (n *node) removes() bool { return n.kind == null && n.plain }

// withoutNulls takes out what is still null after a merge: it removes nothing.
// It tells the positions of those.
func withoutNulls(n *node, report func(member)) *node {
	if n.kind != mapping {
		return n
	}
	var out []member // nil while nothing has changed
	for i, m := range n.members {
		value := withoutNulls(m.value, report)
		if m.value.removes() {
			report(m)
		}
		if (m.value.removes() || value != m.value) && out == nil {
			out = append(make([]member, 0, len(n.members)), n.members[:i]...)
		}
		if out != nil && !m.value.removes() {
			out = append(out, member{m.key, m.pos, m.bare, value})
		}
	}
	if out == nil {
		return n
	}
	return newMapping(n.pos, out)
}

// union joins maps of named things; a name in both is a problem.
func union(what string, a, b *node, problems *[]Problem) *node {
	if a == nil || a.kind != mapping || b.kind != mapping {
		return b
	}
	members := append([]member(nil), a.members...)
	for _, m := range b.members {
		if first := a.get(m.key); first != nil {
			*problems = append(*problems, Problem{m.pos, fmt.Sprintf("%s %q is given twice, first in %s", what, m.key, first.pos), "rename or remove one of them"})
			continue
		}
		members = append(members, m)
	}
	return newMapping(b.pos, members)
}
