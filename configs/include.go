package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// reader reads a file and what it includes.
type reader struct {
	files    []string // in the order in which they were read
	open     []string // the chain of files that include one another
	problems []Problem
}

// sections whose names must be unique over all files.
var namedSections = map[string]string{"profiles": "profile", "groups": "group", "gateways": "gateway"}

// read returns the tree of a file, its includes before what it says itself and
// its ranges written out; nil if there is none.
func (r *reader) read(file string, content []byte) *node {
	r.files = append(r.files, file)
	root, problems := parse(file, content)
	r.problems = append(r.problems, problems...)
	if root == nil {
		return nil
	}
	root = (&expander{problems: &r.problems}).expand(root)
	include := root.get("include")
	if include == nil {
		return root
	}
	root = root.without("include")
	r.open = append(r.open, filepath.Clean(file))
	defer func() { r.open = r.open[:len(r.open)-1] }()
	var base *node
	for _, name := range r.names(include.value) {
		if tree := r.include(name); tree != nil {
			base = r.join(base, tree)
		}
	}
	if base == nil {
		return root
	}
	return r.join(base, root)
}

// names returns the text nodes of include.
func (r *reader) names(n *node) []*node {
	names := n.items
	if n.kind == scalar {
		names = []*node{n}
	}
	for _, name := range names {
		if name.kind != scalar || name.dynamic {
			r.problems = append(r.problems, Problem{name.pos, "include names files or folders", "write include: [profiles/, groups.yaml]"})
			return nil
		}
	}
	if len(names) == 0 {
		r.problems = append(r.problems, Problem{n.pos, "include is " + show(n) + " where files are needed", "write include: [profiles/, groups.yaml]"})
	}
	return names
}

// include reads a file, or all YAML files of a folder in the order of their
// names.
func (r *reader) include(name *node) *node {
	path := resolve(name.pos.File, name.text)
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files = nil
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			found, _ := filepath.Glob(filepath.Join(path, pattern)) // the pattern is well formed
			files = append(files, found...)
		}
		slices.Sort(files)
		if len(files) == 0 {
			r.problems = append(r.problems, Problem{name.pos, fmt.Sprintf("the folder %s has no .yaml files", path), "put some there, or remove it from include"})
		}
	}
	var tree *node
	for _, file := range files {
		if slices.Contains(r.open, filepath.Clean(file)) {
			r.problems = append(r.problems, Problem{name.pos, fmt.Sprintf("%s includes itself", file), "remove it from include"})
			continue
		}
		content, err := readFile(file)
		if err != nil {
			fix := err.fix
			if err.text == "no such file" {
				fix = "check the name; it is relative to the file that includes it"
			}
			r.problems = append(r.problems, Problem{name.pos, fmt.Sprintf("%s: %s", file, err.text), fix})
			continue
		}
		if one := r.read(file, content); one != nil {
			tree = r.join(tree, one)
		}
	}
	return tree
}

// join lays one file upon others. Profiles, groups and gateways are told once.
func (r *reader) join(base, over *node) *node {
	if base == nil {
		return over
	}
	for section, what := range namedSections {
		b, o := base.get(section), over.get(section)
		if b != nil && o != nil {
			over = over.with(section, o.pos, union(what, b.value, o.value, &r.problems))
			base = base.without(section)
		}
	}
	out := merge(base, over)
	out.pos = over.pos
	return out
}
