package configs

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"fieldbridge/setting"
)

// library has the profiles of well-known devices and sensors that ship with the
// program, one file each.
//
//go:embed profiles sensors
var library embed.FS

// shelf is a place where things may name a profile.
type shelf struct {
	folder string   // of the library
	things []string // path of the map of things
	what   string
}

var shelves = []shelf{
	{"profiles", []string{"southbound", "modbus", "devices"}, "device"},
	{"sensors", []string{"southbound", "mqtt", "sensors"}, "sensor"},
}

// profiler lays devices and sensors upon the profiles that they name.
type profiler struct {
	own      *node // the profiles of the file, may be nil
	problems []Problem
}

// apply returns the tree of a gateway with all profiles written out.
func (p *profiler) apply(root *node) *node {
	if m := root.get("profiles"); m != nil {
		if m.value.kind != mapping {
			p.fail(m.value.pos, "profiles is "+show(m.value)+" where names with values are needed", "write profiles: and below it, indented, a name and its points")
		} else {
			p.own = m.value
		}
		root = root.without("profiles")
	}
	for _, s := range shelves {
		things := root.at(s.things...)
		if things == nil || things.kind != mapping {
			continue
		}
		members := make([]member, len(things.members))
		changed := false
		for i, m := range things.members {
			members[i] = m
			if value := p.thing(s, m); value != m.value {
				members[i].value, changed = value, true
			}
		}
		if changed {
			root = root.replace(s.things, newMapping(things.pos, members))
		}
	}
	return root
}

// replace returns n with another value at path, which exists.
func (n *node) replace(path []string, value *node) *node {
	if len(path) == 0 {
		return value
	}
	m := n.get(path[0])
	return n.with(path[0], m.pos, m.value.replace(path[1:], value))
}

func (p *profiler) fail(at Position, text, fix string) {
	p.problems = append(p.problems, Problem{at, text, fix})
}

// thing lays one device or sensor upon its profile, and picks the points that
// only names.
func (p *profiler) thing(s shelf, m member) *node {
	n := m.value
	if n.kind != mapping {
		return n
	}
	var own *node // what is written beside a profile
	if name := n.get("profile"); name != nil {
		own = n.at("points")
		n = n.without("profile")
		if profile := p.find(s, name.value); profile != nil {
			n = overProfile(profile, n)
		} else {
			n.partial = true // n is a copy: what it lacks may be the profile's
		}
	}
	if only := n.get("only"); only != nil && s.what == "device" {
		n = p.pick(n.without("only"), only.value, own, m.key)
	}
	return n
}

// overProfile merges a thing upon its profile. Points replace one another whole.
func overProfile(profile, thing *node) *node {
	base, own := profile.at("points"), thing.at("points")
	out := merge(profile.without("points"), thing.without("points"))
	out.pos = thing.pos
	switch {
	case base == nil && own == nil:
		return out
	case base == nil || own != nil && (own.kind != mapping || base.kind != mapping):
		return out.with("points", thing.get("points").pos, own)
	case own == nil:
		return out.with("points", profile.get("points").pos, base)
	}
	points := make([]member, 0, len(base.members)+len(own.members))
	for _, m := range base.members {
		if o := own.get(m.key); o == nil {
			points = append(points, m)
		} else if !o.value.removes() {
			points = append(points, *o)
		}
	}
	for _, o := range own.members {
		if base.get(o.key) == nil {
			points = append(points, o)
		}
	}
	return out.with("points", thing.get("points").pos, newMapping(own.pos, points))
}

// pick keeps the points that only names, those that the device has of its own
// beside its profile, and the scale points of both.
func (p *profiler) pick(n, only, own *node, device string) *node {
	points := n.get("points")
	if only.kind != list || points == nil || points.value.kind != mapping {
		p.fail(only.pos, "only is "+show(only)+" where a list of points is needed", "write only: [a, b] with points of the profile")
		return n
	}
	var keep []string
	for _, item := range only.items {
		if item.kind != scalar || points.value.get(item.text) == nil {
			var names []string
			for _, m := range points.value.members {
				names = append(names, m.key)
			}
			fix := "the points are " + strings.Join(names, ", ")
			if near := setting.Suggest(item.text, names); near != "" {
				fix = fmt.Sprintf("did you mean %q?", near)
			}
			p.fail(item.pos, fmt.Sprintf("%s has no point %s", device, show(item)), fix)
			continue
		}
		keep = append(keep, item.text)
	}
	if own != nil {
		for _, m := range own.members {
			keep = append(keep, m.key)
		}
	}
	for _, m := range points.value.members {
		if factor := m.value.at("scale_point"); factor != nil && factor.kind == scalar && slices.Contains(keep, m.key) {
			keep = append(keep, factor.text)
		}
	}
	var members []member
	for _, m := range points.value.members {
		if slices.Contains(keep, m.key) {
			members = append(members, m)
		}
	}
	return n.with("points", points.pos, newMapping(points.value.pos, members))
}

// find returns a profile by its name: one of the file, or of the library.
func (p *profiler) find(s shelf, name *node) *node {
	if name.kind != scalar {
		p.fail(name.pos, "profile is "+show(name)+" where a name is needed", "write profile: NAME")
		return nil
	}
	if m := p.own.get(name.text); m != nil {
		if m.value.kind != mapping {
			p.fail(m.value.pos, fmt.Sprintf("profile %s is %s where keys are needed", m.key, show(m.value)), "write points: and below it, indented, the points")
			return nil
		}
		return m.value.without(described...)
	}
	if n := shipped(s.folder, name.text); n != nil {
		return n
	}
	names := shippedNames(s.folder)
	if p.own != nil {
		for _, m := range p.own.members {
			names = append(names, m.key)
		}
	}
	fix := "add it under profiles"
	if near := setting.Suggest(name.text, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	} else if len(names) > 0 {
		fix += "; there are " + strings.Join(names, ", ")
	}
	p.fail(name.pos, fmt.Sprintf("there is no profile %q", name.text), fix)
	return nil
}

// described are keys of a profile that only tell people about it.
var described = []string{"about", "source"}

var shippedCache sync.Map // file to *node

// shipped returns a profile of the library without what describes it, or nil.
func shipped(folder, name string) *node {
	file := path.Join(folder, name+".yaml")
	if n, ok := shippedCache.Load(file); ok {
		return n.(*node)
	}
	content, err := library.ReadFile(file)
	if err != nil || strings.ContainsAny(name, "/\\") {
		return nil
	}
	n, problems := parse("shipped:"+file, content)
	if n == nil || len(problems) > 0 {
		return nil // the test of all shipped profiles tells why
	}
	n = n.without(described...)
	shippedCache.Store(file, n)
	return n
}

// shippedNames lists a folder of the library.
func shippedNames(folder string) []string {
	entries, err := library.ReadDir(folder)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			names = append(names, name)
		}
	}
	return names
}
