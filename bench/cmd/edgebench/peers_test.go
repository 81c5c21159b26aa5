package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestContests looks for loads that name what there is not: a column, a field of the result, a name twice.
func TestContests(t *testing.T) {
	columns := map[string]bool{}
	for _, e := range line("", "", "") {
		columns[e.column] = true
	}
	fields := resultFields(t)
	names := map[string]bool{}
	for _, c := range contests() {
		if names[c.name] {
			t.Errorf("%s stands twice", c.name)
		}
		names[c.name] = true
		if len(c.who) == 0 || len(c.rows) == 0 {
			t.Errorf("%s: nobody runs, or nothing is told", c.name)
		}
		for column := range c.who {
			if !columns[column] {
				t.Errorf("%s: there is no column %q", c.name, column)
			}
		}
		for _, r := range c.rows {
			for f := range strings.SplitSeq(r.field, "/") {
				if !fields[f] {
					t.Errorf("%s: a result has no field %q", c.name, f)
				}
			}
		}
	}
}

// TestPeersTable takes up where an earlier call stopped, and prints medians, ratios and what could not run.
func TestPeersTable(t *testing.T) {
	out := filepath.Join(t.TempDir(), "r.jsonl")
	lines := `{"Label":"A","Column":"before","CPUPer1M":0.5}
{"Label":"A","Column":"now","CPUPer1M":0.4}
{"Label":"A","Column":"now","CPUPer1M":0.2}
{"Label":"A","Column":"now","CPUPer1M":0.3}
{"Label":"A","Column":"bare loop","CPUPer1M":0.1}
`
	if err := os.WriteFile(out, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	tm := &tournament{rounds: 3, out: out, results: map[string][]map[string]any{},
		failures: map[string]string{cell("A", "mosquitto"): "no port"},
		entrants: []entrant{{column: "before"}, {column: "now"}, {column: "Telegraf", absent: "not here"},
			{column: "mosquitto"}, {column: "mqmgateway"}, {column: "bare loop"}},
		cases: []contest{{name: "A", what: "x",
			who: both(nil, "Telegraf", "mosquitto", "mqmgateway", "bare loop"), rows: []row{cpu}}},
	}
	if err := tm.load(); err != nil {
		t.Fatal(err)
	}
	// Of three rounds "now" has all, "before" and the bare loop one, mosquitto and mqmgateway none.
	if got := len(tm.turns()); got != 2+2+3+3 {
		t.Errorf("%d runs are left, want 10", got)
	}
	var b strings.Builder
	tm.print(&b)
	for _, want := range []string{
		"| **A** x | CPU s per million readings | 0.5 (n=1) | 0.3 | – | failed | not run | 0.1 (n=1) | 0.60 | 3.00 | |",
		"Telegraf did not run: not here", "A @ mosquitto failed: no port",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func resultFields(t *testing.T) map[string]bool {
	t.Helper()
	fields := map[string]bool{}
	for f := range reflect.TypeFor[result]().Fields() {
		fields[f.Name] = true
	}
	return fields
}
