package tell

import (
	"fmt"
	"io"
	"strings"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/ledger"
)

// maxGaps is how Many gaps of one run are printed for a person.
const maxGaps = 20

// Ledger tells it to a person: a line a run, then the gaps, then the verdict.
func Ledger(w io.Writer, r ledger.Report) {
	fmt.Fprintf(w, "%s messages with readings, %s status messages, %s others", words.Thousands(r.Messages),
		words.Thousands(r.Status), words.Thousands(r.Others))
	if r.Unread > 0 {
		fmt.Fprintf(w, ", %s lines that cannot be read", words.Thousands(r.Unread))
	}
	fmt.Fprint(w, "\n\n")
	t := words.NewColumns(w)
	fmt.Fprintln(t, "GATEWAY\tRUN\tBATCHES\tSEQS\tTWICE\tNAMED\tUNCOMMITTED\tUNNAMED\tCONFLICTS")
	var conflicts uint64
	missing := make(map[ledger.Kind]uint64)
	for _, run := range r.Runs {
		seqs := "-"
		if run.Batches > 0 {
			seqs = fmt.Sprintf("%d-%d", run.First, run.Last)
		}
		m := run.Missing()
		for kind, n := range m {
			missing[kind] += n
		}
		conflicts += run.Conflicted
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", run.Gateway, run.Run, words.Thousands(run.Batches), seqs,
			words.Thousands(run.Duplicates),
			words.Thousands(m[ledger.Named]), words.Thousands(m[ledger.Uncommitted]), words.Thousands(m[ledger.Unnamed]),
			words.Thousands(run.Conflicted))
	}
	_ = t.Flush()
	for _, run := range r.Runs {
		printGaps(w, run)
	}
	for _, u := range r.Unreadable {
		fmt.Fprintf(w, "\n%s:%d: %s", u.Source, u.Line, u.Why)
	}
	if len(r.Unreadable) > 0 {
		fmt.Fprintln(w)
	}
	switch {
	case len(r.Runs) == 0:
	case r.Kept && len(missing) == 0:
		fmt.Fprintln(w, "\nkept: nothing is missing, and no batch has two contents")
	case r.Kept:
		fmt.Fprintln(w, "\nkept: what is missing is named, and no batch has two contents")
	default:
		fmt.Fprintf(w, "\nBROKEN: %s batches are missing and nothing names them, %s came with two contents\n",
			words.Thousands(missing[ledger.Unnamed]), words.Thousands(conflicts))
	}
}

func printGaps(w io.Writer, run ledger.Run) {
	if len(run.Gaps) == 0 && len(run.Conflicts) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s, run %s:\n", run.Gateway, run.Run)
	for i, g := range run.Gaps {
		if i == maxGaps {
			fmt.Fprintf(w, "  and %s more gaps: --json tells all\n", words.Thousands(uint64(len(run.Gaps)-i)))
			break
		}
		seqs := fmt.Sprintf("%d", g.First)
		if g.Last > g.First {
			seqs = fmt.Sprintf("%d-%d", g.First, g.Last)
		}
		fmt.Fprintf(w, "  %s: %s\n", seqs, gapText(run, g))
	}
	if len(run.Conflicts) > 0 {
		seqs := strings.Trim(strings.ReplaceAll(fmt.Sprint(run.Conflicts), " ", ", "), "[]")
		fmt.Fprintf(w, "  two contents: %s\n", seqs)
	}
}

func gapText(run ledger.Run, g ledger.Gap) string {
	switch g.Kind {
	case ledger.Named:
		if g.Cause == ledger.Dead {
			return "refused by the cloud for good; the gateway keeps it: fieldbridge queue dead list"
		}
		return fmt.Sprintf("missing, a tombstone says %s", g.Cause)
	case ledger.Uncommitted:
		return fmt.Sprintf("missing, not yet on disk when the run ended (%d was)", run.DurableLast)
	case ledger.BeforeLog:
		return "before these messages begin"
	}
	return "MISSING, NOTHING NAMES IT"
}
