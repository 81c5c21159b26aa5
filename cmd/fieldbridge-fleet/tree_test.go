package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/manual"
)

var update = flag.Bool("update", false, "write the pages of the manual again")

// parses fails if words are no command line of the tool.
func parses(t *testing.T, line string, words []string) {
	t.Helper()
	c, rest, err := tree().Find(words)
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err != nil || !c.HasParent() {
		t.Errorf("%q: %v", line, err)
	}
}

// Every command shows examples, and each of them is a command line that is taken.
func TestExamples(t *testing.T) {
	for _, c := range tree().Commands() {
		if c.Example == "" {
			t.Errorf("%s: no example", c.Name())
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			if words := strings.Fields(line); len(words) > 1 {
				parses(t, line, words[1:])
			}
		}
	}
}

// What the workflows of deploy call is a command line that is taken.
func TestWorkflows(t *testing.T) {
	for _, file := range []string{"../../deploy/github/fleet.yml", "../../deploy/gitlab/fleet.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// A line goes on after a backslash, or in YAML before a flag.
		whole := regexp.MustCompile(`(\\\n|\n) *--`).ReplaceAllString(string(text), " --")
		lines := regexp.MustCompile(`fieldbridge-fleet (check|deploy|status) .*`).FindAllString(whole, -1)
		if len(lines) == 0 {
			t.Errorf("%s calls nothing", file)
		}
		for _, line := range lines {
			parses(t, line, strings.Fields(line)[1:])
		}
	}
}

// The pages of the manual are those of the commands.
func TestManual(t *testing.T) {
	const folder = "man"
	pages := manual.Pages(tree(), exitCodes)
	for _, p := range pages {
		file := filepath.Join(folder, p.Name)
		if *update {
			if err := os.WriteFile(file, []byte(p.Text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != p.Text {
			t.Errorf("%s: go test ./cmd/fieldbridge-fleet -run TestManual -update writes it: %v", file, err)
		}
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != len(pages) {
		t.Errorf("%d pages of %d commands, %v", len(files), len(pages), err)
	}
}

// The gateway has nothing of AWS's SDK in it.
func TestGatewayWithout(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "fieldbridge/cmd/fieldbridge").Output()
	if err != nil || !strings.Contains(string(out), "fieldbridge/gateway") {
		t.Fatalf("go list: %v", err)
	}
	if strings.Contains(string(out), "github.com/aws/") {
		t.Error("the gateway has AWS's SDK in it")
	}
}

// TestSentences: what is told of mistakes says what is wrong in plain words, and what to do.
func TestSentences(t *testing.T) {
	a := newAccount(t)
	key := filepath.Join(a.dir, "signing.key")
	text := a.write("words.txt", "untrusted comment: none\n")
	there := filepath.Join(a.dir, "there")
	a.write("there.key", "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"check " + a.file, exitDone, "warning: g1, g2, g3: northbound.awsiot.jobs does not name config"},
		{"deploy " + a.file + " --plan", exitDone, "warning: g1, g2, g3: updates.keys and updates.roots are empty"},
		{"sign restart --to g1", exitUsage, "unknown flag: --to: 'fieldbridge-fleet help sign' lists its flags"},
		{"stauts", exitUsage, `fieldbridge-fleet: there is no command "stauts": did you mean "status"?`},
		{"nonsense", exitUsage, `there is no command "nonsense": 'fieldbridge-fleet help' lists the commands`},
		{"newkey " + there, exitUsage, there + ".key is there already, and a key is never overwritten: give another name"},
		{"sign restart --all --key nokey", exitUsage, "--key: nokey: no such file or folder: check the name"},
		{"cosign " + text + " --key " + key, exitUsage, "it is nothing that was signed: an order, a list of keys"},
		{"deploy " + a.file + " --plan --group canry", exitUsage,
			`no gateway of the file is of the group "canry": did you mean "canary"?`},
		{"deploy " + a.file + " --plan --group hall-7", exitUsage, `is of the group "hall-7": there are canary`},
		{"deploy " + a.file + " --plan --group canary --then others --then late", exitUsage, `is of the group "late"`},
		{"deploy " + a.file + " --plan --then rest", exitUsage, "say --group NAME for the first stage"},
		{"release " + self + " --key " + key + " --out " + t.TempDir(), exitUsage, "say --version"},
		{"release " + self + " --version 1.2.3 --key " + key + " --out " + t.TempDir(), exitDone,
			"warning: this is not the gateway's program"},
	} {
		code, out, told := a.run(strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out+told, test.want) {
			t.Errorf("%s: exit %d, want %q", test.args, code, test.want)
		}
	}
}

// Wrong usage is exit code 2 for every command, and asking for help is 0.
func TestExitCodes(t *testing.T) {
	call := func(args ...string) int {
		return dispatch(t.Context(), args, strings.NewReader(""), new(strings.Builder), new(strings.Builder))
	}
	for _, c := range append(tree().Commands(), &cobra.Command{Use: "nonsense"}) {
		if code := call(c.Name(), "--no-such-flag"); code != exitUsage {
			t.Errorf("%s: exit %d", c.Name(), code)
		}
	}
	for _, args := range [][]string{{}, {"nonsense"}, {"sign"}, {"sign", "restart", "--all"}, {"pause", "x"}, {"rotate"},
		{"deploy"}, {"deploy", "no-such-file.yaml", "--plan"}, {"deploy", "x", "--plan", "--rate", "0"},
		{"sign", "restart", "--key", "no-such-file"}, {"deploy", "x"}} {
		if code := call(args...); code != exitUsage {
			t.Errorf("%q: exit %d", args, code)
		}
	}
	if code := call("help"); code != exitDone {
		t.Errorf("help: exit %d", code)
	}
}
