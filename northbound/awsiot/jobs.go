package awsiot

import (
	"context"

	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

// errands are the jobs of a gateway.
type errands struct{ worker *jobs.Worker } // nil where nobody does any

func newErrands(o *Options, fleet func() int) errands {
	if o.State == nil || o.Opener == nil {
		return errands{}
	}
	return errands{jobs.New(jobs.Options{Gateway: o.Gateway, Run: o.Run, Log: o.Log, State: o.State, Opener: o.Opener,
		Operations: o.Operations, Fleet: fleet})}
}

// do does jobs until ctx ends, with a connection or without.
func (e errands) do(ctx context.Context) {
	if e.worker != nil {
		e.worker.Run(ctx)
	}
}

// tell speaks of jobs on a connection, if the configuration allows any.
func (e errands) tell(ctx context.Context, session jobs.Session, topic string, allowed []string) {
	if e.worker != nil && len(allowed) > 0 {
		e.worker.Serve(ctx, session, topic, allowed)
	}
}

// health tells what is wrong with jobs.
func (e errands) health() []condition.Condition {
	if e.worker == nil {
		return nil
	}
	return e.worker.Health()
}

// Jobs returns the job under way, for people.
func (e errands) Jobs() jobs.Now {
	if e.worker == nil {
		return jobs.Now{}
	}
	return e.worker.Now()
}
