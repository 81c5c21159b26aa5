package configs

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"fieldbridge/southbound/modbus"
)

// Fleet is a file that describes many gateways: each is the fleet's defaults,
// then its groups in their order, then its own keys, merged deeply.
type Fleet struct {
	Name string
	// Gateways are in the order of the file.
	Gateways []FleetGateway
	// Files are what was read: the file and those that it includes.
	Files []string
	// Warnings are what is probably not meant.
	Warnings []Problem

	pos      Position
	base     *node            // vars, profiles and defaults
	groups   map[string]*node // each without its name
	gateways map[string]member
}

// FleetGateway is a gateway of a fleet.
type FleetGateway struct {
	Name     string
	Groups   []string
	Position Position
}

// fleetKeys are the keys of a fleet file.
var fleetKeys = fieldsOf(reflect.TypeFor[fleetFile]())

// isFleet tells a fleet file from the file of one gateway.
func isFleet(root *node) bool {
	return root != nil && root.get("gateway") == nil && (root.get("fleet") != nil || root.get("gateways") != nil)
}

// IsFleet reports whether a file can be read and describes a fleet.
func IsFleet(file string) bool {
	content, ferr := readFile(file)
	return ferr == nil && isFleet((&reader{}).read(file, content))
}

// LoadFleet reads a fleet file. Its error tells what is wrong with the file
// itself; [Fleet.Load] and [Fleet.LoadAll] tell what is wrong with gateways.
func LoadFleet(file string) (*Fleet, error) {
	content, ferr := readFile(file)
	if ferr != nil {
		return nil, newError([]Problem{{Position{File: file}, ferr.text, ferr.fix}})
	}
	r := &reader{}
	root := r.read(file, content)
	if root != nil && !isFleet(root) {
		return nil, newError(append(r.problems, Problem{root.pos, "this is not a fleet file", "a fleet file has fleet: NAME and gateways:"}))
	}
	return newFleet(root, r)
}

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
		if slices.ContainsFunc(fleetKeys, func(f field) bool { return f.key == m.key }) {
			continue
		}
		fix := "the keys of a fleet file are " + keyList(fleetKeys)
		if near := suggestKey(m.key, fleetKeys); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		} else if slices.ContainsFunc(fieldsOf(configType), func(f field) bool { return f.key == m.key }) {
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
			if near := suggest(item.text, known); near != "" {
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

// Load returns the configuration of one gateway of the fleet.
func (f *Fleet) Load(name string) (*Loaded, error) {
	own, ok := f.gateways[name]
	if !ok {
		fix := "'fieldbridge fleet list FILE' tells the names"
		if near := suggest(name, f.names()); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, newError([]Problem{{f.pos, fmt.Sprintf("there is no gateway %q in the fleet", name), fix}})
	}
	l := &Loaded{Files: f.Files}
	tree := f.tree(own, func(m member) {
		l.Warnings = append(l.Warnings, Problem{m.pos, fmt.Sprintf("%s: null removes nothing here", m.key), "check the name, or remove the line"})
	})
	if err := l.fill(tree, nil); err != nil {
		return nil, err
	}
	return l, nil
}

// tree merges what the fleet says of one gateway.
func (f *Fleet) tree(own member, nothing func(member)) *node {
	tree := f.base
	if groups := own.value.at("groups"); groups != nil {
		for _, g := range groups.items {
			tree = merge(tree, f.groups[g.text])
		}
	}
	tree = merge(tree, own.value.without("groups"))
	name := &node{kind: scalar, pos: own.pos, text: own.key}
	tree = newMapping(own.pos, append([]member{{key: "gateway", pos: own.pos, value: name}}, tree.members...))
	// A device may yet remove points of its profile.
	return withoutNulls(tree, nothing)
}

func (f *Fleet) names() []string {
	names := make([]string, len(f.Gateways))
	for i, g := range f.Gateways {
		names[i] = g.Name
	}
	return names
}

// LoadAll returns the configurations of all gateways in the order of the file.
// The error has the problems of all, each told once with the gateways that it
// concerns.
func (f *Fleet) LoadAll() ([]*Loaded, error) {
	loaded := make([]*Loaded, len(f.Gateways))
	errs := make([]error, len(f.Gateways))
	next := make(chan int)
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(f.Gateways)) {
		group.Go(func() {
			for i := range next {
				loaded[i], errs[i] = f.Load(f.Gateways[i].Name)
			}
		})
	}
	for i := range f.Gateways {
		next <- i
	}
	close(next)
	group.Wait()
	found := newFindings()
	for i, err := range errs {
		if wrong, ok := err.(*Error); ok {
			for _, p := range wrong.Problems {
				found.add(p, f.Gateways[i].Name)
			}
		}
	}
	if len(found.order) == 0 {
		f.duplicates(loaded, found)
	}
	if err := newError(found.problems(len(f.Gateways))); err != nil {
		return nil, err
	}
	return loaded, nil
}

// LoadEach loads all gateways of a fleet file, or the one of a gateway's own
// file, by name.
func LoadEach(file string) (map[string]*Loaded, error) {
	content, ferr := readFile(file)
	if ferr != nil {
		return nil, newError([]Problem{{Position{File: file}, ferr.text, ferr.fix}})
	}
	r := &reader{}
	root := r.read(file, content)
	if !isFleet(root) {
		l, err := r.load(root)
		if err != nil {
			return nil, err
		}
		return map[string]*Loaded{l.Config.Gateway: l}, nil
	}
	f, err := newFleet(root, r)
	if err != nil {
		return nil, err
	}
	all, err := f.LoadAll()
	if err != nil {
		return nil, err
	}
	each := make(map[string]*Loaded, len(all))
	for i, g := range f.Gateways {
		each[g.Name] = all[i]
	}
	return each, nil
}

// WarningsOf returns the warnings of the fleet and of its gateways, each told
// once. Files that are missing on this machine are none: gateways have theirs.
func (f *Fleet) WarningsOf(gateways []*Loaded) []Problem {
	found := newFindings()
	addresses := make(map[string]string)
	for i, l := range gateways {
		name := f.Gateways[i].Name
		for _, w := range l.Warnings {
			found.add(w, name)
		}
		for _, p := range l.sharedDevices(name, addresses) {
			found.add(p, name)
		}
	}
	return sortProblems(append(found.problems(len(gateways)), f.Warnings...))
}

// sharedDevices finds devices that another gateway polls at the same address.
// Sites may use the same private addresses, so that this is only a warning.
func (l *Loaded) sharedDevices(gateway string, addresses map[string]string) []Problem {
	var problems []Problem
	for _, bus := range modbus.Plan(l.Config.Southbound.Modbus) {
		told := make(map[string]bool)
		for _, b := range bus.Blocks {
			if told[b.Device] || !strings.Contains(bus.Link, "://") || strings.HasPrefix(bus.Link, "rtu:///") {
				continue
			}
			told[b.Device] = true
			address := fmt.Sprintf("%s unit %d", bus.Link, b.UnitID)
			if other, ok := addresses[address]; ok && other != gateway {
				at := l.Position("southbound", "modbus", "devices", b.Device)
				problems = append(problems, Problem{at, fmt.Sprintf("device %s at %s is also polled by gateway %s", b.Device, address, other), "if it is the same device, let one gateway poll it"})
				continue
			}
			addresses[address] = gateway
		}
	}
	return problems
}

// duplicates finds gateways that would throw each other off the cloud.
func (f *Fleet) duplicates(loaded []*Loaded, found *findings) {
	first := make(map[string]string)
	for i, l := range loaded {
		id := l.Config.ClientID()
		name := f.Gateways[i].Name
		if other, ok := first[id]; ok {
			found.add(Problem{l.Position("northbound", "awsiot", "client_id"), fmt.Sprintf("client id %q is also that of gateway %s", id, other),
				"give each gateway its own: two with one id throw each other out"}, name)
			continue
		}
		first[id] = name
	}
}

// findings are problems and the gateways that have them.
type findings struct {
	order    []Problem
	gateways map[Problem][]string
}

func newFindings() *findings { return &findings{gateways: make(map[Problem][]string)} }

func (f *findings) add(p Problem, gateway string) {
	if _, ok := f.gateways[p]; !ok {
		f.order = append(f.order, p)
	}
	f.gateways[p] = append(f.gateways[p], gateway)
}

// problems returns each problem once, with its gateways unless all have it.
func (f *findings) problems(all int) []Problem {
	out := make([]Problem, 0, len(f.order))
	for _, p := range f.order {
		names := f.gateways[p]
		switch {
		case len(names) == all && all > 1:
			p.Text += " (all gateways)"
		case len(names) <= 3:
			p.Text += " (" + strings.Join(names, ", ") + ")"
		default:
			p.Text += fmt.Sprintf(" (%s and %d more gateways)", names[0], len(names)-1)
		}
		out = append(out, p)
	}
	return out
}

// whoAmI finds which gateway of the fleet this machine is: by its certificate,
// else by its host name.
func (f *Fleet) whoAmI() (string, error) {
	host, _ := os.Hostname() // "" is a name that no gateway has
	candidates := []string{commonName(f.base.at("northbound", "awsiot", "certificate")), host}
	for _, name := range candidates {
		if _, ok := f.gateways[name]; ok {
			return name, nil
		}
	}
	text := fmt.Sprintf("which gateway of the fleet is this? The host is called %q", host)
	if candidates[0] != "" {
		text += fmt.Sprintf(", the certificate says %q", candidates[0])
	}
	return "", newError([]Problem{{f.pos, text, "name it with --gateway NAME"}})
}

// commonName returns the name in a certificate file, "" if it can't be had.
func commonName(path *node) string {
	if path == nil || path.kind != scalar || path.dynamic {
		return ""
	}
	content, err := os.ReadFile(resolve(path.pos.File, path.text))
	if err != nil {
		return ""
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return ""
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return certificate.Subject.CommonName
}
