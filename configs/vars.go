package configs

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// substituter replaces the variables in the tree of one gateway.
type substituter struct {
	vars      map[string]*tree.Node
	resolving map[string]bool // variables that are being looked up
	problems  []tree.Problem
	missing   []tree.Problem    // environment variables and files that are not here
	unknown   []string          // the variables of these, as they are written
	held      map[string]string // what environment variables and files hold, to where it is

	ctx     context.Context
	read    map[string]string // what files hold, by their paths
	weights weights
	nodes   int  // that variables have made
	bytes   int  // of texts that they have made
	over    bool // a budget is used up, which is told
}

func newSubstituter(ctx context.Context, vars *tree.Node) *substituter {
	s := &substituter{ctx: ctx, weights: make(weights), read: make(map[string]string),
		vars: make(map[string]*tree.Node), resolving: make(map[string]bool)}
	if vars == nil {
		return s
	}
	if vars.Kind != tree.Mapping {
		s.fail(vars.Pos, "vars is "+vars.Show()+" where names with values are needed", "write vars: {name: value}")
		return s
	}
	for _, m := range vars.Members {
		s.vars[m.Key] = m.Value
	}
	return s
}

func (s *substituter) fail(at tree.Position, text, fix string) {
	s.problems = append(s.problems, tree.NewProblem(at, text, fix))
}

// resolve returns n with its variables replaced. What has no variables is shared.
func (s *substituter) resolve(n *tree.Node) *tree.Node {
	if !n.Dynamic {
		return n
	}
	out := *n
	out.Dynamic = false
	switch n.Kind {
	case tree.Scalar:
		return s.scalar(n)
	case tree.List:
		out.Items = make([]*tree.Node, len(n.Items))
		for i, item := range n.Items {
			out.Items[i] = s.resolve(item)
		}
	case tree.Mapping:
		out.Members = make([]tree.Member, len(n.Members))
		for i, m := range n.Members {
			key := &tree.Node{Kind: tree.Scalar, Pos: m.Pos, Text: m.Key, Dynamic: tree.HasVariable(m.Key)}
			if key.Dynamic {
				key = s.key(m.Key, s.scalar(key))
			}
			out.Members[i] = tree.Member{Key: key.Text, Pos: m.Pos, Bare: m.Bare, Value: s.resolve(m.Value)}
		}
	}
	return &out
}

// key refuses what is not to be shown as a key: keys are names, which are shown
// everywhere.
func (s *substituter) key(written string, n *tree.Node) *tree.Node {
	if n.Secret == nil {
		return n
	}
	s.fail(n.Pos, "a key cannot be from "+n.Source()+": keys are shown to anyone", "write it out, or take it from vars")
	return &tree.Node{Kind: tree.Scalar, Pos: n.Pos, Text: written, Unknown: true}
}

// maxText is the most bytes of a text with variables: nothing that is configured
// is so long.
const maxText = 64 << 10

// scalar replaces the variables of one text. A text that is nothing but a
// variable becomes its value, be it a list or a map; the value's own place is
// told when it turns out to be wrong.
func (s *substituter) scalar(n *tree.Node) *tree.Node {
	if name, ok := tree.SoleVariable(n.Text); ok {
		v := s.lookup(name, n)
		if v == nil || !s.afford(n.Pos, s.weights.of(v), len(v.Text)) {
			return &tree.Node{Kind: tree.Scalar, Pos: n.Pos, Text: n.Text, Plain: true, Unknown: true}
		}
		return v
	}
	out := &tree.Node{Kind: tree.Scalar, Pos: n.Pos, Plain: true}
	secret, here := false, false
	text, unknown := tree.Substitute(n.Text, func(name string) (string, bool) {
		v := s.lookup(name, n)
		if v == nil {
			out.Unknown = true
			return "", true
		}
		if v.Kind != tree.Scalar {
			s.fail(n.Pos, fmt.Sprintf("${%s} is %s and cannot be part of a text", name, v.Show()), "let it be the whole value")
			out.Unknown = true
			return "", true
		}
		secret, here = secret || v.Secret != nil, here || v.Here
		out.Unknown = out.Unknown || v.Unknown
		return v.Text, true
	}, false)
	if unknown != "" {
		s.fail(n.Pos, fmt.Sprintf("%s is not closed", tree.Quote(unknown)), "write ${name}, or $${ for the two characters")
		out.Unknown = true
	}
	if !s.afford(n.Pos, 1, len(text)) {
		out.Unknown = true
	}
	if len(text) > maxText {
		s.fail(n.Pos, fmt.Sprintf("the text becomes longer than %d bytes", maxText), "use less of the variables")
		out.Unknown = true
	}
	if out.Text = text; out.Unknown {
		out.Text = n.Text
	}
	if secret {
		source, _ := tree.Substitute(n.Text, func(name string) (string, bool) {
			if v := s.lookup(name, n); v != nil && v.Secret == nil {
				return v.Text, true
			} else if v != nil {
				return v.Source(), true
			}
			return "", true
		}, true)
		out.Secret, out.Here = &source, here
	}
	if strings.Contains(n.Text, "$${") && tree.UnknownVariables(n.Text) == 0 {
		out.Plain = n.Plain // an escape only
	}
	return out
}

