package fieldbridge_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pure are the rooms that need neither a rig nor a bubble: what they return hangs
// on what they are given, and on nothing else.
var pure = []string{
	"southbound/modbus/point", "southbound/modbus/plan", "southbound/modbus/grid", "southbound/mqtt/topic",
	"southbound/mqtt/payload",
	"southbound/mqtt/kept",
	"southbound/mqtt/packed", "southbound/mqtt/loose", "southbound/mqtt/units",
	"southbound/mqtt/attendance", "northbound/awsiot/payload", "northbound/awsiot/payload/proto", "store/block",
	"store/books", "store/flash",
	"store/memory", "store/thin", "configs/tree", "configs/registers",
}

// impure are the names that no pure room uses, by package.
var impure = map[string][]string{
	"sync": {"Mutex", "RWMutex", "WaitGroup", "Cond"},
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
}

// TestPureRooms makes sure that pure rooms have no file, no network, no goroutine,
// no lock and no clock.
func TestPureRooms(t *testing.T) {
	seen := 0
	for _, dir := range pure {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			for _, why := range impurities(f) {
				t.Errorf("%s: a pure room has no %s", path, why)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d files are looked at", seen)
	}
}

// impurities returns what a file has that no pure room may have.
func impurities(f *ast.File) (found []string) {
	for _, i := range f.Imports {
		if path := strings.Trim(i.Path.Value, `"`); path == "os" || path == "net" || strings.HasPrefix(path, "net/") ||
			strings.HasPrefix(path, "os/") || path == "syscall" {
			found = append(found, path)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.GoStmt:
			found = append(found, "go statement")
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok && id.Obj == nil && slices.Contains(impure[id.Name], x.Sel.Name) {
				found = append(found, id.Name+"."+x.Sel.Name)
			}
		}
		return true
	})
	return found
}

// TestImpuritiesAreSeen makes sure that the check would see them.
func TestImpuritiesAreSeen(t *testing.T) {
	const text = `package x
import ("os"; "net/url"; "time"; "sync")
var mu sync.Mutex
func f() { go f(); _ = time.Now(); _ = time.UnixMilli(1); os.Exit(url.X) }`
	f, err := parser.ParseFile(token.NewFileSet(), "x.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := impurities(f)
	if want := []string{"os", "net/url", "sync.Mutex", "go statement", "time.Now"}; !slices.Equal(got, want) {
		t.Errorf("seen %v, want %v", got, want)
	}
}
