package tree

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A key with a range stands for many: "meter-{1..8}" for meter-1 to meter-8,
// with ${n} as the number below it; {01..12} keeps the width.
var rangeText = regexp.MustCompile(`\{([^{}]*)\.\.([^{}]*)\}`)

const (
	// maxRange is the most names that one range may stand for.
	maxRange = 10_000
	// maxExpanded is the most values that all ranges of a file may make.
	maxExpanded = 2_000_000
)

// Expand writes out the ranges in the keys of a file.
func Expand(root *Node) (*Node, []Problem) {
	x := expander{}
	return x.expand(root), x.problems
}

// expander writes out the ranges in keys, inner ones first, so that ${n} is the
// number of the innermost range around it.
type expander struct {
	problems []Problem
	made     int // values so far
}

// hasRange reports whether a key in n may have a range.
func hasRange(n *Node) bool {
	return slices.ContainsFunc(n.Items, hasRange) ||
		slices.ContainsFunc(n.Members, func(m Member) bool { return strings.Contains(m.Key, "..") || hasRange(m.Value) })
}

func (x *expander) fail(at Position, text, fix string) {
	x.problems = append(x.problems, Problem{at, text, fix})
}

func (x *expander) expand(n *Node) *Node {
	if !hasRange(n) {
		return n
	}
	switch n.Kind {
	case List:
		out := *n
		out.Items = make([]*Node, len(n.Items))
		for i, item := range n.Items {
			out.Items[i] = x.expand(item)
		}
		return &out
	case Mapping:
		members := make([]Member, 0, len(n.Members))
		seen := make(map[string]Position, len(n.Members))
		for _, m := range n.Members {
			m.Value = x.expand(m.Value)
			for _, e := range x.member(m) {
				if first, ok := seen[e.Key]; ok {
					x.fail(e.Pos, fmt.Sprintf("key %q is given twice, first in line %d", e.Key, first.Line),
						"let ranges and names not overlap")
					continue
				}
				seen[e.Key] = e.Pos
				members = append(members, e)
			}
		}
		out := NewMapping(n.Pos, members)
		out.Flow, out.Partial = n.Flow, n.Partial
		return out
	}
	return n
}

func (x *expander) member(m Member) []Member {
	found := rangeText.FindStringSubmatchIndex(m.Key)
	if found == nil {
		return []Member{m}
	}
	from, to := m.Key[found[2]:found[3]], m.Key[found[4]:found[5]]
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	fail := func(text, fix string) []Member {
		x.fail(m.Pos, text, fix)
		return nil
	}
	switch {
	case err1 != nil || err2 != nil || first < 0:
		return fail(fmt.Sprintf("%s is not a range of numbers", Quote(m.Key[found[0]:found[1]])), "write it as {1..8}")
	case last < first:
		return fail(fmt.Sprintf("the range %s is empty", m.Key[found[0]:found[1]]), "write the smaller number first")
	case last-first >= maxRange:
		return fail(fmt.Sprintf("the range %s has more than %d names", m.Key[found[0]:found[1]], maxRange), "make it smaller")
	case rangeText.MatchString(m.Key[found[1]:]):
		return fail("two ranges in one key", "use one; an outer key may have another")
	}
	width := 0
	if strings.HasPrefix(from, "0") && len(from) > 1 {
		width = len(from)
	}
	out := make([]Member, 0, last-first+1)
	for i := first; i <= last; i++ {
		if x.made > maxExpanded {
			return fail("the ranges of this file make too many values", "make them smaller")
		}
		key := fmt.Sprintf("%s%0*d%s", m.Key[:found[0]], width, i, m.Key[found[1]:])
		out = append(out, Member{Key: key, Pos: m.Pos, Value: x.numbered(m.Value, strconv.Itoa(i))})
	}
	return out
}

// numbered returns n with ${n} replaced by a number.
func (x *expander) numbered(n *Node, number string) *Node {
	x.made++
	if !n.Dynamic {
		return n
	}
	replace := func(text string) string {
		out, unclosed := Substitute(text, func(name string) (string, bool) {
			if name == "n" {
				return number, true
			}
			return "${" + name + "}", true
		}, true)
		if unclosed != "" {
			return text // told later
		}
		return out
	}
	out := *n
	switch n.Kind {
	case Scalar:
		if out.Text = replace(n.Text); out.Text != n.Text {
			out.Plain = true
		}
		out.Dynamic = HasVariable(out.Text)
	case List:
		out.Items, out.Dynamic = make([]*Node, len(n.Items)), false
		for i, item := range n.Items {
			out.Items[i] = x.numbered(item, number)
			out.Dynamic = out.Dynamic || out.Items[i].Dynamic
		}
	case Mapping:
		members := make([]Member, len(n.Members))
		for i, m := range n.Members {
			members[i] = Member{replace(m.Key), m.Pos, m.Bare, x.numbered(m.Value, number)}
		}
		out = *NewMapping(n.Pos, members)
		out.Flow, out.Partial = n.Flow, n.Partial
	}
	return &out
}
