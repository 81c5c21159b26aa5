package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entrant is one column of the table: a program, found in a folder.
type entrant struct {
	column string // its name in the table
	peer   string // folder of its templates
	bin    string // folder of its program; "" if it lies in PATH
	absent string // why it takes no part; "" if it does
}

// tournament is what peersCmd was asked for.
type tournament struct {
	rounds   int
	measure  time.Duration
	until    time.Time // no run begins later; zero: no limit
	out      string
	work     string
	offset   int // of the ports
	peers    string
	entrants []entrant
	cases    []contest
	results  map[string][]map[string]any // label and column -> runs
	failures map[string]string           // label and column -> why the last run failed
}

// peersCmd runs gateways in turn on the same loads and prints one table: edgebench peers -h.
func peersCmd(args []string) error {
	fs := flag.NewFlagSet("peers", flag.ExitOnError)
	before := fs.String("before", "", "folder with the older Fieldbridge")
	now := fs.String("now", "", "folder with the newer one")
	bin := fs.String("bin", "", "folder with limit, and with telegraf and modmqttd where they are to take part")
	t := &tournament{results: map[string][]map[string]any{}, failures: map[string]string{}}
	fs.StringVar(&t.peers, "peers", "peers", "folder with the peers' templates")
	fs.StringVar(&t.work, "work", filepath.Join(os.TempDir(), "edgebench", "work"), "work directory, with certs in it")
	fs.IntVar(&t.offset, "port-offset", 0, "added to every port")
	fs.StringVar(&t.out, "out", "peers.jsonl", "results are appended here; those that are there already count")
	fs.IntVar(&t.rounds, "n", 5, "runs of each program on each load")
	fs.DurationVar(&t.measure, "measure", 20*time.Second, "window of a run")
	which := fs.String("which", ".", "regular expression on the names of the loads")
	limit := fs.Duration("for", 0, "begin no run after this time; the table tells how many there were")
	quick := fs.Bool("quick", false, "one run of 2 s each of the loads that are not long: does it work?")
	tableOnly := fs.Bool("table", false, "run nothing, print the table of what is in -out")
	fs.Parse(args)
	re, err := regexp.Compile(*which)
	if err != nil {
		return err
	}
	t.entrants = line(*before, *now, *bin)
	for _, c := range contests() {
		if re.MatchString(c.name) && !(*quick && c.long) {
			t.cases = append(t.cases, c)
		}
	}
	if *quick {
		t.rounds, t.measure = 1, 2*time.Second
	}
	if *limit > 0 {
		t.until = time.Now().Add(*limit)
	}
	if err := t.load(); err != nil {
		return err
	}
	if !*tableOnly {
		t.run()
	}
	t.print(os.Stdout)
	if len(t.failures) > 0 {
		return fmt.Errorf("%d of the cells could not be measured, see the table", len(t.failures))
	}
	return nil
}

// line is who takes part.
func line(before, now, bin string) []entrant {
	es := []entrant{
		{column: "before", peer: "fieldbridge", bin: before},
		{column: "now", peer: "fieldbridge", bin: now},
		{column: "Telegraf", peer: "telegraf", bin: bin},
		{column: "mosquitto", peer: "mosquitto-bridge"},
		{column: "mqmgateway", peer: "mqmgateway", bin: bin},
		{column: "bare loop", peer: "limit", bin: bin},
	}
	programs := map[string]string{"fieldbridge": "fieldbridge", "telegraf": "telegraf", "mqmgateway": "modmqttd",
		"limit": "limit", "mosquitto-bridge": "mosquitto"}
	for i, e := range es {
		program := programs[e.peer]
		if e.peer == "mosquitto-bridge" {
			if _, err := exec.LookPath(program); err != nil {
				es[i].absent = program + " is not installed"
			}
		} else if _, err := os.Stat(filepath.Join(e.bin, program)); err != nil {
			es[i].absent = fmt.Sprintf("no program %s in %q", program, e.bin)
		}
	}
	return es
}

