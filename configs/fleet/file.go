// Package fleet merges what a fleet file says of each of its gateways. It works on
// trees: what their values mean it leaves to others.
//
//	vars, profiles, defaults ─▶ groups in their order ─▶ the gateway's own keys
package fleet

import (
	"strconv"

	"fieldbridge/configs/tree"
)

// File is a file that describes many gateways: each is the fleet's defaults, then
// its groups in their order, then its own keys, merged deeply. It is immutable.
type File struct {
	Name string
	// Gateways are in the order of the file.
	Gateways []Gateway
	// Warnings are what is probably not meant.
	Warnings []tree.Problem
	// Pos is where the file begins.
	Pos tree.Position

	base     *tree.Node            // vars, profiles and defaults
	groups   map[string]*tree.Node // each without its name
	gateways map[string]tree.Member
}

// Gateway is a gateway of a fleet.
type Gateway struct {
	Name     string
	Groups   []string
	Position tree.Position
}

// Is tells a fleet file from the file of one gateway.
func Is(root *tree.Node) bool {
	return root != nil && root.Get("gateway") == nil && (root.Get("fleet") != nil || root.Get("gateways") != nil)
}

// Has reports whether the fleet has a gateway.
func (f *File) Has(name string) bool {
	_, ok := f.gateways[name]
	return ok
}

// Names returns the names of the gateways in the order of the file.
func (f *File) Names() []string {
	names := make([]string, len(f.Gateways))
	for i, g := range f.Gateways {
		names[i] = g.Name
	}
	return names
}

// Default returns the value at a path that all gateways share, or nil.
func (f *File) Default(path ...string) *tree.Node { return f.base.At(path...) }

// Tree returns what the fleet says of one of its gateways, and warns of nulls
// that remove nothing.
func (f *File) Tree(name string) (root *tree.Node, warnings []tree.Problem) {
	own := f.gateways[name]
	root = f.base
	if groups := own.Value.At("groups"); groups != nil {
		for _, g := range groups.Items {
			root = tree.Merge(root, f.groups[g.Text])
		}
	}
	root = tree.Merge(root, own.Value.Without("groups"))
	text := &tree.Node{Kind: tree.Scalar, Pos: own.Pos, Text: own.Key}
	root = tree.NewMapping(own.Pos, append([]tree.Member{{Key: "gateway", Pos: own.Pos, Value: text}}, root.Members...))
	root = f.sized(root)
	root = grouped(root, own.Value.At("groups"))
	// A device may yet remove points of its profile.
	root = tree.WithoutNulls(root, func(m tree.Member) {
		warnings = append(warnings, tree.NewProblem(m.Pos, m.Key+": null removes nothing here",
			"check the name, or remove the line"))
	})
	return root, warnings
}

// grouped tells a gateway that takes signed orders which groups it is of, unless its
// configuration does: what is signed for a group is taken by its members.
func grouped(root, groups *tree.Node) *tree.Node {
	if at := root.At("updates"); at == nil || at.Kind != tree.Mapping || at.Get("groups") != nil || groups == nil {
		return root
	}
	return root.Set(groups.Pos, groups, "updates", "groups")
}

// sized tells a gateway of a large fleet how many may lose the cloud together,
// unless its configuration does. The number is rounded up, so that a gateway more
// does not change the configuration of all others.
func (f *File) sized(root *tree.Node) *tree.Node {
	const fewest, step = 500, 500
	path := []string{"northbound", "awsiot", "backoff", "gateways"}
	n := len(f.Gateways)
	if n <= fewest || root.At(path[:2]...) == nil || root.At(path...) != nil {
		return root
	}
	value := &tree.Node{Kind: tree.Scalar, Plain: true, Pos: f.Pos, Text: strconv.Itoa((n + step - 1) / step * step)}
	return root.Set(f.Pos, value, path...)
}
