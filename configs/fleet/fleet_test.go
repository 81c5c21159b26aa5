package fleet

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/configs/keys"
	"fieldbridge/configs/tree"
)

var known = Keys{
	File: keys.Of(reflect.TypeFor[struct {
		Fleet    string `yaml:"fleet"`
		Vars     string `yaml:"vars"`
		Defaults string `yaml:"defaults"`
		Groups   string `yaml:"groups"`
		Gateways string `yaml:"gateways"`
	}]()),
	Gateway: keys.Of(reflect.TypeFor[struct {
		Store string `yaml:"store"`
	}]()),
}

// read checks the frame of a fleet file.
func read(t *testing.T, text string) (*File, []tree.Problem) {
	t.Helper()
	root, problems := tree.Parse("f", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if root, problems = tree.Expand(root); len(problems) > 0 || !Is(root) {
		t.Fatal(problems, Is(root))
	}
	return New(root, known)
}

// flatten writes a tree in one line.
func flatten(n *tree.Node) string {
	if n.Kind != tree.Mapping {
		return n.Show()
	}
	var parts []string
	for _, m := range n.Members {
		parts = append(parts, m.Key+": "+flatten(m.Value))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func TestTree(t *testing.T) {
	f, problems := read(t, `
fleet: plant
vars: {x: 1}
defaults: {store: {dir: a, keep: 1}, log: {level: info}}
groups:
  loud: {log: {level: debug}}
  spare: {store: {keep: null}}
  idle: {}
gateways:
  "gw-{1..2}": {groups: [loud, spare], store: {dir: "q-${n}"}}
  last: {log: null, nothing: null}
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"gw-1", "gw-2", "last"}, f.Names()); diff != "" || f.Name != "plant" {
		t.Errorf("%s: %s", f.Name, diff)
	}
	if got := fmt.Sprint(f.Warnings); !strings.Contains(got, `8:3: group "idle" is not used`) {
		t.Errorf("warnings: %s", got)
	}
	if !f.Has("gw-2") || f.Has("gw-3") || f.Default("store", "dir").Text != "a" {
		t.Error("gateways or defaults")
	}
	for name, want := range map[string]string{
		"gw-2": `{gateway: "gw-2", vars: {x: "1"}, store: {dir: "q-2"}, log: {level: "debug"}}`,
		"last": `{gateway: "last", vars: {x: "1"}, store: {dir: "a", keep: "1"}}`,
	} {
		root, warnings := f.Tree(name)
		if diff := cmp.Diff(want, flatten(root)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := fmt.Sprint(warnings); strings.Contains(got, "nothing: null removes nothing here") != (name == "last") {
			t.Errorf("%s: warnings %s", name, got)
		}
	}
}

// A large fleet tells its gateways how many may lose the cloud together, in
// steps of 500, where they have a session and say nothing themselves.
func TestSized(t *testing.T) {
	for n, want := range map[int]string{
		500: `{topic: "t"}`, 501: `{topic: "t", backoff: {gateways: "1000"}}`, 1001: `{topic: "t", backoff: {gateways: ` +
			`"1500"}}`,
	} {
		f, problems := read(t, fmt.Sprintf(
			"fleet: f\ndefaults: {northbound: {awsiot: {topic: t}}}\ngateways: {\"g-{1..%d}\": {}}\n", n))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		root, _ := f.Tree("g-1")
		if got := flatten(root.At("northbound", "awsiot")); got != want {
			t.Errorf("%d gateways: %s, want %s", n, got, want)
		}
	}
}

func TestFindings(t *testing.T) {
	found := NewFindings()
	if found.Any() {
		t.Error("problems from nowhere")
	}
	at := tree.Position{File: "f", Line: 1, Column: 1}
	for _, gateway := range []string{"a", "b", "c", "d", "e"} {
		found.Add(tree.NewProblem(at, "all", ""), gateway)
		if gateway != "e" {
			found.Add(tree.NewProblem(at, "most", ""), gateway)
		}
	}
	found.Add(tree.NewProblem(at, "one", "do it"), "c")
	want := "[f:1:1: all (all gateways) f:1:1: most (a and 3 more gateways) f:1:1: one (c): do it]"
	if got := fmt.Sprint(found.Problems(5)); got != want || !found.Any() {
		t.Errorf("%s, want %s", got, want)
	}
}
