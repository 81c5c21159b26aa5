package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/configs/tree"
)

// FuzzParse looks for crashes, and for problems that do not point at a place
// that the file has.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "examples/*.yaml"} {
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
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 10_000 {
			t.Skip("the parser's time grows faster than its input")
		}
		_, err := Parse("f.yaml", content)
		if err == nil {
			return
		}
		var wrong *tree.Error
		if !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
			t.Fatalf("not an Error with problems: %v", err)
		}
		text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(content))
		lines := strings.Split(text, "\n")
		for _, p := range wrong.Problems {
			at := p.Position
			if at.File != "f.yaml" || at.Line < 1 || at.Line > len(lines) || at.Column < 1 ||
				at.Column > len([]rune(lines[at.Line-1]))+1 {
				t.Errorf("the place is not in the file: %s", p)
			}
			if p.Text == "" || strings.ContainsRune(p.String(), '\n') {
				t.Errorf("not one line: %q", p)
			}
		}
	})
}
