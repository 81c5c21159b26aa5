package configs

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"

	"fieldbridge/configs/keys"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
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
	Warnings []tree.Problem

	pos      tree.Position
	base     *tree.Node            // vars, profiles and defaults
	groups   map[string]*tree.Node // each without its name
	gateways map[string]tree.Member
}

// FleetGateway is a gateway of a fleet.
type FleetGateway struct {
	Name     string
	Groups   []string
	Position tree.Position
}

// fleetKeys are the keys of a fleet file.
var fleetKeys = keys.Of(reflect.TypeFor[fleetFile]())

// isFleet tells a fleet file from the file of one gateway.
func isFleet(root *tree.Node) bool {
	return root != nil && root.Get("gateway") == nil && (root.Get("fleet") != nil || root.Get("gateways") != nil)
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
		return nil, tree.ErrorOf(tree.NewProblem(tree.Position{File: file}, ferr.text, ferr.fix))
	}
	r := &reader{}
	root := r.read(file, content)
	if root != nil && !isFleet(root) {
		return nil, tree.ErrorOf(append(r.problems, tree.NewProblem(root.Pos, "this is not a fleet file", "a fleet file has fleet: NAME and gateways:"))...)
	}
	return newFleet(root, r)
}

// Load returns the configuration of one gateway of the fleet.
func (f *Fleet) Load(name string) (*Loaded, error) {
	own, ok := f.gateways[name]
	if !ok {
		fix := "'fieldbridge fleet list FILE' tells the names"
		if near := setting.Suggest(name, f.names()); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, tree.ErrorOf(tree.NewProblem(f.pos, fmt.Sprintf("there is no gateway %q in the fleet", name), fix))
	}
	l := &Loaded{Files: f.Files}
	merged := f.merged(own, func(m tree.Member) {
		l.Warnings = append(l.Warnings, tree.NewProblem(m.Pos, fmt.Sprintf("%s: null removes nothing here", m.Key), "check the name, or remove the line"))
	})
	if err := l.fill(merged, nil); err != nil {
		return nil, err
	}
	return l, nil
}

// merged returns what the fleet says of one gateway.
func (f *Fleet) merged(own tree.Member, nothing func(tree.Member)) *tree.Node {
	merged := f.base
	if groups := own.Value.At("groups"); groups != nil {
		for _, g := range groups.Items {
			merged = tree.Merge(merged, f.groups[g.Text])
		}
	}
	merged = tree.Merge(merged, own.Value.Without("groups"))
	name := &tree.Node{Kind: tree.Scalar, Pos: own.Pos, Text: own.Key}
	merged = tree.NewMapping(own.Pos, append([]tree.Member{{Key: "gateway", Pos: own.Pos, Value: name}}, merged.Members...))
	merged = f.sized(merged)
	// A device may yet remove points of its profile.
	return tree.WithoutNulls(merged, nothing)
}

// sized tells a gateway of a large fleet how many may lose the cloud together,
// unless its configuration does. The number is rounded up, so that a gateway more
// does not change the configuration of all others.
func (f *Fleet) sized(merged *tree.Node) *tree.Node {
	const fewest, step = 500, 500
	path := []string{"northbound", "awsiot", "backoff", "gateways"}
	n := len(f.Gateways)
	if n <= fewest || merged.At(path[:2]...) == nil || merged.At(path...) != nil {
		return merged
	}
	value := &tree.Node{Kind: tree.Scalar, Plain: true, Pos: f.pos, Text: strconv.Itoa((n + step - 1) / step * step)}
	return merged.Set(f.pos, value, path...)
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
		if wrong, ok := err.(*tree.Error); ok {
			for _, p := range wrong.Problems {
				found.add(p, f.Gateways[i].Name)
			}
		}
	}
	if len(found.order) == 0 {
		f.duplicates(loaded, found)
	}
	if err := tree.ErrorOf(found.problems(len(f.Gateways))...); err != nil {
		return nil, err
	}
	return loaded, nil
}

// LoadEach loads all gateways of a fleet file, or the one of a gateway's own
// file, by name.
func LoadEach(file string) (map[string]*Loaded, error) {
	content, ferr := readFile(file)
	if ferr != nil {
		return nil, tree.ErrorOf(tree.NewProblem(tree.Position{File: file}, ferr.text, ferr.fix))
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

// whoAmI finds which gateway of the fleet this machine is: by its certificate,
// else by its host name.
func (f *Fleet) whoAmI() (string, error) {
	host, _ := os.Hostname() // "" is a name that no gateway has
	candidates := []string{commonName(f.base.At("northbound", "awsiot", "certificate")), host}
	for _, name := range candidates {
		if _, ok := f.gateways[name]; ok {
			return name, nil
		}
	}
	text := fmt.Sprintf("which gateway of the fleet is this? The host is called %q", host)
	if candidates[0] != "" {
		text += fmt.Sprintf(", the certificate says %q", candidates[0])
	}
	return "", tree.ErrorOf(tree.NewProblem(f.pos, text, "name it with --gateway NAME"))
}

// commonName returns the name in a certificate file, "" if it can't be had.
func commonName(path *tree.Node) string {
	if path == nil || path.Kind != tree.Scalar || path.Dynamic {
		return ""
	}
	content, err := os.ReadFile(resolve(path.Pos.File, path.Text))
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
