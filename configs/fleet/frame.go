package fleet

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/configs/keys"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// Keys are what a fleet file may say: its own keys, and those of the file of a
// gateway, which belong below defaults, a group or a gateway.
type Keys struct{ File, Gateway []keys.Field }

// New checks the frame of a fleet file whose tree is root. What it returns is
// of use if there are no problems.
func New(root *tree.Node, known Keys) (*File, []tree.Problem) {
	f := &File{Pos: root.Pos, groups: make(map[string]*tree.Node), gateways: make(map[string]tree.Member)}
	b := builder{f: f}
	b.keys(root, known)
	if n := root.At("fleet"); n != nil && n.Kind == tree.Scalar {
		f.Name = n.Text
	} else {
		b.fail(root.Pos, "the fleet has no name", "begin the file with fleet: NAME")
	}
	f.base = tree.NewMapping(root.Pos, nil)
	for _, key := range []string{"vars", "profiles"} {
		if m := root.Get(key); m != nil && b.isMapping(m) {
			f.base = f.base.With(key, m.Pos, m.Value)
		}
	}
	if m := root.Get("defaults"); m != nil && b.isMapping(m) {
		f.base = tree.Merge(f.base, m.Value)
	}
	if m := root.Get("groups"); m != nil && b.isMapping(m) {
		for _, g := range m.Value.Members {
			if b.isMapping(&g) {
				f.groups[g.Key] = g.Value
			}
		}
	}
	b.gateways(root)
	return f, b.problems
}

// builder checks the frame of a fleet file.
type builder struct {
	f        *File
	problems []tree.Problem
}

func (b *builder) fail(at tree.Position, text, fix string) {
	b.problems = append(b.problems, tree.NewProblem(at, text, fix))
}

func (b *builder) isMapping(m *tree.Member) bool {
	if m.Value.Kind != tree.Mapping {
		text := m.Key + " is " + m.Value.Show() + " where keys are needed"
		if m.Value.Kind == tree.Null {
			text = m.Key + " has no value"
		}
		b.fail(m.Value.Pos, text, "write its keys on the lines below, indented")
	}
	return m.Value.Kind == tree.Mapping
}

func (b *builder) keys(root *tree.Node, known Keys) {
	for _, m := range root.Members {
		if keys.Has(known.File, m.Key) {
			continue
		}
		fix := "the keys of a fleet file are " + keys.List(known.File)
		if near := keys.Suggest(m.Key, known.File); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		} else if keys.Has(known.Gateway, m.Key) {
			fix = "put it under defaults, a group or a gateway"
		}
		b.fail(m.Pos, fmt.Sprintf("unknown key %q", m.Key), fix)
	}
}

func (b *builder) gateways(root *tree.Node) {
	m := root.Get("gateways")
	if m == nil {
		b.fail(root.Pos, "the fleet has no gateways", "add gateways: and below it, indented, their names")
		return
	}
	if !b.isMapping(m) {
		return
	}
	used := make(map[string]bool)
	for _, g := range m.Value.Members {
		if g.Value.Kind == tree.Null {
			g.Value = tree.NewMapping(g.Pos, nil)
		}
		if !b.isMapping(&g) {
			continue
		}
		if own := g.Value.Get("gateway"); own != nil {
			b.fail(own.Pos, "a gateway of a fleet is named by its key", "remove this")
		}
		groups := b.groupsOf(g.Value.Get("groups"))
		for _, name := range groups {
			used[name] = true
		}
		b.f.gateways[g.Key] = g
		b.f.Gateways = append(b.f.Gateways, Gateway{g.Key, groups, g.Pos})
	}
	if groups := root.At("groups"); groups != nil {
		for _, g := range groups.Members {
			if !used[g.Key] {
				b.f.Warnings = append(b.f.Warnings,
					tree.NewProblem(g.Pos, fmt.Sprintf("group %q is not used: no gateway is in it", g.Key), "use it or remove it"))
			}
		}
	}
}

// groupsOf returns the names of groups that exist.
func (b *builder) groupsOf(m *tree.Member) []string {
	if m == nil {
		return nil
	}
	if m.Value.Kind != tree.List {
		b.fail(m.Value.Pos, "groups is "+m.Value.Show()+" where a list is needed", "write groups: [a, b]")
		return nil
	}
	var names []string
	for _, item := range m.Value.Items {
		switch {
		case item.Kind != tree.Scalar:
			b.fail(item.Pos, "a group is named by text", "write groups: [a, b]")
		case b.f.groups[item.Text] == nil:
			b.fail(item.Pos, fmt.Sprintf("there is no group %q", item.Text),
				setting.Meant(item.Text, slices.Sorted(maps.Keys(b.f.groups)), "add it under groups"))
		case slices.Contains(names, item.Text):
			b.fail(item.Pos, fmt.Sprintf("group %q is named twice", item.Text), "remove one of them")
		default:
			names = append(names, item.Text)
		}
	}
	return names
}
