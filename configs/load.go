package configs

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/configs/fleet"
	"fieldbridge/configs/laid"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// Loaded is a configuration without errors.
type Loaded struct {
	Config Config
	// Warnings are what works but is probably not meant.
	Warnings []tree.Problem
	// Absent are files that the configuration names and that cannot be read now. A
	// gateway runs without them: the part that needs one tells so and waits for it.
	Absent []tree.Problem
	// Missing are values that this machine does not have, of environment variables
	// and files: a warning while the file is written, an error when it shall run.
	Missing []tree.Problem
	// Hash names the content: 16 hexadecimal digits that change with every
	// value, and with no comment or space.
	Hash string
	// Files are what was read: the file and those that it includes.
	Files []string
	// Hidden is what is not to be shown of it to anyone.
	Hidden *setting.Hidden

	field      bool // what is wrong with northbound is of no concern
	incomplete bool // some values are not known on this machine

	sibling func(name string) bool // whether it is another gateway of the fleet

	root  *tree.Node   // with variables and profiles written out
	paths []*tree.Node // the texts in it that are paths
}

// Load reads and checks the file of one gateway, or a fleet file for the gateway
// that this machine is (see [LoadGateway]). The error is an [*tree.Error] with
// everything that is wrong. When ctx ends, so does the load.
func Load(ctx context.Context, file string) (*Loaded, error) { return LoadGateway(ctx, file, "") }

// LoadGateway reads and checks the file of one gateway, or what a fleet file
// says of one. The name may be empty: then the certificate of the fleet's
// defaults names the gateway, else the host's name does.
func LoadGateway(ctx context.Context, file, gateway string) (*Loaded, error) {
	return loadGateway(ctx, file, gateway, false)
}

// LoadField is [LoadGateway] for who asks devices and sensors alone: northbound may be
// missing in the file, or not be whole yet.
func LoadField(ctx context.Context, file, gateway string) (*Loaded, error) {
	return loadGateway(ctx, file, gateway, true)
}

func loadGateway(ctx context.Context, file, gateway string, field bool) (*Loaded, error) {
	r, root, err := open(ctx, file)
	if err != nil {
		return nil, err
	}
	if fleet.Is(root) {
		f, err := newFleet(root, r)
		if err != nil {
			return nil, err
		}
		if gateway == "" {
			if gateway, err = f.whoAmI(); err != nil {
				return nil, err
			}
		}
		return f.load(gateway, field)
	}
	l, err := r.load(root, field)
	if err == nil && gateway != "" && gateway != l.Config.Gateway {
		return nil, tree.ErrorOf(tree.NewProblem(l.Position("gateway"),
			fmt.Sprintf("this is the file of gateway %q, not of %q", l.Config.Gateway, gateway),
			"name its own, or a fleet file"))
	}
	return l, err
}

// QueueDir returns the folder of the queue that a file names, "" if that cannot be
// told. The file may be wrong elsewhere.
func QueueDir(ctx context.Context, file, gateway string) string {
	r, root, err := open(ctx, file)
	if err != nil {
		return ""
	}
	if fleet.Is(root) {
		f, err := newFleet(root, r)
		if err != nil {
			return ""
		}
		if gateway == "" {
			gateway, _ = f.whoAmI()
		}
		if !f.Has(gateway) {
			return ""
		}
		root, _ = f.Tree(gateway)
	}
	if root == nil {
		return ""
	}
	s := newSubstituter(ctx, root.At("vars"))
	if name := root.At("gateway"); name != nil {
		s.vars["gateway"] = name
	}
	dir := s.resolve(root).At("store", "dir")
	switch {
	case dir == nil:
		var c Config
		setDefaults(reflect.ValueOf(&c).Elem())
		return resolve(file, string(c.Store.Dir))
	case dir.Kind != tree.Scalar || dir.Unknown:
		return ""
	}
	return resolve(dir.Pos.File, dir.Text)
}

// Parse is [Load] for content that is at hand. file is what positions name and
// what paths are relative to.
func Parse(file string, content []byte) (*Loaded, error) {
	r := newInclusion(context.Background()) // what is at hand is soon read
	root := r.read(file, content)
	if fleet.Is(root) {
		f, err := newFleet(root, r)
		if err != nil {
			return nil, err
		}
		_, err = f.LoadAll()
		if err == nil {
			err = tree.ErrorOf(tree.NewProblem(root.Pos, "this is a fleet", "say which gateway"))
		}
		return nil, err
	}
	return r.load(root, false)
}

