package configs

import (
	"context"
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
	ctx      context.Context       // of the load
	trees    map[string]*tree.Node // what was read, with what it includes; by file
	bytes    int                   // read so far
	over     bool                  // a budget is used up, which is told
}

// open reads a file of which it is not known yet what it describes.
func open(ctx context.Context, file string) (*inclusion, *tree.Node, error) {
	content, p := readFile(file, tree.Position{File: file})
	if p != nil {
		return nil, nil, tree.ErrorOf(*p)
	}
	r := newInclusion(ctx)
	root := r.read(file, content)
	if p := interrupted(ctx, tree.Position{File: file}); p != nil {
		return nil, nil, tree.ErrorOf(*p)
	}
	return r, root, nil
}

func newInclusion(ctx context.Context) *inclusion {
	return &inclusion{ctx: ctx, trees: make(map[string]*tree.Node)}
}

// sections whose names must be unique over all files.
var namedSections = map[string]string{"profiles": "profile", "groups": "group", "gateways": "gateway"}

// read returns the tree of a file, its includes before what it says itself and
// its ranges written out; nil if there is none.
func (r *inclusion) read(file string, content []byte) *tree.Node {
	r.files = append(r.files, file)
	r.bytes += len(content)
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
		if one, ok := r.trees[filepath.Clean(file)]; ok {
			if one != nil {
				joined = r.join(joined, one)
			}
			continue
		}
		if !r.mayRead(name.Pos) {
			return joined
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
		one := r.read(file, content)
		r.trees[filepath.Clean(file)] = one
		if one != nil {
			joined = r.join(joined, one)
		}
	}
	return joined
}

// mayRead reports whether another file may be read, and tells once why not.
func (r *inclusion) mayRead(at tree.Position) bool {
	switch {
	case r.over:
	case r.ctx.Err() != nil:
		r.over = true
	case len(r.files) >= maxFiles:
		r.over = true
		r.problems = append(r.problems, tree.NewProblem(at, fmt.Sprintf("more than %d files are included", maxFiles),
			"join some of them"))
	case r.bytes > maxRead:
		r.over = true
		r.problems = append(r.problems, tree.NewProblem(at,
			fmt.Sprintf("the files that are included have more than %d MiB", maxRead>>20), "include less"))
	}
	return !r.over
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
