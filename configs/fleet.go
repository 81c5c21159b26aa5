package configs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"fieldbridge/configs/fleet"
	"fieldbridge/configs/keys"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// Fleet is a fleet file whose gateways can be loaded.
type Fleet struct {
	*fleet.File
	// Files are what was read: the file and those that it includes.
	Files []string

	ctx context.Context // ends the loads of gateways, too
}

// fleetKeys are the keys of a fleet file.
var fleetKeys = keys.Of(reflect.TypeFor[fleetFile]())

// newFleet checks the frame of a fleet file, of which r read the tree.
func newFleet(root *tree.Node, r *inclusion) (*Fleet, error) {
	if root == nil {
		return nil, tree.ErrorOf(r.problems...)
	}
	f, problems := fleet.New(root, fleet.Keys{File: fleetKeys, Gateway: keys.Of(configType)})
	if err := tree.ErrorOf(slices.Concat(r.problems, problems, unusedProfiles(root))...); err != nil {
		return nil, err
	}
	return &Fleet{f, r.files, r.ctx}, nil
}

// IsFleet reports whether a file can be read and describes a fleet.
func IsFleet(ctx context.Context, file string) bool {
	_, root, err := open(ctx, file)
	return err == nil && fleet.Is(root)
}

// LoadFleet reads a fleet file. Its error tells what is wrong with the file
// itself; [Fleet.Load] and [Fleet.LoadAll] tell what is wrong with gateways.
func LoadFleet(ctx context.Context, file string) (*Fleet, error) {
	r, root, err := open(ctx, file)
	if err != nil {
		return nil, err
	}
	if root != nil && !fleet.Is(root) {
		return nil, tree.ErrorOf(append(r.problems, tree.NewProblem(root.Pos, "this is not a fleet file",
			"a fleet file has fleet: NAME and gateways:"))...)
	}
	return newFleet(root, r)
}

// Load returns the configuration of one gateway of the fleet.
func (f *Fleet) Load(name string) (*Loaded, error) { return f.load(name, false) }

func (f *Fleet) load(name string, field bool) (*Loaded, error) {
	if !f.Has(name) {
		fix := setting.Meant(name, f.Names(), "'fieldbridge fleet list FILE' tells the names")
		return nil, tree.ErrorOf(tree.NewProblem(f.Pos, fmt.Sprintf("there is no gateway %q in the fleet", name), fix))
	}
	root, warnings := f.Tree(name)
	l := &Loaded{Files: f.Files, Warnings: warnings, sibling: f.Has, field: field}
	if err := l.fill(f.ctx, root, nil); err != nil {
		return nil, err
	}
	return l, nil
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
	found := fleet.NewFindings()
	for i, err := range errs {
		if wrong, ok := err.(*tree.Error); ok {
			for _, p := range wrong.Problems {
				found.Add(p, f.Gateways[i].Name)
			}
		}
	}
	if !found.Any() {
		f.duplicates(loaded, found)
	}
	if err := tree.ErrorOf(found.Problems(len(f.Gateways))...); err != nil {
		return nil, err
	}
	return loaded, nil
}

// LoadEach loads all gateways of a fleet file, or the one of a gateway's own
// file, by name.
func LoadEach(ctx context.Context, file string) (map[string]*Loaded, error) {
	r, root, err := open(ctx, file)
	if err != nil {
		return nil, err
	}
	if !fleet.Is(root) {
		l, err := r.load(root, false)
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
	candidates := []string{commonName(f.Default("northbound", "awsiot", "certificate")), host}
	for _, name := range candidates {
		if f.Has(name) {
			return name, nil
		}
	}
	text := fmt.Sprintf("which gateway of the fleet is this? The host is called %q", host)
	if candidates[0] != "" {
		text += fmt.Sprintf(", the certificate says %q", candidates[0])
	}
	return "", tree.ErrorOf(tree.NewProblem(f.Pos, text, "name it with --gateway NAME"))
}

// commonName returns the name in a certificate file, "" if it cannot be had.
func commonName(path *tree.Node) string {
	if path == nil || path.Kind != tree.Scalar || path.Dynamic {
		return ""
	}
	name := setting.Path(path.Text)
	if !setting.IsPEM(path.Text) {
		name = setting.Path(resolve(path.Pos.File, path.Text))
	}
	content, err := name.Read()
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
