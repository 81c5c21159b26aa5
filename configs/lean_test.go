package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sameAsGeneral compares the trees of the two parsers, if lean takes the text.
func sameAsGeneral(t *testing.T, content []byte) (taken bool) {
	t.Helper()
	src, p := newSource("f.yaml", content)
	if p != nil {
		return false
	}
	got := readLean(src)
	if got == nil {
		return false
	}
	tree, p := src.parse()
	if p != nil {
		t.Fatalf("lean takes what is wrong: %v\n%s", p, content)
	}
	b := builder{src: src}
	want := b.document(tree)
	if len(b.problems) > 0 || want == nil {
		t.Fatalf("lean takes what is refused: %v\n%s", b.problems, content)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(node{}, member{})); diff != "" {
		t.Errorf("(-general +lean):\n%s\n%s", diff, content)
	}
	return true
}

func TestLean(t *testing.T) {
	taken, files := 0, 0
	for _, pattern := range []string{"examples/*.yaml", "testdata/*.yaml", "testdata/*/*.yaml", "profiles/*.yaml", "sensors/*.yaml", "../cmd/fieldbridge/testdata/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files++
			if sameAsGeneral(t, content) {
				taken++
			} else if !strings.Contains(file, "bad") {
				t.Logf("%s is left to the general parser", file)
			}
		}
	}
	t.Logf("%d of %d files", taken, files)
	if taken < files/2 {
		t.Errorf("only %d of %d files", taken, files)
	}
	if !sameAsGeneral(t, []byte("a: 1\nb: {c: [1, -2, 'x y', \"°C\"], d: {}, e: []}\nf:\n- 1\n- g: 2\n  h: ~\ni:\n  - x # y\n  -   z: 1\nj:\nk: a b#c # d\n")) {
		t.Error("plain YAML is not taken")
	}
}

// FuzzLean looks for a text that the two parsers read differently.
func FuzzLean(f *testing.F) {
	for _, pattern := range []string{"examples/first-run.yaml", "examples/fleet.yaml", "testdata/fleet/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	for _, text := range []string{"a: 1", "a: {b: c}", "a: [b, c]", "a:\n- b\n- c: d\n  e: f", "a: 'b'", "a: \"b\" # c", "'a': b#c", "a:\n  b:\n c: d", "a: -1", "a: b: c", "a: {b}", "a: [b: c]", "- a: b", "a:\n  - b\n  - - c",
		"a: b\n  c", "a: ~", "a:\nb:", "a: {b: {c: [d]}}", "\"a b\": c", "a: ${b}", "a: 0x1\nb: .inf\nc: 1_0\nd: 2001-01-01\ne: 12:30", "a: {b: c:d}", "a: <<", "a: =", "a: b ", "a:  {b: c }", "a: !b", "? a"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 2000 {
			t.Skip()
		}
		sameAsGeneral(t, content)
	})
}
