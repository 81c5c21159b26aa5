package configs

import (
	"reflect"

	"fieldbridge/southbound/mqtt"
)

// unusedProfiles checks the profiles of a file that nothing names: a mistake in
// one shall not wait for its first use. root is the whole tree of the file.
func unusedProfiles(root *node) []Problem {
	profiles := root.at("profiles")
	if profiles == nil || profiles.kind != mapping {
		return nil
	}
	used := make(map[string]bool)
	namedProfiles(root, used)
	var problems []Problem
	for _, m := range profiles.members {
		if used[m.key] || m.value.kind != mapping {
			continue
		}
		in := new(place).down("profiles").down(m.key)
		n := opaque(m.value.without(described...))
		device, sensor := decoder{}, decoder{}
		device.fresh(n, reflect.New(reflect.TypeFor[profile]()).Elem(), in)
		sensor.fresh(n, reflect.New(reflect.TypeFor[mqtt.Sensor]()).Elem(), in)
		if len(sensor.problems) > 0 { // it is no recipe either
			problems = append(problems, device.problems...)
		}
	}
	return problems
}

// namedProfiles collects what any profile: in a tree says.
func namedProfiles(n *node, names map[string]bool) {
	for _, item := range n.items {
		namedProfiles(item, names)
	}
	for _, m := range n.members {
		if m.key == "profile" && m.value.kind == scalar {
			names[m.value.text] = true
		}
		namedProfiles(m.value, names)
	}
}

// opaque returns n with all that has variables unknown.
func opaque(n *node) *node {
	if !n.dynamic {
		return n
	}
	out := *n
	switch n.kind {
	case scalar:
		out.unknown = true
	case list:
		out.items = make([]*node, len(n.items))
		for i, item := range n.items {
			out.items[i] = opaque(item)
		}
	case mapping:
		out.members = make([]member, len(n.members))
		for i, m := range n.members {
			m.value = opaque(m.value)
			out.members[i] = m
		}
	}
	return &out
}
