package orders

import (
	"context"

	"fieldbridge/northbound/awsiot/remote/jobs"
)

// Restart starts the gateway anew.
type Restart struct {
	Again func() // has the gateway stop and start; it does not wait for it
}

const restarting = "restarting"

// Do implements [jobs.Operation]. It has succeeded when the next process runs.
func (r Restart) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	if step, _ := j.Noted(); step == restarting || j.Again {
		return jobs.Done(nil)
	}
	if err := j.Note(restarting, nil); err != nil {
		return jobs.Fail(err)
	}
	r.Again()
	<-ctx.Done()
	return jobs.Outcome{} // the next process says it
}
