package orders

import (
	"context"
	"errors"

	"fieldbridge/northbound/awsiot/remote/jobs"
)

// Restart starts the gateway anew.
type Restart struct {
	Again func() // has the gateway stop and start; it does not wait for it
	Quiet Quiet
}

// Quiet waits until no command of the cloud is under way, and has none begin until
// resume is called: a stop would cut it in the middle of a write. nil is that there are
// no commands.
type Quiet func(ctx context.Context) (resume func(), err error)

// hold calls q. resume is never nil.
func (q Quiet) hold(ctx context.Context) (resume func(), err error) {
	if q != nil {
		resume, err = q(ctx)
	}
	if resume == nil {
		resume = func() {}
	}
	return resume, err
}

const restarting = "restarting"

// Do implements [jobs.Operation]. It has succeeded when the next process runs.
func (r Restart) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	if step, _ := j.Noted(); step == restarting || j.Again {
		return jobs.Done(nil)
	}
	resume, err := r.Quiet.hold(ctx)
	defer resume()
	if errors.Is(err, jobs.ErrEnded) {
		return jobs.Fail(err) // nothing has changed yet
	}
	if err != nil {
		return jobs.Outcome{}
	}
	if err := j.Note(restarting, nil); err != nil {
		return jobs.Fail(err)
	}
	r.Again()
	<-ctx.Done()
	return jobs.Outcome{} // the next process says it
}
