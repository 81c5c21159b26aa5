package tell

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"fieldbridge/configs/tree"
)

func TestProblems(t *testing.T) {
	file := filepath.Join(t.TempDir(), "g.yaml")
	content := "gateway: g\r\n\tproxy: http://user:pä:ss@host:3128/ x\n" + strings.Repeat("é", 150) + "X" +
		strings.Repeat("é", 150)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(line, column int) tree.Problem {
		return tree.NewProblem(tree.Position{File: file, Line: line, Column: column}, "wrong", "")
	}
	var out bytes.Buffer
	Problems(&out, "warning: ", []tree.Problem{at(1, 10), at(2, 9), at(3, 151), at(9, 1),
		tree.NewProblem(tree.Position{File: "nosuch", Line: 1, Column: 1}, "gone", "")})
	lines := strings.Split(strings.ReplaceAll(out.String(), file, "F"), "\n")
	want := []string{"warning: F:1:10: wrong", "  1 | gateway: g", "    |          ^",
		"warning: F:2:9: wrong", "  2 |  proxy: http://user:*****@host:3128/ x", "    |         ^", "warning: F:3:151: wrong"}
	for i, w := range want {
		if lines[i] != w {
			t.Errorf("got %q, want %q", lines[i], w)
		}
	}
	text, caret := []rune(lines[7]), strings.Index(lines[8], "^")
	if text[caret] != 'X' || utf8.RuneCountInString(lines[7]) > mostSource+8 {
		t.Errorf("%s\n%s", lines[7], lines[8])
	}
	if got := strings.Join(lines[9:], "\n"); got != "warning: F:9:1: wrong\nwarning: nosuch:1:1: gone\n" {
		t.Errorf("%q", got)
	}
}

// TestProblemsShowNoKey: of PEM text no line is shown, wherever it begins and ends.
func TestProblemsShowNoKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "g.yaml")
	content := "a: 1\nkey: \"-----BEGIN PRIVATE KEY-----\\nsecret\\n-----END PRIVATE KEY-----\"\nb: 2\nkey: |\n" +
		"  -----BEGIN PRIVATE KEY-----\n  secret\n  -----END PRIVATE KEY-----\nc: 3\n  -----BEGIN X\n  secret\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, shown := range map[int]string{1: "a: 1", 2: "", 3: "b: 2", 4: "key: |", 5: "", 6: "", 7: "", 8: "c: 3",
		10: ""} {
		var out bytes.Buffer
		Problems(&out, "", []tree.Problem{tree.NewProblem(tree.Position{File: file, Line: line, Column: 1}, "wrong", "")})
		if strings.Contains(out.String(), "secret") || shown == "" && strings.Contains(out.String(), " | ") ||
			!strings.Contains(out.String(), shown) {
			t.Errorf("line %d: %s", line, &out)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("a: b", 3)
	f.Add("://a:b@", 2)
	f.Fuzz(func(t *testing.T, line string, column int) {
		text, at := excerpt(line, column)
		if n := utf8.RuneCountInString(text); n > mostSource+2 || at < 0 || at > n+1 {
			t.Errorf("%q, %d of %q, %d", text, at, line, column)
		}
	})
}
