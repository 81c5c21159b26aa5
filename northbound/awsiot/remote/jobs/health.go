package jobs

import (
	"fmt"
	"time"

	"fieldbridge/condition"
)

const (
	// lately is how long it is told that the last job has failed.
	lately = 24 * time.Hour
	// stuckAfter is how long a job may stay where it is while there is a connection. A
	// trial takes an hour at most.
	stuckAfter = 2 * time.Hour
)

// Health implements [condition.Reporter].
func (w *Worker) Health() []condition.Condition {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []condition.Condition
	now := time.Now()
	if l := w.last; l != nil && l.Status == Failed && now.Sub(l.At) < lately {
		todo := "correct what its text names and give it again"
		if l.RolledBack {
			todo = "what ran before runs again: correct what was deployed and deploy it again"
		}
		all = append(all, condition.JobFailed.At("jobs", l.At, l.ID, l.Operation, l.Error, todo))
	}
	r := &w.record
	since := w.moved
	if w.served.After(since) {
		since = w.served
	}
	if r.ID == "" || w.served.IsZero() || now.Sub(since) < stuckAfter {
		return all
	}
	where := fmt.Sprintf("does not move on from step %q", r.Step)
	switch {
	case r.Outcome != nil:
		where = "is over, and the cloud does not take what became of it"
	case r.Step == "":
		where = "does not begin"
	}
	return append(all, condition.JobStuck.At("jobs", since, r.ID, r.Order.Operation, where))
}

// serves notes that there is a connection, until the function that it returns is called.
func (w *Worker) serves() (end func()) {
	set := func(at time.Time) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.served = at
	}
	set(time.Now())
	return func() { set(time.Time{}) }
}

// lastOf returns how a job ended, nil if it has not.
func lastOf(r *record) *Last {
	if r == nil || r.Outcome == nil {
		return nil
	}
	return &Last{ID: r.ID, Operation: r.Order.Operation, Status: r.Outcome.Status, Error: r.Outcome.Error,
		RolledBack: r.Outcome.Details["rolled_back"] != "", At: time.UnixMilli(r.Done)}
}