// afford takes from the budgets of variables, and tells once that one is used up.
func (s *substituter) afford(at tree.Position, nodes, bytes int) bool {
	s.nodes += min(nodes, maxNodes+1)
	s.bytes += bytes
	switch {
	case s.over:
	case s.ctx.Err() != nil:
		s.over = true
	case s.nodes > maxNodes:
		s.over = true
		s.fail(at, fmt.Sprintf("variables make more than %d values", maxNodes),
			"use fewer of them here, or in what they are made of")
	case s.bytes > maxReplaced:
		s.over = true
		s.fail(at, fmt.Sprintf("variables make more than %d MiB of text", maxReplaced>>20), "use fewer of them")
	}
	return !s.over
}

// lookup returns the value of a variable that n uses, or nil after telling why
// there is none.
func (s *substituter) lookup(name string, n *tree.Node) *tree.Node {
	if env, ok := strings.CutPrefix(name, "env:"); ok {
		return s.environment(env, n)
	}
	if file, ok := strings.CutPrefix(name, "file:"); ok {
		return s.file(file, n, name)
	}
	v, ok := s.vars[name]
	if !ok {
		fix := "add it to vars"
		if _, set := os.LookupEnv(name); set || name == strings.ToUpper(name) {
			fix = fmt.Sprintf("write ${env:%s} for an environment variable, or add it to vars", name)
		}
		if near := setting.Suggest(name, slices.Sorted(maps.Keys(s.vars))); near != "" {
			fix = fmt.Sprintf("did you mean ${%s}?", near)
		}
		s.fail(n.Pos, fmt.Sprintf("there is no variable %q", name), fix)
		return nil
	}
	if v.Kind == tree.Null {
		s.fail(v.Pos, fmt.Sprintf("variable %s has no value", name), "give it one, or remove it")
		return nil
	}
	if !v.Dynamic {
		return v
	}
	if s.resolving[name] {
		s.fail(v.Pos, fmt.Sprintf("variable %s is made of itself", name), "break the circle")
		return nil
	}
	s.resolving[name] = true
	defer delete(s.resolving, name)
	s.vars[name] = s.resolve(v)
	return s.vars[name]
}

// environment returns what a variable of the environment holds. As in a shell
// ${env:NAME:-default} is the default where NAME is not set or empty; the default
// stands in the file, so it is no secret.
func (s *substituter) environment(variable string, n *tree.Node) *tree.Node {
	name, byDefault, hasDefault := strings.Cut(variable, ":-")
	text, ok := os.LookupEnv(name)
	switch {
	case strings.Contains(byDefault, "${"):
		s.fail(n.Pos, "the default of ${env:"+name+"} has a variable in it", "write a plain text there, without ${")
		return nil
	case hasDefault && text == "":
		return &tree.Node{Kind: tree.Scalar, Pos: n.Pos, Text: byDefault, Plain: true}
	case !ok:
		return s.notHere(n, "env:"+name, fmt.Sprintf("the environment variable %s is not set", name),
			fmt.Sprintf("set it where fieldbridge runs, or write a default: ${env:%s:-text}", name))
	}
	return s.hold(n, text, "env:"+name)
}

// file returns what a file has, without the newline at its end.
func (s *substituter) file(name string, n *tree.Node, variable string) *tree.Node {
	path := resolve(n.Pos.File, name)
	text, ok := s.read[path]
	if !ok {
		content, p := readFile(path, n.Pos)
		if p != nil {
			return s.notHere(n, variable, path+": "+p.Text, p.Fix)
		}
		held, err := setting.Text(content)
		if err != nil {
			return s.notHere(n, variable, path+" "+err.Error(), setting.FixUTF16)
		}
		text = strings.TrimRight(string(held), "\r\n")
		s.read[path] = text
	}
	return s.hold(n, text, variable)
}

// hold returns the value of an environment variable or file.
func (s *substituter) hold(n *tree.Node, text, variable string) *tree.Node {
	source := "${" + variable + "}"
	if s.held == nil {
		s.held = make(map[string]string)
	}
	s.held[text] = source
	return &tree.Node{Kind: tree.Scalar, Pos: n.Pos, Text: text, Plain: true, Secret: &source}
}

// notHere notes what this machine does not have; the value stays unknown.
func (s *substituter) notHere(n *tree.Node, variable, text, fix string) *tree.Node {
	s.missing = append(s.missing, tree.NewProblem(n.Pos, text, fix))
	s.unknown = append(s.unknown, "${"+variable+"}")
	return &tree.Node{Kind: tree.Scalar, Pos: n.Pos, Text: "${" + variable + "}", Plain: true, Unknown: true}
}
