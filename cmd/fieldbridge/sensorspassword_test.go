package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/password"
)

// TestSensorsPassword: a password from a pipe becomes a hash that knows it, and is
// not printed itself.
func TestSensorsPassword(t *testing.T) {
	for name, tt := range map[string]struct {
		stdin, word, problem string
	}{
		"line":             {"kanarek 1\n", "kanarek 1", ""},
		"Windows":          {"kanarek 1\r\nmore\n", "kanarek 1", ""},
		"without newline":  {"kanarek", "kanarek", ""},
		"empty":            {"\nx\n", "", "the password is empty"},
		"nothing":          {"", "", "the password is empty"},
		"longest":          {strings.Repeat("k", 1024) + "\n", strings.Repeat("k", 1024), ""},
		"longer":           {strings.Repeat("k", 1025) + "\n", "", "more than 1024 bytes"},
		"very much longer": {strings.Repeat("k", 10_000), "", "more than 1024 bytes"},
	} {
		var out, err bytes.Buffer
		code := dispatch(t.Context(), []string{"sensors", "password"}, strings.NewReader(tt.stdin), &out, &err)
		if tt.problem != "" {
			if code != exitFailed || out.Len() > 0 || !strings.Contains(err.String(), tt.problem) {
				t.Errorf("%s: exit %d, %s%s", name, code, &out, &err)
			}
			continue
		}
		hash, e := password.Parse(strings.TrimSpace(out.String()))
		if code != exitDone || e != nil || !strings.HasPrefix(out.String(), "$7$") ||
			strings.Contains(out.String(), tt.word) {
			t.Errorf("%s: exit %d, %v: %s%s", name, code, e, &out, &err)
			continue
		}
		if !hash.Matches([]byte(tt.word)) || hash.Matches([]byte(tt.word+"x")) {
			t.Errorf("%s: the hash does not know the password", name)
		}
	}
}

// TestSensorsPasswordOfATerminal types at a real terminal, which must not show it.
func TestSensorsPasswordOfATerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("script (util-linux) is not here")
	}
	program, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), busy*20*time.Second)
	defer cancel()
	for typed, want := range map[string]string{"kanarek\nkanarek\n": "$7$", "kanarek\nkanarak\n": "the passwords differ"} {
		c := exec.CommandContext(ctx, script, "-qec", program+" sensors password",
			filepath.Join(t.TempDir(), "typescript"))
		c.Env = append(os.Environ(), "SHELL=/bin/sh")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = in.Write([]byte(typed))
		_ = c.Wait()
		_ = in.Close()
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q: %s", typed, &out)
		}
	}
}
