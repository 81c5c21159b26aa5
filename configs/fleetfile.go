package configs

import (
	"fmt"
	"slices"

	"fieldbridge/configs/keys"
	"fieldbridge/setting"
)

// newFleet checks the frame of a fleet file, of which r read the tree.
func newFleet(root *node, r *reader) (*Fleet, error) {
	if root == nil {
		return nil, newError(r.problems)
	}
	f := &Fleet{Files: r.files, pos: root.pos, groups: make(map[string]*node), gateways: make(map[string]member)}
	b := fleetBuilder{f: f, problems: r.problems}
	b.keys(root)
	if n := root.at("fleet"); n != nil && n.kind == scalar {
		f.Name = n.text
	} else {
		b.fail(root.pos, "the fleet has no name", "begin the file with fleet: NAME")
	}
	f.base = newMapping(root.pos, nil)
	for _, key := range []string{"vars", "profiles"} {
		if m := root.get(key); m != nil && b.isMapping(m) {
			f.base = f.base.with(key, m.pos, m.value)
		}
	}
	if m := root.get("defaults"); m != nil && b.isMapping(m) {
		f.base = merge(f.base, m.value)
	}
	if m := root.get("groups"); m != nil && b.isMapping(m) {
		for _, g := range m.value.members {
			if b.isMapping(&g) {
				f.groups[g.key] = g.value
			}
		}
	}
	b.gateways(root)
	b.problems = append(b.problems, unusedProfiles(root)...)
	if err := newError(b.problems); err != nil {
		return nil, err
	}
	return f, nil
}

// fleetBuilder checks the frame of a fleet file.
type fleetBuilder struct {
	f        *Fleet
	problems []Problem
}

func (b *fleetBuilder) fail(at Position, text, fix string) {
	b.problems = append(b.problems, Problem{at, text, fix})
}

func (b *fleetBuilder) isMapping(m *member) bool {
	if m.value.kind != mapping {
		text := m.key + " is " + show(m.value) + " where keys are needed"
		if m.value.kind == null {
			text = m.key + " has no value"
		}
		b.fail(m.value.pos, text, "write its keys on the lines below, indented")
	}
	return m.value.kind == mapping
}

func (b *fleetBuilder) keys(root *node) {
	for _, m := range root.members {
		if slices.ContainsFunc(fleetKeys, func(f keys.Field) bool { return f.Key == m.key }) {
			continue
		}
		fix := "the keys of a fleet file are " + keys.List(fleetKeys)
		if near := keys.Suggest(m.key, fleetKeys); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		} else if slices.ContainsFunc(keys.Of(configType), func(f keys.Field) bool { return f.Key == m.key }) {
			fix = "put it under defaults, a group or a gateway"
		}
		b.fail(m.pos, fmt.Sprintf("unknown key %q", m.key), fix)
	}
}

func (b *fleetBuilder) gateways(root *node) {
	m := root.get("gateways")
	if m == nil {
		b.fail(root.pos, "the fleet has no gateways", "add gateways: and below it, indented, their names")
		return
	}
	if !b.isMapping(m) {
		return
	}
	used := make(map[string]bool)
	for _, g := range m.value.members {
		if g.value.kind == null {
			g.value = newMapping(g.pos, nil)
		}
		if !b.isMapping(&g) {
			continue
		}
		if own := g.value.get("gateway"); own != nil {
			b.fail(own.pos, "a gateway of a fleet is named by its key", "remove this")
		}
		groups := b.groupsOf(g.value.get("groups"))
		for _, name := range groups {
			used[name] = true
		}
		b.f.gateways[g.key] = g
		b.f.Gateways = append(b.f.Gateways, FleetGateway{g.key, groups, g.pos})
	}
	if groups := root.at("groups"); groups != nil {
		for _, g := range groups.members {
			if !used[g.key] {
				b.f.Warnings = append(b.f.Warnings, Problem{g.pos, fmt.Sprintf("group %q is not used: no gateway is in it", g.key), "use it or remove it"})
			}
		}
	}
}

// groupsOf returns the names of groups that exist.
func (b *fleetBuilder) groupsOf(m *member) []string {
	if m == nil {
		return nil
	}
	if m.value.kind != list {
		b.fail(m.value.pos, "groups is "+show(m.value)+" where a list is needed", "write groups: [a, b]")
		return nil
	}
	var names []string
	for _, item := range m.value.items {
		switch {
		case item.kind != scalar:
			b.fail(item.pos, "a group is named by text", "write groups: [a, b]")
		case b.f.groups[item.text] == nil:
			var known []string
			for name := range b.f.groups {
				known = append(known, name)
			}
			slices.Sort(known)
			fix := "add it under groups"
			if near := setting.Suggest(item.text, known); near != "" {
				fix = fmt.Sprintf("did you mean %q?", near)
			}
			b.fail(item.pos, fmt.Sprintf("there is no group %q", item.text), fix)
		case slices.Contains(names, item.text):
			b.fail(item.pos, fmt.Sprintf("group %q is named twice", item.text), "remove one of them")
		default:
			names = append(names, item.text)
		}
	}
	return names
}
