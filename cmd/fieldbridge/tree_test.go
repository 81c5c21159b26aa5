package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/manual"
)

// leavesOf calls visit for each command below c that does something, with its path.
func leavesOf(c *cobra.Command, visit func(path string, c *cobra.Command)) {
	for _, sub := range c.Commands() {
		if path := strings.TrimPrefix(sub.CommandPath(), "fieldbridge "); !isGroup(sub) {
			visit(path, sub)
		}
		leavesOf(sub, visit)
	}
}

// Every command shows examples, and each of them is a command line that is taken.
func TestExamples(t *testing.T) {
	leavesOf(tree(), func(path string, c *cobra.Command) {
		if c.Example == "" {
			t.Errorf("%s: no example", path)
			return
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			words := strings.Fields(strings.SplitN(line, " > ", 2)[0])
			if len(words) == 0 || words[0] != "fieldbridge" {
				t.Errorf("%s: %q", path, line)
				continue
			}
			root := tree()
			at, rest, err := root.Find(normal(root, words[1:]))
			if err != nil || at.CommandPath() != "fieldbridge "+path {
				t.Errorf("%q is of %s, %v", line, at.CommandPath(), err)
				continue
			}
			if err := at.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", line, err)
			} else if err := at.ValidateArgs(at.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
		code, stdout, _ := call(t, append([]string{"help"}, strings.Fields(path)...)...)
		if code != exitDone || !strings.Contains(stdout, c.Example) {
			t.Errorf("help %s: exit %d, no example in\n%s", path, code, stdout)
		}
	})
}

// speechless are commands that have nothing for programs: they refuse --json.
var speechless = map[string]string{
	"demo": "a show", "init": "it writes a file", "run": "it logs, see log.format", "fleet render": "it prints YAML",
	"fleet policy": "what it prints is JSON", "queue export": "--format jsonl", "profiles import": "it prints YAML",
	"cloud": "it prints a line a message", "sensors password": "a line", "support": "it writes a file",
	"modbus replay": "it prints a line a request", "help": "words", "sensors forget": "a sentence",
	"identity provision": "a sentence a step", "identity rotate": "a sentence", "identity csr": "it writes a file",
	"identity install": "a sentence", "decode": "what it prints is JSON", "fleet template": "what it prints is JSON",
}

// Every command takes --json, or refuses it.
func TestJSONFlag(t *testing.T) {
	leavesOf(tree(), func(path string, c *cobra.Command) {
		_, none := speechless[path]
		f := c.Flags().Lookup("json")
		switch {
		case f == nil && !none:
			t.Errorf("%s: no --json", path)
		case f != nil && none:
			t.Errorf("%s has --json", path)
		case none:
			code, stdout, stderr := call(t, append(strings.Fields(path), "--json")...)
			if code != exitUsage || stdout != "" ||
				!strings.Contains(stderr, "--json: this command prints nothing for programs") {
				t.Errorf("%s --json: exit %d\n%s%s", path, code, stdout, stderr)
			}
		}
	})
	for _, args := range []string{"version", "profiles", "check ../../configs/examples/first-run.yaml",
		"fleet check ../../configs/examples/fleet.yaml", "fleet list ../../configs/examples/fleet.yaml",
		"check ../../configs/examples/fleet.yaml", "modbus decode 42AB 47AE",
		"fleet diff ../../configs/examples/fleet.yaml ../../configs/examples/fleet.yaml"} {
		code, stdout, stderr := call(t, append(strings.Fields(args), "--json")...)
		if code != exitDone || !json.Valid([]byte(stdout)) || stderr != "" {
			t.Errorf("%s --json: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// Wrong usage is exit code 2 for every command, and asking for help is 0.
func TestExitCodes(t *testing.T) {
	leavesOf(tree(), func(path string, c *cobra.Command) {
		words := strings.Fields(path)
		for arg, want := range map[string]int{"--no-such-flag": exitUsage, "-h": exitDone} {
			if code, _, stderr := call(t, append(words[:len(words):len(words)], arg)...); code != want {
				t.Errorf("%s %s: exit %d, want %d: %s", path, arg, code, want, stderr)
			}
		}
		if c.ValidateArgs(make([]string, 1000)) == nil {
			return // as many as one likes
		}
		many := append(words[:len(words):len(words)], strings.Fields(strings.Repeat("x ", 1000))...)
		if code, _, stderr := call(t, many...); code != exitUsage {
			t.Errorf("%s with 1,000 arguments: exit %d: %s", path, code, stderr)
		}
	})
	code, stdout, _ := call(t, "help")
	for n, text := range exitCodes {
		if code != exitDone || !strings.Contains(stdout, text) {
			t.Errorf("help does not tell exit code %d", n)
		}
	}
}

// The pages of the manual are those of the commands.
func TestManual(t *testing.T) {
	const folder = "../../packaging/man"
	there := make(map[string]bool)
	for _, p := range manual.Pages(tree(), exitCodes) {
		there[p.Name] = true
		file := filepath.Join(folder, p.Name)
		if *update {
			if err := os.WriteFile(file, []byte(p.Text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v: go test ./cmd/fieldbridge -run TestManual -update writes it", err)
		} else if d := cmp.Diff(string(text), p.Text); d != "" {
			t.Errorf("%s: go test ./cmd/fieldbridge -run TestManual -update writes it again (-is +should be):\n%s", file, d)
		}
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !there[f.Name()] {
			t.Errorf("%s is of no command", f.Name())
		}
	}
}
