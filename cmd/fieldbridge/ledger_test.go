package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/ledger"
)

var update = flag.Bool("update", false, "write the golden files of this package again")

// golden compares text with a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), text); d != "" {
		t.Errorf("%s: run the test with -update if this is meant (-want +got):\n%s", path, d)
	}
}

func TestLedgerCommand(t *testing.T) {
	const broken, kept = "testdata/ledger/broken.txt", "testdata/ledger/kept.jsonl"
	for _, tt := range []struct {
		golden string
		code   int
		args   []string
	}{
		{"ledger/broken.out", exitFailed, []string{broken}},
		{"ledger/broken.json", exitFailed, []string{"--json", broken}},
		{"ledger/kept.out", exitDone, []string{kept}},
		{"ledger/kept.json", exitDone, []string{kept, "--json"}},
	} {
		code, stdout, stderr := call(t, append([]string{"ledger"}, tt.args...)...)
		if code != tt.code || stderr != "" {
			t.Errorf("%v: exit %d, want %d: %s", tt.args, code, tt.code, stderr)
		}
		golden(t, tt.golden, stdout)
	}

	var stdout, stderr bytes.Buffer
	both, err := os.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()
	if code := dispatch(t.Context(), []string{"ledger", "--json", broken, "-"}, both, &stdout,
		&stderr); code != exitFailed {
		t.Errorf("a file and standard input: exit %d: %s", code, &stderr)
	}
	var r ledger.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || len(r.Runs) != 4 || r.Kept {
		t.Errorf("a file and standard input: %v: %+v", err, r)
	}
	for _, tt := range []struct {
		stdin, said string
		args        []string
		code        int
	}{
		{"", "there are no messages of a gateway", nil, exitFailed},
		{"", "no such file", []string{"nothing.jsonl"}, exitUsage},
		{"", "unknown flag: --jsn: did you mean --json?", []string{"--jsn"}, exitUsage},
		{`{"v":1,"gateway":"g","run":"r","batches":[{"seq":7,"device":"d","at":1}]}`, "", []string{"--partial"}, exitDone},
		{`{"v":1,"gateway":"g","run":"r","batches":[{"seq":7,"device":"d","at":1}]}`, "", []string{"-"}, exitFailed},
	} {
		var stdout, stderr bytes.Buffer
		code := dispatch(t.Context(), append([]string{"ledger"}, tt.args...), strings.NewReader(tt.stdin), &stdout, &stderr)
		if code != tt.code || !strings.Contains(stderr.String(), tt.said) {
			t.Errorf("%v: exit %d: %s", tt.args, code, &stderr)
		}
	}
}
