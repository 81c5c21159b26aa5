package configs

import (
	"reflect"

	"fieldbridge/configs/profiles"
	"fieldbridge/configs/tree"
	"fieldbridge/southbound/mqtt"
)

// unusedProfiles checks the profiles of a file that nothing names: a mistake in
// one shall not wait for its first use. root is the whole tree of the file.
func unusedProfiles(root *tree.Node) []tree.Problem {
	named := root.At("profiles")
	if named == nil || named.Kind != tree.Mapping {
		return nil
	}
	used := make(map[string]bool)
	namedProfiles(root, used)
	var problems []tree.Problem
	for _, m := range named.Members {
		if used[m.Key] || m.Value.Kind != tree.Mapping {
			continue
		}
		in := new(place).down("profiles").down(m.Key)
		n := opaque(m.Value.Without(profiles.Described...))
		device, sensor := decoder{}, decoder{}
		device.fresh(n, reflect.New(reflect.TypeFor[profile]()).Elem(), in)
		sensor.fresh(n, reflect.New(reflect.TypeFor[mqtt.Sensor]()).Elem(), in)
		if len(sensor.problems) > 0 { // nor is it a recipe
			problems = append(problems, device.problems...)
		}
	}
	return problems
}

// namedProfiles collects what any profile: in a tree says.
func namedProfiles(n *tree.Node, names map[string]bool) {
	for _, item := range n.Items {
		namedProfiles(item, names)
	}
	for _, m := range n.Members {
		if m.Key == "profile" && m.Value.Kind == tree.Scalar {
			names[m.Value.Text] = true
		}
		namedProfiles(m.Value, names)
	}
}

// opaque returns n with all that has variables unknown.
func opaque(n *tree.Node) *tree.Node {
	if !n.Dynamic {
		return n
	}
	out := *n
	switch n.Kind {
	case tree.Scalar:
		out.Unknown = true
	case tree.List:
		out.Items = make([]*tree.Node, len(n.Items))
		for i, item := range n.Items {
			out.Items[i] = opaque(item)
		}
	case tree.Mapping:
		out.Members = make([]tree.Member, len(n.Members))
		for i, m := range n.Members {
			m.Value = opaque(m.Value)
			out.Members[i] = m
		}
	}
	return &out
}
