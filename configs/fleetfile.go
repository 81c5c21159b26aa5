package configs

import (
	"fmt"
	"slices"

	"fieldbridge/configs/keys"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// newFleet checks the frame of a fleet file, of which r read the tree.
func newFleet(root *tree.Node, r *reader) (*Fleet, error) {
	if root == nil {
		return nil, tree.ErrorOf(r.problems...)
	}
	f := &Fleet{Files: r.files, pos: root.Pos, groups: make(map[string]*tree.Node), gateways: make(map[string]tree.Member)}
	b := fleetBuilder{f: f, problems: r.problems}
	b.keys(root)
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
	b.problems = append(b.problems, unusedProfiles(root)...)
	if err := tree.ErrorOf(b.problems...); err != nil {
		return nil, err
	}
	return f, nil
}

// fleetBuilder checks the frame of a fleet file.
type fleetBuilder struct {
	f        *Fleet
	problems []tree.Problem
}

func (b *fleetBuilder) fail(at tree.Position, text, fix string) {
	b.problems = append(b.problems, tree.NewProblem(at, text, fix))
}

func (b *fleetBuilder) isMapping(m *tree.Member) bool {
	if m.Value.Kind != tree.Mapping {
		text := m.Key + " is " + m.Value.Show() + " where keys are needed"
		if m.Value.Kind == tree.Null {
			text = m.Key + " has no value"
		}
		b.fail(m.Value.Pos, text, "write its keys on the lines below, indented")
	}
	return m.Value.Kind == tree.Mapping
}

func (b *fleetBuilder) keys(root *tree.Node) {
	for _, m := range root.Members {
		if slices.ContainsFunc(fleetKeys, func(f keys.Field) bool { return f.Key == m.Key }) {
			continue
		}
		fix := "the keys of a fleet file are " + keys.List(fleetKeys)
		if near := keys.Suggest(m.Key, fleetKeys); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		} else if slices.ContainsFunc(keys.Of(configType), func(f keys.Field) bool { return f.Key == m.Key }) {
			fix = "put it under defaults, a group or a gateway"
		}
		b.fail(m.Pos, fmt.Sprintf("unknown key %q", m.Key), fix)
	}
}

func (b *fleetBuilder) gateways(root *tree.Node) {
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
		b.f.Gateways = append(b.f.Gateways, FleetGateway{g.Key, groups, g.Pos})
	}
	if groups := root.At("groups"); groups != nil {
		for _, g := range groups.Members {
			if !used[g.Key] {
				b.f.Warnings = append(b.f.Warnings, tree.NewProblem(g.Pos, fmt.Sprintf("group %q is not used: no gateway is in it", g.Key), "use it or remove it"))
			}
		}
	}
}

// groupsOf returns the names of groups that exist.
func (b *fleetBuilder) groupsOf(m *tree.Member) []string {
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
			var known []string
			for name := range b.f.groups {
				known = append(known, name)
			}
			slices.Sort(known)
			fix := "add it under groups"
			if near := setting.Suggest(item.Text, known); near != "" {
				fix = fmt.Sprintf("did you mean %q?", near)
			}
			b.fail(item.Pos, fmt.Sprintf("there is no group %q", item.Text), fix)
		case slices.Contains(names, item.Text):
			b.fail(item.Pos, fmt.Sprintf("group %q is named twice", item.Text), "remove one of them")
		default:
			names = append(names, item.Text)
		}
	}
	return names
}
