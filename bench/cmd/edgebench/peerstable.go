package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// print writes the table as Markdown: what ran where, a line for each figure, what could not run.
func (t *tournament) print(w io.Writer) {
	fmt.Fprintf(w, "%s; %s; medians of %d runs of %v, in turn.\n\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		machineName(), t.rounds, t.measure)
	for _, e := range t.entrants {
		if e.absent == "" {
			fmt.Fprintf(w, "- %s: %s\n", e.column, version(e))
		}
	}
	head, rule := "| load | figure |", "|---|---|"
	for _, e := range t.entrants {
		head, rule = head+" "+e.column+" |", rule+"---|"
	}
	fmt.Fprintf(w, "\n%s now/before | now/bare | machine busy, %% |\n%s---|---|---|\n", head, rule)
	for _, c := range t.cases {
		for i, r := range c.rows {
			what := ""
			if i == 0 {
				what = fmt.Sprintf("**%s** %s", c.name, c.what)
			}
			t.printRow(w, c, r, what)
		}
	}
	if missing := t.missing(); len(missing) > 0 {
		fmt.Fprintf(w, "\n- %s\n", strings.Join(missing, "\n- "))
	}
}

// printRow writes one figure of all entrants.
func (t *tournament) printRow(w io.Writer, c contest, r row, what string) {
	fmt.Fprintf(w, "| %s | %s |", what, r.figure)
	mid := map[string]float64{}
	var busy []float64
	for _, e := range t.entrants {
		runs := t.results[cell(c.name, e.column)]
		var v []float64
		for _, m := range runs {
			if x, ok := r.of(m); ok {
				v = append(v, x)
			}
			if b, ok := m["MachineBusyPct"].(float64); ok {
				busy = append(busy, b)
			}
		}
		switch _, takes := c.who[e.column]; {
		case !takes || e.absent != "":
			fmt.Fprint(w, " – |")
		case len(v) == 0 && t.failures[cell(c.name, e.column)] != "":
			fmt.Fprint(w, " failed |")
		case len(v) == 0:
			fmt.Fprint(w, " not run |")
		default:
			mid[e.column] = median(v)
			n := ""
			if len(v) != t.rounds && !c.once {
				n = fmt.Sprintf(" (n=%d)", len(v))
			}
			fmt.Fprintf(w, " %s%s |", num(mid[e.column]), n)
		}
	}
	fmt.Fprintf(w, " %s |", quotient(mid, "now", "before"))
	if r.bare {
		fmt.Fprintf(w, " %s |", quotient(mid, "now", "bare loop"))
	} else {
		fmt.Fprint(w, " |")
	}
	if what != "" && len(busy) > 0 {
		fmt.Fprintf(w, " %s |\n", num(median(busy)))
	} else {
		fmt.Fprintln(w, " |")
	}
}

func quotient(v map[string]float64, a, b string) string {
	x, ok := v[a]
	y, also := v[b]
	if !ok || !also || y == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", x/y)
}

// of is the row's figure in one result.
func (r row) of(m map[string]any) (float64, bool) {
	a, b, two := strings.Cut(r.field, "/")
	v, ok := m[a].(float64)
	if two {
		d, also := m[b].(float64)
		return v / d, ok && also && d != 0
	}
	return v, ok
}

// version is what a program says of itself.
func version(e entrant) string {
	argv := map[string][]string{"fieldbridge": {filepath.Join(e.bin, "fieldbridge"), "version"},
		"telegraf": {filepath.Join(e.bin, "telegraf"), "--version"}, "mosquitto-bridge": {"mosquitto", "-h"},
		"mqmgateway": {filepath.Join(e.bin, "modmqttd"), "--version"}}[e.peer]
	if argv == nil {
		return "bench/cmd/limit: reads and publishes, no queue, no retry"
	}
	b, _ := exec.Command(argv[0], argv[1:]...).CombinedOutput() // mosquitto -h ends with 3
	first, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	size := ""
	if i, err := os.Stat(argv[0]); err == nil {
		size = fmt.Sprintf(", %.2f MiB", float64(i.Size())/(1<<20))
	}
	return first + size
}

// machineName tells where this was measured.
func machineName() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name\t: "); ok {
			model, _, _ = strings.Cut(after, "\n")
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d x %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)),
		runtime.Version())
}
