package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
)

// Options is what a [Worker] needs.
type Options struct {
	Gateway string       // its name, which is its thing's
	Run     string       // the id of this start
	Log     *slog.Logger // required
	State   bridge.State // the job under way; required to take any
	Opener  Opener       // required
	// Operations are those that this gateway has, by name.
	Operations map[string]Operation
	// Fleet returns how many gateways may ask together; nil is one.
	Fleet func() int
}

// Worker does the jobs of a gateway. All its methods are safe for concurrent use.
type Worker struct {
	o      Options
	begun  chan struct{} // one value: there is a job to be done
	news   chan struct{} // one value: there is something to tell
	saving chan struct{} // holds a value while the record is put on disk
	counts [3]atomic.Uint64

	mu     sync.Mutex
	record record                  // guarded by mu
	cancel context.CancelCauseFunc // guarded by mu; of the operation that runs, nil for none
	last   *Last                   // guarded by mu
	moved  time.Time               // guarded by mu; when the record changed last, or the progress
	served time.Time               // guarded by mu; since when there is a connection, zero without one
	wanted chan json.RawMessage    // guarded by mu; who waits for the job's document, nil for nobody
}

// statuses are the ends of jobs, in the order of the counts.
var statuses = [3]Status{Succeeded, Failed, Rejected}

// record is the job that the gateway has, as it is on disk.
type record struct {
	ID      string          `json:"id,omitempty"` // "" is none
	Number  int64           `json:"number,omitempty"`
	Order   Order           `json:"order,omitzero"`
	Step    string          `json:"step,omitempty"`
	Note    json.RawMessage `json:"note,omitempty"`
	Outcome *Outcome        `json:"outcome,omitempty"` // nil while it is not done
	Ended   bool            `json:"ended,omitempty"`   // the cloud has ended it, and wants no outcome
	Told    bool            `json:"told,omitempty"`    // the outcome is on the status topic
	Begun   int64           `json:"begun,omitempty"`   // epoch milliseconds
	Done    int64           `json:"done,omitempty"`    // when there was an outcome, epoch milliseconds
	// The job before: it is not done twice, whatever the cloud says.
	Before *record `json:"before,omitempty"`

	version int64 // of the execution, as far as it is known; not on disk
	percent int   // of the step, -1 for none; not on disk
	again   bool  // see [Job]
}

// key of the state.
const key = "awsiot.jobs"

// Last is the newest job that has ended, for people.
type Last struct {
	ID        string `json:"id"`
	Operation string `json:"operation"`
	Status    Status `json:"status"`
	Error     string `json:"error,omitempty"`
	// RolledBack says that what ran before runs again.
	RolledBack bool      `json:"rolled_back,omitempty"`
	At         time.Time `json:"at"`
}

