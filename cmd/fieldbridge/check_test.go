package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string // parts that must be there
	}{
		"right": {[]string{"../../configs/examples/first-run.yaml"}, exitDone, "Gateway press-line-2\n",
			"warning: ../../configs/examples/first-run.yaml:7:18: certificate"},
		"wrong": {[]string{"../../configs/testdata/key-unknown-root.bad.yaml"}, exitUsage, "",
			`8:1: unknown key "sothbound": did you mean "southbound"?`},
		"many": {[]string{"../../configs/testdata/many-at-once.bad.yaml"}, exitUsage, "",
			"problems in ../../configs/testdata/many-at-once.bad.yaml\n"},
		"missing":   {[]string{"nothing.yaml"}, exitUsage, "", "nothing.yaml: no such file: check the name"},
		"folder":    {[]string{"."}, exitUsage, "", ".: is a folder: name the YAML file in it"},
		"no file":   {nil, exitUsage, "", "which file?"},
		"two files": {[]string{"a", "b"}, exitUsage, "", `unexpected argument "b"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := dispatch(t.Context(), append([]string{"check"}, test.args...), nil, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout.String(), test.stdout) || (test.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("stdout %q, want %q in it", stdout.String(), test.stdout)
			}
			if !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), test.stderr)
			}
		})
	}
}

func TestCheckJSON(t *testing.T) {
	for file, ok := range map[string]bool{"../../configs/examples/first-run.yaml": true,
		"../../configs/testdata/type-octal.bad.yaml": false} {
		var stdout, stderr bytes.Buffer
		code := dispatch(t.Context(), []string{"check", file, "--json"}, nil, &stdout, &stderr)
		var result checkResult
		if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
			t.Fatal(err)
		}
		if result.OK != ok || (code == exitDone) != ok || (len(result.Errors) == 0) != ok || (result.Plan != nil) != ok ||
			stderr.Len() != 0 {
			t.Errorf("%s: code %d, stderr %q, %s", file, code, stderr.String(), stdout.String())
		}
		if !ok && (result.Errors[0].Line != 19 || result.Errors[0].Column != 28 || result.Errors[0].Fix == "") {
			t.Errorf("%+v", result.Errors[0])
		}
	}
}
