// Package laid lays the devices and sensors of a file upon the profiles that they
// name: those of the file, or those that ship with the program.
package laid

import (
	"fmt"
	"slices"
	"strings"

	"fieldbridge/configs/profiles"
	"fieldbridge/configs/sensors"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// shelf is a place where things may name a profile.
type shelf struct {
	things  []string // path of the map of things
	what    string
	names   func() []string              // of the profiles that ship with the program
	shipped func(name string) *tree.Node // one of them without what describes it, or nil
}

var shelves = []shelf{
	{[]string{"southbound", "modbus", "devices"}, "device", profiles.Names, func(name string) *tree.Node {
		if p := profiles.Find(name); p != nil {
			return p.Tree
		}
		return nil
	}},
	{[]string{"southbound", "mqtt", "sensors"}, "sensor", sensors.Names, sensors.Find},
}

type profiler struct {
	own      *tree.Node // the profiles of the file, may be nil
	problems []tree.Problem
}

// Upon returns the tree of a gateway with all profiles written out, and what is wrong
// with them.
func Upon(root *tree.Node) (*tree.Node, []tree.Problem) {
	var p profiler
	return p.apply(root), p.problems
}

// apply returns the tree of a gateway with all profiles written out.
func (p *profiler) apply(root *tree.Node) *tree.Node {
	if m := root.Get("profiles"); m != nil {
		if m.Value.Kind != tree.Mapping {
			p.fail(m.Value.Pos, "profiles is "+m.Value.Show()+" where names with values are needed",
				"write profiles: and below it, indented, a name and its points")
		} else {
			p.own = m.Value
		}
		root = root.Without("profiles")
	}
	for _, s := range shelves {
		things := root.At(s.things...)
		if things == nil || things.Kind != tree.Mapping {
			continue
		}
		members := make([]tree.Member, len(things.Members))
		changed := false
		for i, m := range things.Members {
			members[i] = m
			if value := p.thing(s, m); value != m.Value {
				members[i].Value, changed = value, true
			}
		}
		if changed {
			root = root.Replace(s.things, tree.NewMapping(things.Pos, members))
		}
	}
	return root
}

func (p *profiler) fail(at tree.Position, text, fix string) {
	p.problems = append(p.problems, tree.NewProblem(at, text, fix))
}

// thing lays one device or sensor upon its profile, and picks the points that
// only names.
func (p *profiler) thing(s shelf, m tree.Member) *tree.Node {
	n := m.Value
	if n.Kind != tree.Mapping {
		return n
	}
	var own *tree.Node // what is written beside a profile
	given, name := n, n.Get("profile")
	if s.what == "device" {
		n = n.Without("upkeep")
	}
	if name != nil {
		own = n.At("points")
		n = n.Without("profile")
		if profile := p.find(s, name.Value); profile != nil {
			n = overProfile(profile, n)
		} else {
			n.Partial = true // n is a copy: what it lacks may be the profile's
		}
	}
	if only := n.Get("only"); only != nil && s.what == "device" {
		n = p.pick(n.Without("only"), only.Value, own, m.Key)
	}
	if s.what == "device" {
		p.allow(given, n)
	}
	return n
}

// allow refuses what a profile would have the gateway write by itself, unless the
// device says that it may: given is what stands in its section, n what came of it.
func (p *profiler) allow(given, n *tree.Node) {
	key, name := given.Get("upkeep"), given.Get("profile")
	allowed := key != nil && key.Value.Text == "true"
	switch {
	case key != nil && name == nil:
		p.fail(key.Value.Pos, "upkeep of a device without a profile", "it lets a profile have the gateway write: remove it")
		return
	case key != nil && !allowed && key.Value.Text != "false":
		p.fail(key.Value.Pos, "upkeep is "+key.Value.Show(), "write true or false")
		return
	case name == nil || allowed:
		return
	}
	var unasked []string
	for _, key := range []string{"before_write", "on_connect"} {
		if n.Get(key) != nil && given.Get(key) == nil {
			unasked = append(unasked, key)
		}
	}
	if points := n.At("points"); points != nil {
		for _, m := range points.Members {
			if m.Value.Get("keep") != nil && given.At("points", m.Key) == nil {
				unasked = append(unasked, "keep of "+m.Key)
			}
		}
	}
	if unasked != nil {
		p.fail(name.Value.Pos, "the profile "+name.Value.Text+" has the gateway write by itself: "+
			strings.Join(unasked, ", "),
			"add upkeep: true to the device if it may, or replace these keys in its section")
	}
}

// overProfile merges a thing upon its profile. Points replace one another whole.
func overProfile(profile, thing *tree.Node) *tree.Node {
	base, own := profile.At("points"), thing.At("points")
	out := tree.Merge(profile.Without("points"), thing.Without("points"))
	out.Pos = thing.Pos
	switch {
	case base == nil && own == nil:
		return out
	case base == nil || own != nil && (own.Kind != tree.Mapping || base.Kind != tree.Mapping):
		return out.With("points", thing.Get("points").Pos, own)
	case own == nil:
		return out.With("points", profile.Get("points").Pos, base)
	}
	points := make([]tree.Member, 0, len(base.Members)+len(own.Members))
	for _, m := range base.Members {
		if o := own.Get(m.Key); o == nil {
			points = append(points, m)
		} else if !o.Value.Removes() {
			points = append(points, *o)
		}
	}
	for _, o := range own.Members {
		if base.Get(o.Key) == nil {
			points = append(points, o)
		}
	}
	return out.With("points", thing.Get("points").Pos, tree.NewMapping(own.Pos, points))
}

// pick keeps the points that only names, those that the device has of its own
// beside its profile, and the scale points of both.
func (p *profiler) pick(n, only, own *tree.Node, device string) *tree.Node {
	points := n.Get("points")
	if only.Kind != tree.List || points == nil || points.Value.Kind != tree.Mapping {
		p.fail(only.Pos, "only is "+only.Show()+" where a list of points is needed",
			"write only: [a, b] with points of the profile")
		return n
	}
	var keep []string
	for _, item := range only.Items {
		if item.Kind != tree.Scalar || points.Value.Get(item.Text) == nil {
			var names []string
			for _, m := range points.Value.Members {
				names = append(names, m.Key)
			}
			p.fail(item.Pos, fmt.Sprintf("%s has no point %s", device, item.Show()),
				setting.Meant(item.Text, names, "the points are "+strings.Join(names, ", ")))
			continue
		}
		keep = append(keep, item.Text)
	}
	if own != nil {
		for _, m := range own.Members {
			keep = append(keep, m.Key)
		}
	}
	for _, m := range points.Value.Members {
		if factor := m.Value.At("scale_point"); factor != nil && factor.Kind == tree.Scalar && slices.Contains(keep, m.Key) {
			keep = append(keep, factor.Text)
		}
	}
	var members []tree.Member
	for _, m := range points.Value.Members {
		if slices.Contains(keep, m.Key) {
			members = append(members, m)
		}
	}
	return n.With("points", points.Pos, tree.NewMapping(points.Value.Pos, members))
}

// find returns a profile by its name: one of the file, or of the library.
func (p *profiler) find(s shelf, name *tree.Node) *tree.Node {
	if name.Kind != tree.Scalar {
		p.fail(name.Pos, "profile is "+name.Show()+" where a name is needed", "write profile: NAME")
		return nil
	}
	if m := p.own.Get(name.Text); m != nil {
		if m.Value.Kind != tree.Mapping {
			p.fail(m.Value.Pos, fmt.Sprintf("profile %s is %s where keys are needed", m.Key, m.Value.Show()),
				"write points: and below it, indented, the points")
			return nil
		}
		return m.Value.Without(profiles.Described...)
	}
	if n := s.shipped(name.Text); n != nil {
		return n
	}
	names := s.names()
	if p.own != nil {
		for _, m := range p.own.Members {
			names = append(names, m.Key)
		}
	}
	fix := "add it under profiles"
	if len(names) > 0 {
		fix += "; there are " + strings.Join(names, ", ")
	}
	p.fail(name.Pos, "there is no profile "+name.Show(), setting.Meant(name.Text, names, fix))
	return nil
}
