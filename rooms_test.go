package fieldbridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// The ratchet: what a reader can hold in the head. It is only ever tightened.
const (
	mostLines    = 3500 // of a package, without its tests
	mostFiles    = 25   // of a package, without its tests
	mostKnot     = 12   // files of a package that reach one another in a circle
	mostFileLine = 500  // of a file, tests included
	mostHomes    = 5    // files that hold the methods of one type
)

// room is a package as it is measured.
type room struct {
	path     string // import path
	files    int    // without tests, as all below
	lines    int    // all of them
	product  int    // without comments and blank lines
	comments int    // lines that are comments alone
	tests    int    // lines of _test.go files
	knot     []string
	homes    map[string]int // files with methods, by type
	longest  map[string]int // lines, by file, of those over mostFileLine
}

// listed is what `go list -json` tells of a package.
type listed struct {
	ImportPath, Dir, Export            string
	Standard                           bool
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports                            []string
	Module                             *struct{ Main bool }
}

// list runs go list with the fields it needs.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	fields := "-json=ImportPath,Dir,Export,Standard,GoFiles,TestGoFiles,XTestGoFiles,Imports,Module"
	out, err := exec.Command("go", append([]string{"list", fields}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// measure reads every package of the module.
func measure(t *testing.T) []room {
	t.Helper()
	packages := list(t, "-export", "-deps", "./...")
	exports := map[string]string{}
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	var rooms []room
	for _, p := range packages {
		if p.Module == nil || !p.Module.Main || p.Standard {
			continue
		}
		r := room{path: p.ImportPath, files: len(p.GoFiles), homes: map[string]int{}, longest: map[string]int{}}
		var files []*ast.File
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
			lines := bytes.Count(src, []byte("\n"))
			product, comments := countLines(src)
			r.lines, r.product, r.comments = r.lines+lines, r.product+product, r.comments+comments
			r.note(name, lines)
		}
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.Count(src, []byte("\n"))
			r.tests += lines
			r.note(name, lines)
		}
		r.countHomes(files)
		if len(files) <= mostKnot && !testing.Verbose() {
			rooms = append(rooms, r) // it has no larger knot than that, and who reads of it is not there
			continue
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		config := types.Config{Importer: imports}
		pkg, err := config.Check(p.ImportPath, fset, files, info)
		if err != nil {
			t.Fatal(err)
		}
		r.knot = knot(fset, pkg, info)
		rooms = append(rooms, r)
	}
	return rooms
}

func (r *room) note(name string, lines int) {
	if lines > mostFileLine {
		r.longest[name] = lines
	}
}

// countHomes counts in how many files the methods of each type stand.
func (r *room) countHomes(files []*ast.File) {
	for _, f := range files {
		here := map[string]bool{}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			of := fn.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if index, ok := of.(*ast.IndexExpr); ok {
				of = index.X
			}
			if id, ok := of.(*ast.Ident); ok && !here[id.Name] {
				here[id.Name] = true
				r.homes[id.Name]++
			}
		}
	}
}

// countLines returns how many lines of src hold code, and how many are comments
// alone.
func countLines(src []byte) (product, comments int) {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, scanner.ScanComments)
	code, words := map[int]bool{}, map[int]bool{}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.SEMICOLON && lit == "\n" {
			continue
		}
		lines := code
		if tok == token.COMMENT {
			lines = words
		}
		first := file.Line(pos)
		for i := range strings.Count(lit, "\n") + 1 {
			lines[first+i] = true
		}
	}
	for line := range words {
		if !code[line] {
			comments++
		}
	}
	return len(code), comments
}

// knot returns the largest set of a package's files that reach one another in a
// circle: what must be in the head at once.
func knot(fset *token.FileSet, pkg *types.Package, info *types.Info) []string {
	uses := map[string]map[string]bool{}
	for id, obj := range info.Uses {
		if obj.Pkg() != pkg {
			continue
		}
		if _, isFunc := obj.(*types.Func); !isFunc && obj.Parent() != pkg.Scope() {
			continue
		}
		from, to := fset.File(id.Pos()).Name(), fset.File(obj.Pos()).Name()
		if uses[from] == nil {
			uses[from] = map[string]bool{}
		}
		uses[from][to] = true
	}
	var most []string
	for file := range uses {
		ahead := reach(uses, file)
		var circle []string
		for other := range ahead {
			if reach(uses, other)[file] {
				circle = append(circle, filepath.Base(other))
			}
		}
		if len(circle) > len(most) {
			most = circle
		}
	}
	slices.Sort(most)
	return most
}

// reach returns the files that one comes to from a file.
func reach(uses map[string]map[string]bool, from string) map[string]bool {
	seen := map[string]bool{}
	next := []string{from}
	for len(next) > 0 {
		file := next[0]
		next = next[1:]
		for to := range uses[file] {
			if !seen[to] {
				seen[to] = true
				next = append(next, to)
			}
		}
	}
	return seen
}

// TestRooms holds the packages to the ratchet; with -v it prints the table.
func TestRooms(t *testing.T) {
	rooms := measure(t)
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, r := range rooms {
		r.check(t)
	}
	fmt.Fprintln(w, "package\tfiles\tlines\tcode\tcomments\ttests\tknot")
	var all room
	for _, r := range rooms {
		name := strings.TrimPrefix(r.path, "fieldbridge/")
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d %%\t%d\t%d\n",
			name, r.files, r.lines, r.product, 100*r.comments/max(r.lines, 1), r.tests, len(r.knot))
		all.tests += r.tests
		if isTestPackage(r.path) {
			all.tests += r.lines
			continue
		}
		all.files += r.files
		all.lines += r.lines
		all.product += r.product
		all.comments += r.comments
	}
	fmt.Fprintf(w, "product\t%d\t%d\t%d\t%d %%\t%d\t\n",
		all.files, all.lines, all.product, 100*all.comments/all.lines, all.tests)
	w.Flush()
	t.Logf("\n%s", table.String())
}

// check holds a room to the ratchet.
func (r *room) check(t *testing.T) {
	name := strings.TrimPrefix(r.path, "fieldbridge/")
	if r.lines > mostLines || r.files > mostFiles {
		t.Errorf("%s has %d files with %d lines, of at most %d and %d: cut it",
			name, r.files, r.lines, mostFiles, mostLines)
	}
	if len(r.knot) > mostKnot {
		t.Errorf("%s: %d files reach one another in a circle, of at most %d: %s",
			name, len(r.knot), mostKnot, strings.Join(r.knot, " "))
	}
	for file, lines := range r.longest {
		t.Errorf("%s/%s has %d lines, of at most %d", name, file, lines, mostFileLine)
	}
	for of, files := range r.homes {
		if files > mostHomes {
			t.Errorf("%s.%s has methods in %d files, of at most %d", name, of, files, mostHomes)
		}
	}
}
