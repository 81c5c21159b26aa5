package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/ledger"
	"fieldbridge/store/books"
)

// audit judges a queue as its owner's customer can: by the messages that the
// cloud has got, and nothing else.
type audit struct {
	t *testing.T
	l ledger.Ledger
	// gateway tells what is told, "g" if it is empty. whose are the runs of others.
	gateway string
	whose   map[string]string
}

func (a *audit) message(m map[string]any) {
	a.t.Helper()
	m["v"], m["gateway"] = 1, cmp.Or(a.gateway, "g")
	data, err := json.Marshal(m)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.l.Add(data); err != nil {
		a.t.Fatal(err)
	}
}

// batch tells that a batch has arrived.
func (a *audit) batch(run string, seq uint64, b bridge.Batch) {
	points := make(map[string]string)
	for _, r := range b.Readings {
		points[r.Point] = r.Value.String()
	}
	a.message(map[string]any{"run": run, "batches": []any{
		map[string]any{"seq": seq, "device": b.Device, "at": b.At.UnixMilli(), "points": points}}})
}

// named tells that the batches of a set of "run seq" have arrived. What they say
// was looked at before: here it is their numbers that count.
func (a *audit) named(keys map[string]bool) {
	a.t.Helper()
	const most = 1000 // in a message
	batches := map[string][]string{}
	send := func(run string) {
		text := fmt.Sprintf(`{"v":1,"gateway":%q,"run":%q,"batches":[%s]}`, cmp.Or(a.whose[run], "g"), run,
			strings.Join(batches[run], ","))
		if err := a.l.Add([]byte(text)); err != nil {
			a.t.Fatal(err)
		}
		batches[run] = batches[run][:0]
	}
	for key := range keys {
		run, seq, _ := strings.Cut(key, " ")
		batches[run] = append(batches[run], `{"seq":`+seq+`,"device":"d","at":1}`)
		if len(batches[run]) == most {
			send(run)
		}
	}
	for run := range batches {
		send(run)
	}
}

// notices tells what the queue wants to be told beside the batches.
func (a *audit) notices(q *Queue) {
	a.message(map[string]any{"run": q.Run(), "type": "online", "at": 1, "connection": 1, "runs": q.Runs()})
	for _, s := range q.Tombstones() {
		a.message(map[string]any{"run": q.Run(), "type": "lost", "at": 1, "lost": s})
	}
}

// kept checks that everything that is missing is named, or was not yet on disk
// when a crash took it, and that nothing has two contents.
func (a *audit) kept() {
	a.t.Helper()
	r := a.l.Report()
	if r.Kept {
		return
	}
	for _, run := range r.Runs {
		for _, g := range run.Gaps {
			if g.Kind == ledger.Unnamed {
				a.t.Errorf("run %s: %d to %d are missing and nothing names them (durable to %d)", run.Run, g.First, g.Last,
					run.DurableLast)
			}
		}
		if run.Conflicted > 0 {
			a.t.Errorf("run %s: seqs %v have two contents", run.Run, run.Conflicts)
		}
	}
}

// lostFromDisk returns the tombstones of what had been on disk and is no more: a
// crash may take what was only in memory, and names it where it can.
func lostFromDisk(q *Queue) []bridge.Tombstone {
	return slices.DeleteFunc(q.Tombstones(), func(s bridge.Tombstone) bool {
		return s.Cause == books.Uncommitted || s.Cause == books.Dead
	})
}