// Now is the job under way and the one before, for people.
type Now struct {
	ID        string    `json:"id,omitempty"` // "" while there is none
	Operation string    `json:"operation,omitempty"`
	Step      string    `json:"step,omitempty"`
	Percent   int       `json:"percent,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Owed      bool      `json:"owed,omitempty"` // done, and the cloud does not know it yet
	Last      *Last     `json:"last,omitempty"`
}

// New returns a worker with the job that an earlier process had; it starts nothing.
func New(o Options) *Worker {
	w := &Worker{o: o, begun: make(chan struct{}, 1), news: make(chan struct{}, 1), saving: make(chan struct{}, 1)}
	data, err := o.State.Get(key)
	if err == nil && data != nil {
		err = json.Unmarshal(data, &w.record)
	}
	if err != nil {
		w.record = record{}
		o.Log.Error("the memory of jobs cannot be read: a job that was under way begins again", "err", err)
	}
	w.record.percent = -1
	if w.last = lastOf(&w.record); w.last == nil {
		w.last = lastOf(w.record.Before)
	}
	if w.record.ID != "" && w.record.Outcome == nil {
		poke(w.begun)
	}
	return w
}

// poke leaves a value in a channel that holds one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Now returns the job under way.
func (w *Worker) Now() Now {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &w.record
	n := Now{Last: w.last}
	if r.ID != "" {
		n.ID, n.Operation, n.Step, n.Percent = r.ID, r.Order.Operation, r.Step, max(r.percent, 0)
		n.Since, n.Owed = time.UnixMilli(r.Begun), r.Outcome != nil
	}
	return n
}

// Observe implements [bridge.Observable].
func (w *Worker) Observe(yield func(bridge.Metric)) {
	for i, s := range statuses {
		yield(bridge.Metric{Name: "fieldbridge_jobs_total", Help: "Jobs of the cloud, by what became of them.",
			Kind: bridge.Counter, Labels: []string{"status", strings.ToLower(string(s))},
			Value: float64(w.counts[i].Load())})
	}
}

// change changes the record, on disk first. On an error nothing has changed.
func (w *Worker) change(f func(r *record)) error { return w.save(f, false) }

// settle changes the record though the disk may not take it: after a restart at worst
// something is told, or found to be done, a second time.
func (w *Worker) settle(f func(r *record)) {
	if err := w.save(f, true); err != nil {
		w.o.Log.Warn("what is known of a job lasts until the stop only", "err", err)
	}
}

// save changes the record on disk, and then in memory: there always, or if the disk
// has it.
func (w *Worker) save(f func(r *record), always bool) error {
	w.saving <- struct{}{}
	defer func() { <-w.saving }()
	w.mu.Lock()
	next := w.record
	w.mu.Unlock()
	f(&next)
	data, err := json.Marshal(next)
	if err == nil {
		err = w.o.State.Put(key, data)
	}
	if err != nil {
		err = fmt.Errorf("the job's state cannot be saved: %w", err)
		if !always {
			return err
		}
	}
	w.mu.Lock()
	if next.ID == w.record.ID {
		next.version = max(next.version, w.record.version) // the cloud may have told meanwhile
	}
	w.record, w.moved = next, time.Now()
	if l := lastOf(&next); l != nil {
		w.last = l
	}
	w.mu.Unlock()
	poke(w.news)
	return err
}

// Run does the jobs until ctx ends. It is called once.
func (w *Worker) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.begun:
			w.do(ctx)
		}
	}
}

// do does the job of the record.
func (w *Worker) do(process context.Context) {
	ctx, cancel := context.WithCancelCause(process)
	defer cancel(nil)
	w.mu.Lock()
	r := w.record
	if r.ID == "" || r.Outcome != nil {
		w.mu.Unlock()
		return
	}
	w.cancel = cancel
	if r.Ended {
		cancel(ErrEnded)
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.cancel = nil
	}()
	operation := w.o.Operations[r.Order.Operation]
	if operation == nil { // the program that took it had it
		w.conclude(r.ID, Refuse(unknown(r.Order.Operation, slices.Sorted(maps.Keys(w.o.Operations)))))
		return
	}
	w.o.Log.Info("job", "id", r.ID, "operation", r.Order.Operation, "step", r.Step)
	outcome := operation.Do(ctx, &Job{ID: r.ID, Order: r.Order, Again: r.again, Stops: process.Done(), worker: w})
	switch {
	case outcome.Status != "":
	case process.Err() != nil:
		return // it goes on in the next process
	default:
		outcome = Fail(cmp.Or(context.Cause(ctx), errors.New("the job was left undone")))
	}
	w.conclude(r.ID, outcome)
}

// unknown is why a job is rejected whose operation is not taken.
func unknown(operation string, taken []string) error {
	return fmt.Errorf("this gateway does not take the operation %q: northbound.awsiot.jobs names %s", operation,
		cmp.Or(strings.Join(taken, ", "), "none"))
}

// conclude notes what became of a job. A disk that does not take it changes nothing
// of that; after a restart the operation finds that there is nothing left to do.
func (w *Worker) conclude(id string, o Outcome) {
	w.counts[slices.Index(statuses[:], o.Status)].Add(1)
	w.o.Log.Info("job has ended", "id", id, "status", o.Status, "err", o.Error)
	w.settle(func(r *record) { r.Outcome, r.Done = &o, time.Now().UnixMilli() })
}