// load takes over what an earlier, interrupted call has measured.
func (t *tournament) load() error {
	f, err := os.Open(t.out)
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var m map[string]any
		if err := json.Unmarshal(sc.Bytes(), &m); err != nil {
			return fmt.Errorf("%s: %w", t.out, err)
		}
		t.take(m)
	}
	return sc.Err()
}

func cell(label, column any) string { return fmt.Sprintf("%v @ %v", label, column) }

func (t *tournament) take(m map[string]any) {
	k := cell(m["Label"], m["Column"])
	t.results[k] = append(t.results[k], m)
}

// run goes round after round through all loads and programs, so that what changes on the machine meets all of them.
func (t *tournament) run() {
	turns := t.turns()
	begin, done := time.Now(), 0
	for i, turn := range turns {
		c, e := turn.contest, turn.entrant
		if !t.until.IsZero() && time.Now().After(t.until) {
			fmt.Fprintf(os.Stderr, "the time is up: %d of %d runs were made\n", i, len(turns))
			return
		}
		left := "?"
		if done > 0 {
			left = (time.Since(begin) / time.Duration(done) * time.Duration(len(turns)-i)).Round(time.Minute).String()
		}
		k := cell(c.name, e.column)
		m, err := t.once(c, e)
		if err != nil { // once more: a port that is still taken, a machine that stood still
			m, err = t.once(c, e)
		}
		done++
		if err != nil {
			t.failures[k] = err.Error()
			fmt.Fprintf(os.Stderr, "%d/%d %s: %v\n", i+1, len(turns), k, err)
			continue
		}
		t.take(m)
		fmt.Fprintf(os.Stderr, "%d/%d %s: CPU s per million %.3g, peak %.3g MiB, lost %v, machine busy %.0f %%; %s left\n",
			i+1, len(turns), k, m["CPUPer1M"], m["PeakRSSMiB"], m["Lost"], m["MachineBusyPct"], left)
	}
}

type turn struct {
	contest contest
	entrant entrant
}

// turns is what is still to be run, the rounds one after the other.
func (t *tournament) turns() (all []turn) {
	for round := range t.rounds {
		for _, c := range t.cases {
			for _, e := range t.entrants {
				if _, takes := c.who[e.column]; !takes || e.absent != "" || c.once && round > 0 {
					continue
				}
				if len(t.results[cell(c.name, e.column)]) <= round {
					all = append(all, turn{c, e})
				}
			}
		}
	}
	return all
}

// once makes one run and keeps its result.
func (t *tournament) once(c contest, e entrant) (map[string]any, error) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args := []string{"-peer", filepath.Join(t.peers, e.peer), "-label", c.name, "-work", t.work,
		"-port-offset", strconv.Itoa(t.offset)}
	if !c.long {
		args = append(args, "-measure", t.measure.String())
	}
	args = append(append(args, c.flags...), c.who[e.column]...)
	m, err := runOnce(filepath.Join(dir, "r.jsonl"), e.bin, args)
	if err != nil {
		return nil, err
	}
	// One that ends after the window ends because its devices are gone: the bare loop does.
	if m["RSSMiB"] == 0. || m["Readings"] == 0. {
		return nil, fmt.Errorf("it ended, or nothing arrived: %s", tail(filepath.Join(t.work, "run", "gateway.log")))
	}
	m["Column"] = e.column
	f, err := os.OpenFile(t.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return m, json.NewEncoder(f).Encode(m)
}

// tail is the last line of a file.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// missing says, in order, what takes no part and why, and what failed.
func (t *tournament) missing() (s []string) {
	for _, e := range t.entrants {
		if e.absent != "" {
			s = append(s, fmt.Sprintf("%s did not run: %s", e.column, e.absent))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(t.failures)) {
		s = append(s, fmt.Sprintf("%s failed: %s", k, t.failures[k]))
	}
	return s
}
