package configs

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"fieldbridge/configs/tree"
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
	own      *tree.Node // the profiles of the file, may be nil
	problems []tree.Problem
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
	if name := n.Get("profile"); name != nil {
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
	return n
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
		return m.Value.Without(described...)
	}
	if n := shipped(s.folder, name.Text); n != nil {
		return n
	}
	names := shippedNames(s.folder)
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

// described are keys of a profile that only tell people about it.
var described = []string{"about", "source"}

var shippedCache sync.Map // file to *node

// shipped returns a profile of the library without what describes it, or nil.
func shipped(folder, name string) *tree.Node {
	file := path.Join(folder, name+".yaml")
	if n, ok := shippedCache.Load(file); ok {
		return n.(*tree.Node)
	}
	content, err := library.ReadFile(file)
	if err != nil || strings.ContainsAny(name, "/\\") {
		return nil
	}
	n, problems := tree.Parse("shipped:"+file, content)
	if n == nil || len(problems) > 0 {
		return nil // the test of all shipped profiles tells why
	}
	n = n.Without(described...)
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
