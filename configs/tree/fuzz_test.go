package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse looks for crashes, for values and problems at places that the text
// does not have, and for keys that come twice.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"../testdata/*.yaml", "../examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 10_000 {
			t.Skip("the parser's time grows faster than its input")
		}
		text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(content), "\xef\xbb\xbf"))
		lines := strings.Split(text, "\n")
		inFile := func(at Position) bool {
			return at.File == "f" && at.Line >= 1 && at.Line <= len(lines) && at.Column >= 1 &&
				at.Column <= len([]rune(lines[at.Line-1]))+1
		}
		root, problems := Parse("f", content)
		if root == nil && len(problems) == 0 {
			t.Fatal("neither a tree nor a problem")
		}
		for _, p := range problems {
			if !inFile(p.Position) || p.Text == "" || strings.ContainsRune(p.String(), '\n') {
				t.Errorf("not one line about a place in the file: %q", p)
			}
		}
		var walk func(n *Node)
		walk = func(n *Node) {
			if !inFile(n.Pos) {
				t.Errorf("%s of kind %d is not in the file", n.Pos, n.Kind)
			}
			for _, item := range n.Items {
				walk(item)
			}
			seen := make(map[string]bool)
			for _, m := range n.Members {
				if !inFile(m.Pos) || seen[m.Key] {
					t.Errorf("key %q at %s comes twice or from nowhere", m.Key, m.Pos)
				}
				seen[m.Key] = true
				walk(m.Value)
			}
		}
		if root == nil {
			return
		}
		walk(root)
		if expanded, problems := Expand(root); len(problems) == 0 {
			walk(expanded)
		}
	})
}
