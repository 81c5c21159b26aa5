package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/release"
)

// row is a gateway in `status`.
type row struct {
	account.Gateway
	Want  string             `json:"wanted_config,omitempty"` // hash of what the fleet file says
	State string             `json:"state"`                   // see state
	Job   *account.Execution `json:"last_job,omitempty"`
}

func statusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status [FLEET.yaml] [--query QUERY] [--json]",
		Short: "tell who runs which version and configuration, who is behind, and who rolled back and why",
		Args:  takes(cobra.MaximumNArgs(1))}
	query := c.Flags().String("query", "*", "which things: a `QUERY` of fleet indexing")
	shadow := c.Flags().String("shadow", "gateway", "the `NAME` of the gateways' shadow")
	asJSON := c.Flags().Bool("json", false, "print for programs")
	version := c.Flags().String("version", "", "the `VERSION` that gateways are to run: those that do not are behind")
	c.RunE = func(c *cobra.Command, args []string) error {
		var want wanted
		if len(args) > 0 {
			var err error
			if want, err = load(c.Context(), args[0]); err != nil {
				return err
			}
		}
		a, err := open(c)
		if err != nil {
			return err
		}
		found, err := a.Gateways(c.Context(), *query, *shadow)
		if err != nil {
			return err
		}
		rows := compare(found, want)
		for i := range rows {
			if r := &rows[i]; *version != "" && r.State == current && r.Version != *version {
				r.State = behind
			}
		}
		if err := addJobs(c.Context(), a, rows); err != nil {
			return err
		}
		if *asJSON {
			return words.JSON(c.OutOrStdout(), rows)
		}
		table(c.OutOrStdout(), rows)
		return nil
	}
	return c
}

// mostTold is of how many jobs it is told what the gateway said: each is a call.
const mostTold = 200

// addJobs adds what the gateways made of their last jobs, and what they said of those
// that did not go well.
func addJobs(ctx context.Context, a *account.Account, rows []row) error {
	var names []string
	for _, r := range rows {
		if r.State != missing && r.State != stranger {
			names = append(names, r.Name)
		}
	}
	latest, err := a.Latest(ctx, rollout.Prefix, names)
	if err != nil {
		return err
	}
	told := 0
	for i := range rows {
		e := latest[rows[i].Name]
		rows[i].Job = e
		if e == nil || told == mostTold || !e.Failed() && e.Status != "IN_PROGRESS" {
			continue
		}
		told++
		if err := a.Tell(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// table prints the gateways, and how many are how.
func table(w io.Writer, rows []row) {
	t := words.NewTable(w)
	t.Row("GATEWAY", "GROUPS", "CONNECTED", "VERSION", "CONFIGURATION", "STATE")
	states, versions := map[string]int{}, map[string]int{}
	var jobs folded
	for _, r := range rows {
		states[r.State]++
		if r.Version != "" {
			versions[r.Version]++
		}
		text := r.State
		if e := r.Job; e != nil && e.Status != "SUCCEEDED" {
			text += ", job " + e.Word()
			if e.Details["rolled_back"] != "" {
				text += ", rolled back"
			}
			jobs.add("job "+e.Job+" ", e)
		}
		t.Row(r.Name, strings.Join(r.Groups, ", "), map[bool]string{true: "yes", false: "no"}[r.Connected],
			cmp.Or(r.Version, "-"), cmp.Or(r.Config, "-"), text)
	}
	t.Flush()
	jobs.print(w)
	fmt.Fprintf(w, "%d gateways", len(rows))
	for _, s := range []string{current, behind, unknown, silent, missing, stranger} {
		if states[s] > 0 {
			fmt.Fprintf(w, ", %d %s", states[s], s)
		}
	}
	for _, v := range slices.SortedFunc(maps.Keys(versions), func(a, b string) int { return release.Compare(b, a) }) {
		fmt.Fprintf(w, ", %d run %s", versions[v], words.Printable(v))
	}
	fmt.Fprintln(w)
}

// folded is what became of jobs, each told once with the gateways of which it is true.
// Where there are hundreds, what they have in common is what matters.
type folded struct {
	texts    []string
	gateways map[string][]string // by the text
}

// configHash is the hash of a configuration, which is another one for each gateway.
var configHash = regexp.MustCompile(`^[0-9a-f]{16}$`)

// add adds what became of a job; job names it, "" where all are of one.
func (f *folded) add(job string, e *account.Execution) {
	details := maps.Clone(e.Details)
	maps.DeleteFunc(details, func(name, value string) bool {
		return name == "percent" || (name == "from" || name == "to") && configHash.MatchString(value)
	})
	text := strings.TrimRight(job+e.Word()+": "+reason(details), ": ")
	if f.gateways[text] == nil {
		f.texts = append(f.texts, text)
	}
	if f.gateways == nil {
		f.gateways = map[string][]string{}
	}
	f.gateways[text] = append(f.gateways[text], e.Gateway)
}

// mostNamed is how many gateways are named one by one.
const mostNamed = 5

// print tells first what concerns the most gateways.
func (f *folded) print(w io.Writer) {
	slices.SortStableFunc(f.texts, func(a, b string) int { return len(f.gateways[b]) - len(f.gateways[a]) })
	for _, text := range f.texts {
		fmt.Fprintf(w, "%s: %s\n", some(f.gateways[text]), text)
	}
}

// some names the first of many gateways.
func some(names []string) string {
	who := strings.Join(names[:min(len(names), mostNamed)], ", ")
	if more := len(names) - mostNamed; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	return who
}

// The states of a gateway beside the fleet file.
const (
	current  = "current"  // it runs what the file says, or no file was named
	behind   = "behind"   // it runs something else
	unknown  = "unknown"  // what the file says needs secrets that are not here
	silent   = "silent"   // it has reported nothing yet
	missing  = "missing"  // it is in the file, and no thing of the account
	stranger = "stranger" // it is a thing of the account, and not in the file
)

// compare puts what the account knows beside what the file says, by name.
func compare(found []account.Gateway, want wanted) []row {
	var rows []row
	seen := map[string]bool{}
	for _, g := range found {
		seen[g.Name] = true
		r := row{Gateway: g, State: current}
		w, listed := want.gateways[g.Name]
		r.Want = w.hash
		switch {
		case want.gateways != nil && !listed:
			r.State = stranger
		case g.Config == "":
			r.State = silent
		case !listed:
		case w.hash == "":
			r.State = unknown
		case w.hash != g.Config:
			r.State = behind
		}
		rows = append(rows, r)
	}
	for name, w := range want.gateways {
		if !seen[name] {
			rows = append(rows, row{Gateway: account.Gateway{Name: name, Groups: w.groups}, Want: w.hash, State: missing})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.Name, b.Name) })
	return rows
}
