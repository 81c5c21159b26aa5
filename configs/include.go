package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"fieldbridge/configs/tree"
)

// inclusion reads a file and what it includes.
type inclusion struct {
	files    []string // in the order in which they were read
	open     []string // the chain of files that include one another
	problems []tree.Problem
}

// open reads a file of which it is not known yet what it describes.
func open(file string) (*inclusion, *tree.Node, error) {
	content, p := readFile(file, tree.Position{File: file})
	if p != nil {
		return nil, nil, tree.ErrorOf(*p)
	}
	r := &inclusion{}
	return r, r.read(file, content), nil
}

// sections whose names must be unique over all files.
var namedSections = map[string]string{"profiles": "profile", "groups": "group", "gateways": "gateway"}

// read returns the tree of a file, its includes before what it says itself and
// its ranges written out; nil if there is none.
func (r *inclusion) read(file string, content []byte) *tree.Node {
	r.files = append(r.files, file)
	root, problems := tree.Parse(file, content)
	r.problems = append(r.problems, problems...)
	if root == nil {
		return nil
	}
	root, problems = tree.Expand(root)
	r.problems = append(r.problems, problems...)
	include := root.Get("include")
	if include == nil {
		return root
	}
	root = root.Without("include")
	r.open = append(r.open, filepath.Clean(file))
	defer func() { r.open = r.open[:len(r.open)-1] }()
	var base *tree.Node
	for _, name := range r.names(include.Value) {
		if joined := r.include(name); joined != nil {
			base = r.join(base, joined)
		}
	}
	if base == nil {
		return root
	}
	return r.join(base, root)
}

// names returns the text nodes of include.
func (r *inclusion) names(n *tree.Node) []*tree.Node {
	names := n.Items
	if n.Kind == tree.Scalar {
		names = []*tree.Node{n}
	}
	for _, name := range names {
		if name.Kind != tree.Scalar || name.Dynamic {
			r.problems = append(r.problems, tree.NewProblem(name.Pos, "include names files or folders",
				"write include: [profiles/, groups.yaml]"))
			return nil
		}
	}
	if len(names) == 0 {
		r.problems = append(r.problems, tree.NewProblem(n.Pos, "include is "+n.Show()+" where files are needed",
			"write include: [profiles/, groups.yaml]"))
	}
	return names
}

// include reads a file, or all YAML files of a folder in the order of their
// names.
func (r *inclusion) include(name *tree.Node) *tree.Node {
	path := resolve(name.Pos.File, name.Text)
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files = nil
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			found, _ := filepath.Glob(filepath.Join(path, pattern)) // the pattern is well formed
			files = append(files, found...)
		}
		slices.Sort(files)
		if len(files) == 0 {
			r.problems = append(r.problems, tree.NewProblem(name.Pos, fmt.Sprintf("the folder %s has no .yaml files", path),
				"put some there, or remove it from include"))
		}
	}
	var joined *tree.Node
	for _, file := range files {
		if slices.Contains(r.open, filepath.Clean(file)) {
			r.problems = append(r.problems, tree.NewProblem(name.Pos, fmt.Sprintf("%s includes itself", file),
				"remove it from include"))
			continue
		}
		content, p := readFile(file, name.Pos)
		if p != nil {
			p.Text = file + ": " + p.Text
			if p.Fix == fixNoFile {
				p.Fix = "check the name; it is relative to the file that includes it"
			}
			r.problems = append(r.problems, *p)
			continue
		}
		if one := r.read(file, content); one != nil {
			joined = r.join(joined, one)
		}
	}
	return joined
}

// join lays one file upon others. Profiles, groups and gateways are told once.
func (r *inclusion) join(base, over *tree.Node) *tree.Node {
	if base == nil {
		return over
	}
	for section, what := range namedSections {
		b, o := base.Get(section), over.Get(section)
		if b != nil && o != nil {
			over = over.With(section, o.Pos, tree.Union(what, b.Value, o.Value, &r.problems))
			base = base.Without(section)
		}
	}
	out := tree.Merge(base, over)
	out.Pos = over.Pos
	return out
}
