package configs

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"fieldbridge/setting"
)

// hasVariable reports whether text has a ${name}, or a $${ that stands for ${.
func hasVariable(text string) bool { return strings.Contains(text, "${") }

// substitute replaces each ${name} by what value returns, and $${ by ${ unless
// keepEscapes. It ends at the first that value does not know and returns its
// name; "" if all went well.
func substitute(text string, value func(name string) (string, bool), keepEscapes bool) (out, unknown string) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), ""
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1])
			if keepEscapes {
				b.WriteByte('$')
			}
			b.WriteString("${")
			text = text[i+2:]
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return b.String(), text[i:]
		}
		name := text[i+2 : i+end]
		v, ok := value(name)
		if !ok {
			return b.String(), name
		}
		b.WriteString(text[:i])
		b.WriteString(v)
		text = text[i+end+1:]
	}
}

// substituter replaces the variables in the tree of one gateway.
type substituter struct {
	vars      map[string]*node
	resolving map[string]bool // variables that are being looked up
	problems  []Problem
	missing   []Problem // environment variables and files that are not here
}

func newSubstituter(vars *node) *substituter {
	s := &substituter{vars: make(map[string]*node), resolving: make(map[string]bool)}
	if vars == nil {
		return s
	}
	if vars.kind != mapping {
		s.fail(vars.pos, "vars is "+show(vars)+" where names with values are needed", "write vars: {name: value}")
		return s
	}
	for _, m := range vars.members {
		s.vars[m.key] = m.value
	}
	return s
}

func (s *substituter) fail(at Position, text, fix string) {
	s.problems = append(s.problems, Problem{at, text, fix})
}

// resolve returns n with its variables replaced. What has none is shared.
func (s *substituter) resolve(n *node) *node {
	if !n.dynamic {
		return n
	}
	out := *n
	out.dynamic = false
	switch n.kind {
	case scalar:
		return s.scalar(n)
	case list:
		out.items = make([]*node, len(n.items))
		for i, item := range n.items {
			out.items[i] = s.resolve(item)
		}
	case mapping:
		out.members = make([]member, len(n.members))
		for i, m := range n.members {
			key := &node{kind: scalar, pos: m.pos, text: m.key, dynamic: hasVariable(m.key)}
			if key.dynamic {
				key = s.scalar(key)
			}
			out.members[i] = member{key.text, m.pos, m.bare, s.resolve(m.value)}
		}
	}
	return &out
}

// maxText is the most bytes of a text with variables: nothing that is configured
// is so long.
const maxText = 64 << 10

// scalar replaces the variables of one text. A text that is nothing but a
// variable becomes its value, be it a list or a map; the value's own place is
// told when it turns out to be wrong.
func (s *substituter) scalar(n *node) *node {
	if name, ok := soleVariable(n.text); ok {
		v := s.lookup(name, n)
		if v == nil {
			return &node{kind: scalar, pos: n.pos, text: n.text, plain: true, unknown: true}
		}
		return v
	}
	out := &node{kind: scalar, pos: n.pos, plain: true}
	secret := false
	text, unknown := substitute(n.text, func(name string) (string, bool) {
		v := s.lookup(name, n)
		if v == nil {
			out.unknown = true
			return "", true
		}
		if v.kind != scalar {
			s.fail(n.pos, fmt.Sprintf("${%s} is %s and can't be part of a text", name, show(v)), "let it be the whole value")
			out.unknown = true
			return "", true
		}
		secret = secret || v.secret != nil
		out.unknown = out.unknown || v.unknown
		return v.text, true
	}, false)
	if unknown != "" {
		s.fail(n.pos, fmt.Sprintf("%s is not closed", quote(unknown)), "write ${name}, or $${ for the two characters")
		out.unknown = true
	}
	if len(text) > maxText {
		s.fail(n.pos, fmt.Sprintf("the text becomes longer than %d bytes", maxText), "use less of the variables")
		out.unknown = true
	}
	if out.text = text; out.unknown {
		out.text = n.text
	}
	if secret {
		source, _ := substitute(n.text, func(name string) (string, bool) {
			if v := s.lookup(name, n); v != nil && v.secret == nil {
				return v.text, true
			} else if v != nil {
				return v.source(), true
			}
			return "", true
		}, true)
		out.secret = &source
	}
	if strings.Contains(n.text, "$${") && unknownVariables(n.text) == 0 {
		out.plain = n.plain // an escape only
	}
	return out
}

// unknownVariables counts the variables of a text; escapes are none.
func unknownVariables(text string) int {
	n := 0
	substitute(text, func(string) (string, bool) { n++; return "", true }, true)
	return n
}

// soleVariable returns the name in a text that is ${name} and no more.
func soleVariable(text string) (string, bool) {
	if !strings.HasPrefix(text, "${") || strings.IndexByte(text, '}') != len(text)-1 {
		return "", false
	}
	return text[2 : len(text)-1], true
}

// lookup returns the value of a variable that n uses, or nil after telling why
// there is none.
func (s *substituter) lookup(name string, n *node) *node {
	if env, ok := strings.CutPrefix(name, "env:"); ok {
		text, ok := os.LookupEnv(env)
		if !ok {
			return s.notHere(n, name, fmt.Sprintf("the environment variable %s is not set", env), "set it where fieldbridge runs")
		}
		return &node{kind: scalar, pos: n.pos, text: text, plain: true, secret: new("${" + name + "}")}
	}
	if file, ok := strings.CutPrefix(name, "file:"); ok {
		return s.file(file, n, name)
	}
	v, ok := s.vars[name]
	if !ok {
		fix := "add it to vars"
		if near := setting.Suggest(name, slices.Sorted(maps.Keys(s.vars))); near != "" {
			fix = fmt.Sprintf("did you mean ${%s}?", near)
		}
		s.fail(n.pos, fmt.Sprintf("there is no variable %q", name), fix)
		return nil
	}
	if v.kind == null {
		s.fail(v.pos, fmt.Sprintf("variable %s has no value", name), "give it one, or remove it")
		return nil
	}
	if !v.dynamic {
		return v
	}
	if s.resolving[name] {
		s.fail(v.pos, fmt.Sprintf("variable %s is made of itself", name), "break the circle")
		return nil
	}
	s.resolving[name] = true
	defer delete(s.resolving, name)
	s.vars[name] = s.resolve(v)
	return s.vars[name]
}

// file returns what a file has, without the newline at its end.
func (s *substituter) file(name string, n *node, variable string) *node {
	path := resolve(n.pos.File, name)
	content, err := readFile(path)
	if err != nil {
		return s.notHere(n, variable, fmt.Sprintf("%s: %s", path, err.text), err.fix)
	}
	text := strings.TrimRight(string(content), "\r\n")
	return &node{kind: scalar, pos: n.pos, text: text, plain: true, secret: new("${" + variable + "}")}
}

// notHere notes what this machine does not have; the value stays unknown.
func (s *substituter) notHere(n *node, variable, text, fix string) *node {
	s.missing = append(s.missing, Problem{n.pos, text, fix})
	return &node{kind: scalar, pos: n.pos, text: "${" + variable + "}", plain: true, unknown: true}
}
