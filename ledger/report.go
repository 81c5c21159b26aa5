package ledger

import (
	"cmp"
	"maps"

	"fieldbridge/order"
)

// Run is the account of one run of a gateway.
type Run struct {
	Gateway string `json:"gateway"`
	Run     string `json:"run"`
	// Batches is how many different ones arrived, of seqs First to Last.
	Batches    uint64 `json:"batches"`
	Duplicates uint64 `json:"duplicates"` // that came once more
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"`
	// DurableLast is the last seq that the next run knows to have been durable
	// or acknowledged, a lower bound of this run's end; 0 if there is no next run
	// yet, or if it knew of none.
	DurableLast uint64 `json:"durable_last,omitempty"`
	// Began says that the record of this run's begin is among the messages.
	Began bool  `json:"began"`
	Gaps  []Gap `json:"gaps"`
	// Conflicts are seqs that arrived with two contents, the first 100 of them;
	// Conflicted is how often that happened.
	Conflicts  []uint64 `json:"conflicts"`
	Conflicted uint64   `json:"conflicted"`
}

// Missing returns how many batches are missing, by kind of gap.
func (r *Run) Missing() map[Kind]uint64 {
	n := make(map[Kind]uint64)
	for _, g := range r.Gaps {
		n[g.Kind] += g.Batches()
	}
	return n
}

// Report is the whole account.
type Report struct {
	Kept     bool   `json:"kept"`     // the promise: no unnamed gap and no conflict
	Messages uint64 `json:"messages"` // with batches
	Status   uint64 `json:"status"`   // status messages
	Others   uint64 `json:"others"`   // that no gateway sent
	// Unreadable are lines that are not messages; the first 10 of Unread.
	Unreadable []Unreadable `json:"unreadable,omitempty"`
	Unread     uint64       `json:"unread"`
	Runs       []Run        `json:"runs"` // by gateway, in the order of their first message
}

// Unreadable is a line that is not a message.
type Unreadable struct {
	Source string `json:"source"` // file
	Line   int    `json:"line"`
	Why    string `json:"why"`
}

// Report returns what the messages so far say.
func (l *Ledger) Report() Report {
	report := Report{Kept: true, Messages: l.messages, Status: l.status, Others: l.others, Unreadable: l.bad,
		Unread: l.unread, Runs: []Run{}}
	names := order.Sorted(maps.Keys(l.runs), func(a, b name) int {
		return cmp.Or(cmp.Compare(a.gateway, b.gateway), cmp.Compare(l.runs[a].order, l.runs[b].order))
	})
	for _, n := range names {
		r := l.runs[n]
		account := Run{Gateway: n.gateway, Run: n.run, Batches: r.batches, Duplicates: r.duplicates, First: r.first,
			Last:        r.last,
			DurableLast: r.previousLast, Began: r.recorded, Gaps: append([]Gap{}, r.gaps(l.Partial)...),
		}
		account.Conflicts, account.Conflicted = r.conflicting()
		if account.Missing()[Unnamed] > 0 || account.Conflicted > 0 {
			report.Kept = false
		}
		report.Runs = append(report.Runs, account)
	}
	return report
}