// load makes the configuration of a gateway's own file.
func (r *inclusion) load(root *tree.Node, field bool) (*Loaded, error) {
	if root == nil {
		return nil, tree.ErrorOf(r.problems...)
	}
	l := &Loaded{Files: r.files, field: field}
	if err := l.fill(r.ctx, root, append(r.problems, unusedProfiles(root)...)); err != nil {
		return nil, err
	}
	return l, nil
}

// fill replaces variables and profiles, decodes and validates the tree.
func (l *Loaded) fill(ctx context.Context, root *tree.Node, problems []tree.Problem) error {
	s := newSubstituter(ctx, root.At("vars"))
	if name := root.At("gateway"); name != nil && s.vars["gateway"] == nil {
		s.vars["gateway"] = name
	}
	root = s.resolve(root.Without("vars"))
	if p := interrupted(ctx, root.Pos); p != nil {
		return tree.ErrorOf(*p)
	}
	if s.over { // what is left is not worth a look, and may be large
		return tree.ErrorOf(append(problems, s.problems...)...)
	}
	var wrong []tree.Problem
	l.root, wrong = laid.Upon(root)
	if p := tooMany(l.root); p != nil {
		return tree.ErrorOf(append(problems, *p)...)
	}
	l.incomplete = len(s.missing) > 0
	l.Hash = l.root.Hash()

	d := decoder{problems: append(append(problems, s.problems...), wrong...)}
	v := reflect.ValueOf(&l.Config).Elem()
	setDefaults(v)
	d.object(l.root, v, new(place))
	l.paths = d.paths
	l.resolveDefaults()
	l.Config.Store.Origin = bridge.Origin{Gateway: l.Config.Gateway, Labels: l.Config.Labels}
	l.Config.Store.Linger = l.Config.Northbound.AWSIoT.Linger.D()
	for _, p := range l.Config.Validate() {
		if l.field && p.Path[0] == "northbound" {
			continue
		}
		if !quotes(p.Text, s.unknown) { // a value that is not known here is told as that alone
			l.judge(&d, p)
		}
	}
	impossible, doubtful := l.checkQueueDir()
	d.problems = append(d.problems, impossible...)
	l.Hidden = hiddenIn(l.root, s.held)
	if err := tree.ErrorOf(hide(l.Hidden, d.problems)...); err != nil {
		return err
	}
	l.Absent = tree.Sorted(hide(l.Hidden, d.absentFiles()))
	l.Missing = tree.Sorted(hide(l.Hidden, s.missing))
	l.Warnings = tree.Sorted(hide(l.Hidden, slices.Concat(l.Warnings, doubtful, d.looseFiles())))
	return nil
}

// quotes reports whether a text has one of the variables in it.
func quotes(text string, variables []string) bool {
	return slices.ContainsFunc(variables, func(v string) bool { return strings.Contains(text, v) })
}

// judge sorts what Validate says: an error, a warning, or the consequence of an
// error that is told already.
func (l *Loaded) judge(d *decoder, p setting.Problem) {
	at, near := l.root.Find(p.Path, p.OnKey)
	if n := l.root.At(p.Path...); n != nil && n.Secret != nil {
		p.Text, p.Fix = fmt.Sprintf("what %s holds is not allowed here", n.Source()), "check it there: it is not shown here"
	}
	switch {
	case p.Warning:
		l.Warnings = append(l.Warnings, tree.NewProblem(at, p.Text, p.Fix))
		return
	case d.explains(p.Path):
		return
	case !near:
		p.Text = strings.Join(p.Path[:len(p.Path)-1], ".") + ": " + p.Text
	}
	d.problems = append(d.problems, tree.NewProblem(at, p.Text, p.Fix))
}

// Release drops the tree of the file, which is several times as large as the
// configuration. Position, Render, Snapshot, Plan and Advice need it and must not
// be called any more.
func (l *Loaded) Release() { l.root, l.paths = nil, nil }

// Position returns where the value at path stands, or the innermost key of path
// that the file has.
func (l *Loaded) Position(path ...string) tree.Position {
	at, _ := l.root.Find(path, false)
	return at
}

// resolveDefaults makes paths that the file does not give relative to it, as if
// it did.
func (l *Loaded) resolveDefaults() {
	if l.root.At("store", "dir") == nil {
		l.Config.Store.Dir = setting.Path(resolve(l.root.Pos.File, string(l.Config.Store.Dir)))
	}
}
