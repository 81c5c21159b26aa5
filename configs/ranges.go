package configs

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

// expander writes out the ranges in keys, inner ones first, so that ${n} is the
// number of the innermost range around it.
type expander struct {
	problems *[]Problem
	made     int // values so far
}

// hasRange reports whether a key in n may have a range.
func hasRange(n *node) bool {
	return slices.ContainsFunc(n.items, hasRange) ||
		slices.ContainsFunc(n.members, func(m member) bool { return strings.Contains(m.key, "..") || hasRange(m.value) })
}

func (x *expander) fail(at Position, text, fix string) {
	*x.problems = append(*x.problems, Problem{at, text, fix})
}

func (x *expander) expand(n *node) *node {
	if !hasRange(n) {
		return n
	}
	switch n.kind {
	case list:
		out := *n
		out.items = make([]*node, len(n.items))
		for i, item := range n.items {
			out.items[i] = x.expand(item)
		}
		return &out
	case mapping:
		members := make([]member, 0, len(n.members))
		seen := make(map[string]Position, len(n.members))
		for _, m := range n.members {
			m.value = x.expand(m.value)
			for _, e := range x.member(m) {
				if first, ok := seen[e.key]; ok {
					x.fail(e.pos, fmt.Sprintf("key %q is given twice, first in line %d", e.key, first.Line), "let ranges and names not overlap")
					continue
				}
				seen[e.key] = e.pos
				members = append(members, e)
			}
		}
		out := newMapping(n.pos, members)
		out.flow, out.partial = n.flow, n.partial
		return out
	}
	return n
}

func (x *expander) member(m member) []member {
	found := rangeText.FindStringSubmatchIndex(m.key)
	if found == nil {
		return []member{m}
	}
	from, to := m.key[found[2]:found[3]], m.key[found[4]:found[5]]
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	fail := func(text, fix string) []member {
		x.fail(m.pos, text, fix)
		return nil
	}
	switch {
	case err1 != nil || err2 != nil || first < 0:
		return fail(fmt.Sprintf("%s is not a range of numbers", quote(m.key[found[0]:found[1]])), "write it as {1..8}")
	case last < first:
		return fail(fmt.Sprintf("the range %s is empty", m.key[found[0]:found[1]]), "write the smaller number first")
	case last-first >= maxRange:
		return fail(fmt.Sprintf("the range %s has more than %d names", m.key[found[0]:found[1]], maxRange), "make it smaller")
	case rangeText.MatchString(m.key[found[1]:]):
		return fail("two ranges in one key", "use one; an outer key may have another")
	}
	width := 0
	if strings.HasPrefix(from, "0") && len(from) > 1 {
		width = len(from)
	}
	out := make([]member, 0, last-first+1)
	for i := first; i <= last; i++ {
		if x.made > maxExpanded {
			return fail("the ranges of this file make too many values", "make them smaller")
		}
		key := fmt.Sprintf("%s%0*d%s", m.key[:found[0]], width, i, m.key[found[1]:])
		out = append(out, member{key: key, pos: m.pos, value: x.numbered(m.value, strconv.Itoa(i))})
	}
	return out
}

// numbered returns n with ${n} replaced by a number.
func (x *expander) numbered(n *node, number string) *node {
	x.made++
	if !n.dynamic {
		return n
	}
	replace := func(text string) string {
		out, unclosed := substitute(text, func(name string) (string, bool) {
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
	switch n.kind {
	case scalar:
		if out.text = replace(n.text); out.text != n.text {
			out.plain = true
		}
		out.dynamic = hasVariable(out.text)
	case list:
		out.items, out.dynamic = make([]*node, len(n.items)), false
		for i, item := range n.items {
			out.items[i] = x.numbered(item, number)
			out.dynamic = out.dynamic || out.items[i].dynamic
		}
	case mapping:
		members := make([]member, len(n.members))
		for i, m := range n.members {
			members[i] = member{replace(m.key), m.pos, m.bare, x.numbered(m.value, number)}
		}
		out = *newMapping(n.pos, members)
		out.flow, out.partial = n.flow, n.partial
	}
	return &out
}
