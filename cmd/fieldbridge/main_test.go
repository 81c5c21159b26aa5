package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// call runs the program with args.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = dispatch(t.Context(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		code   int
		stdout string // part of it
		stderr string
	}{
		{nil, exitUsage, "", "Usage: fieldbridge COMMAND"},
		{[]string{"help"}, exitDone, "  run ", ""},
		{[]string{"--help"}, exitDone, "Usage", ""},
		{[]string{"--version"}, exitDone, "fieldbridge dev", ""},
		{[]string{"version"}, exitDone, "fieldbridge dev", ""},
		{[]string{"rum"}, exitUsage, "", `fieldbridge: no command "rum": did you mean "run"?`},
		{[]string{"queue", "exprot"}, exitUsage, "",
			`fieldbridge queue: no command "exprot": did you mean "export"? 'fieldbridge help queue' lists them`},
		{[]string{"help", "rum"}, exitUsage, "", `no command "rum": did you mean "run"? 'fieldbridge help' lists them`},
		{[]string{"help", "queue", "exprot"}, exitUsage, "",
			`no command "exprot": did you mean "export"? 'fieldbridge help queue' lists them`},
		{[]string{"status", "--jsn"}, exitUsage, "", "did you mean --json?"},
		{[]string{"run", "--gateway"}, exitUsage, "",
			"fieldbridge run: flag needs an argument: --gateway\n'fieldbridge run -h' tells more"},
		{[]string{"run"}, exitUsage, "", "which file"},
		{[]string{"run", "-h"}, exitDone, "", "Usage: fieldbridge run FILE"},
		{[]string{"run", "a", "b"}, exitUsage, "", `unexpected argument "b"`},
		{[]string{"run", "/no/such/file.yaml"}, exitUsage, "", "/no/such/file.yaml"},
		{[]string{"status", "--jso"}, exitUsage, "", "-jso"},
		{[]string{"status", "/no/such/dir"}, exitUsage, "", "no such file"},
		{[]string{"demo", "extra"}, exitUsage, "", "unexpected argument"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, stdout, stderr := call(t, tt.args...)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, stdout, stderr)
			}
		})
	}
}

func TestStatusWithoutGateway(t *testing.T) {
	code, _, stderr := call(t, "status", t.TempDir())
	if code != exitFailed || !strings.Contains(stderr, "no gateway is running there") ||
		!strings.Contains(stderr, "'systemctl status fieldbridge' says why it ended") {
		t.Errorf("exit %d, stderr %s", code, stderr)
	}
}

// The flags of Go's flag package are taken as it took them, wherever they stand.
func TestNormal(t *testing.T) {
	for args, want := range map[string]string{
		"":                                      "",
		"--help":                                "--help",
		"-help":                                 "--help",
		"queue -help":                           "queue --help",
		"status":                                "status --",
		"status file --json":                    "status --json -- file",
		"status -json file":                     "status --json -- file",
		"status -json=false file":               "status --json=false -- file",
		"status -h":                             "status --help --",
		"status -help":                          "status --help --",
		"status --jso x":                        "status --jso -- x",
		"status -- -json":                       "status -- -json",
		"status -":                              "status -- -",
		"run f -gateway g":                      "run --gateway=g -- f",
		"run f --gateway -json":                 "run --gateway=-json -- f",
		"run f -gateway":                        "run --gateway",
		"queue export -o out dir":               "queue export --output=out -- dir",
		"queue export -o=out dir":               "queue export --output=out -- dir",
		"queue dead list d -limit 3 -json":      "queue dead list --limit=3 --json -- d",
		"modbus write U holding:4 -7 -type x":   "modbus write --type=x -- U holding:4 -7",
		"modbus read --offset -1.5 U holding:4": "modbus read --offset=-1.5 -- U holding:4",
		"rum -x":                                "rum -x",
		"help queue":                            "help -- queue",
	} {
		if got := strings.Join(normal(tree(), strings.Fields(args)), " "); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

// Every command has its help, by each way to ask for it, and says what it is.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command, words []string)
	count := 0
	walk = func(c *cobra.Command, words []string) {
		for _, sub := range c.Commands() {
			count++
			path := append(slices.Clone(words), sub.Name())
			usage := "Usage: fieldbridge " + strings.Join(path, " ")
			code, stdout, stderr := call(t, append([]string{"help"}, path...)...)
			if code != exitDone || !strings.HasPrefix(stdout, usage) || stderr != "" {
				t.Errorf("help %v: exit %d\nstdout %s\nstderr %s", path, code, stdout, stderr)
			}
			for _, flag := range []string{"-h", "-help", "--help"} {
				if code, out, said := call(t, append(slices.Clone(path), flag)...); code != exitDone || said != stdout ||
					out != "" {
					t.Errorf("%v %s: exit %d\nstdout %s\nstderr %s", path, flag, code, out, said)
				}
			}
			if sub.Short == "" || sub.Short[len(sub.Short)-1] == '.' {
				t.Errorf("%v: summary %q", path, sub.Short)
			}
			walk(sub, path)
		}
	}
	walk(tree(), nil)
	if count < 30 {
		t.Errorf("only %d commands", count)
	}
}

// A shell asks the program itself what may come next.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, stderr := call(t, "completion", shell); code != exitDone ||
			!strings.Contains(stdout, "__complete") || stderr != "" {
			t.Errorf("%s: exit %d, %d bytes, stderr %s", shell, code, len(stdout), stderr)
		}
	}
	for words, want := range map[string]string{
		"re":               "reload\t",
		"queue ":           "export\twrite what waits to a file",
		"queue dead p":     "purge\t",
		"status --j":       "--json\t",
		"commands o":       "off\n",
		"help queue de":    "dead\t",
		"completion ba":    "bash\n",
		"queue export --f": "--format\t",
	} {
		args := append([]string{"__complete"}, strings.Split(words, " ")...)
		if code, stdout, _ := call(t, args...); code != exitDone || !strings.Contains(stdout, want) {
			t.Errorf("%q: exit %d, no %q in %q", words, code, want, stdout)
		}
	}
}
