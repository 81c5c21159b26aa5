package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// foreign are words of the system, of Go's packages and of HTTP, which no sentence
// for people has.
var foreign = regexp.MustCompile(`\b(open|stat|lstat|mkdir|rename|listen|dial) (tcp|unix|udp|/|\w+\.\w+: )|` +
	`(^|[ (])(strconv|json|yaml|net|http|os|io|x509|tls|time|pflag|bbolt|goburrow|paho|mochi|zstd)(\.\w+)?: |` +
	`no such file or directory|\b[345]\d\d [A-Z][a-z]+|syscall|errno|deadline exceeded|context ` +
	`canceled|goroutine|0x[0-9a-f]{6}`)

// TestSentences makes commands fail in ways people make them fail, and reads what
// they say: no word of the system, and the right exit code.
func TestSentences(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // after the parallel tests
	taken := l.Addr().String()
	none := filepath.Join(dir, "none.yaml")
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"check " + none, exitUsage, "no such file"},
		{"run " + none, exitUsage, "no such file"},
		{"identity check " + none, exitUsage, "no such file"},
		{"fleet check " + none, exitUsage, "no such file"},
		{"fleet list " + none, exitUsage, "no such file"},
		{"fleet diff " + none + " " + none, exitUsage, "no such file"},
		{"status " + none, exitUsage, none + ": no such file or folder: check the name"},
		{"sensors " + none, exitUsage, none + ": no such file"},
		{"values boiler " + none, exitUsage, none + ": no such file"},
		{"reload " + none, exitUsage, none + ": no such file"},
		{"commands " + none, exitUsage, none + ": no such file"},
		{"queue inspect " + none, exitUsage, none + ": no such file"},
		{"queue export " + none, exitUsage, none + ": no such file"},
		{"ledger " + none, exitUsage, none + ": no such file"},
		{"ledger " + dir, exitUsage, "is a folder"},
		{"profiles import " + none, exitUsage, none + ": no such file"},
		{"profiles import " + dir, exitUsage, dir + " is a folder: name a file"},
		{"init " + file + " --modbus 127.0.0.1", exitFailed, "is there already"},
		{"demo --dir " + filepath.Join(file, "x") + " --for 1s", exitFailed, "is a file, not a folder"},
		{"cloud --dir " + dir + " --listen " + taken, exitFailed, taken},
		{"cloud --dir " + filepath.Join(dir, "cloud") + " --listen nohost", exitFailed, "nohost"},
		{"values boiler --wait 5", exitUsage, `--wait cannot be "5": write a time`},
		{"queue dead list --limit x", exitUsage, `--limit cannot be "x": write a whole number`},
		{"status --json=maybe", exitUsage, `--json cannot be "maybe"`},
		{"reload --confirm soon", exitUsage, `"soon" is not a duration`},
		{"reload --good most", exitUsage, `"most" is not a share`},
		{"completion foo", exitUsage, `"foo"`},
		{"completion bahs", exitUsage, `did you mean "bash"?`},
		{"modbus read tcp://127.0.0.1:1 input:0 --type floot32", exitUsage, `did you mean "float32"?`},
		{"modbus read tcp://127.0.0.1:1 inputs:0", exitUsage, `did you mean "input"?`},
		{"modbus read tcp://127.0.0.1:1 input:0 --scale x", exitUsage, "--scale"},
		{"modbus read tcp://127.0.0.1:1 input:0", exitFailed, "connection refused"},
		{"modbus read tcp://127.0.0.1:1 input:0 --unit 999", exitUsage, "unit 999"},
		{"modbus read rtu:///dev/ttyNONE input:0", exitFailed, "/dev/ttyNONE: no such file or folder"},
		{"modbus read rtu://" + file + " input:0", exitFailed, file},
		{"modbus write tcp://127.0.0.1:1 input:20 1", exitUsage, "input 20 cannot be written"},
		{"modbus write tcp://127.0.0.1:1 30021 1", exitUsage, "input 20 cannot be written"},
		{"modbus scan tcp://127.0.0.1:1 --line", exitUsage, "--line is for serial ports"},
		{"modbus scan tcp://127.0.0.1:1 --units x", exitUsage, "FIRST-LAST"},
		{"modbus scan tcp://127.0.0.1:1 --addresses holding:x", exitUsage, "FIRST-LAST"},
		{"modbus read x://y input:0", exitUsage, `"x" is not a kind of bus`},
		{"queue inspect " + dir, exitFailed, "there is no queue in"},
		{"queue inspect " + file, exitUsage, file},
		{"commands offf", exitUsage, "offf"},
		{"statsu", exitUsage, `did you mean "status"?`},
		{"cloud snd", exitUsage, "did you mean 'fieldbridge cloud send'?"},
		{"sensors pasword", exitUsage, "did you mean 'fieldbridge sensors password'?"},
		{"profiles imprt", exitUsage, "did you mean 'fieldbridge profiles import'?"},
	} {
		t.Run(strings.ReplaceAll(tt.args, dir, "DIR"), func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := call(t, strings.Fields(tt.args)...)
			if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, want %d with %q\nstdout %s\nstderr %s", code, tt.code, tt.want, stdout, stderr)
			}
			if word := foreign.FindString(stderr); word != "" {
				t.Errorf("%q is no word for people: %s", word, stderr)
			}
		})
	}
}
