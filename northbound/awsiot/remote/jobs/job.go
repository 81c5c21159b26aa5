package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"fieldbridge/bridge"
)

// Status is what became of a job, in the words of AWS IoT Jobs ("Jobs and job
// execution states").
type Status string

// The states that a gateway may give.
const (
	inProgress Status = "IN_PROGRESS"
	Succeeded  Status = "SUCCEEDED"
	// Failed is what may go well another time; a job may have it tried again.
	Failed Status = "FAILED"
	// Rejected is what will not change; it is never tried again.
	Rejected Status = "REJECTED"
)

// Outcome is what became of a job. The zero value is that it is not done yet: it
// goes on in the next process.
type Outcome struct {
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"` // for people
	// Details say more, at most five pairs: from, to, version, rolled_back.
	Details map[string]string `json:"details,omitempty"`
}

// Done returns that a job has succeeded.
func Done(details map[string]string) Outcome { return Outcome{Status: Succeeded, Details: details} }

// Fail returns that a job has failed.
func Fail(err error) Outcome { return Outcome{Status: Failed, Error: err.Error()} }

// Judge returns that a job has failed, or is rejected if err is [bridge.Permanent].
func Judge(err error) Outcome {
	if bridge.IsPermanent(err) {
		return Refuse(err)
	}
	return Fail(err)
}

// Refuse returns that a job will never be done.
func Refuse(err error) Outcome { return Outcome{Status: Rejected, Error: err.Error()} }

// Order is what a job's document asks for.
type Order struct {
	Operation string `json:"operation"`
	// What is the operation's own, as it was signed, if it was.
	What json.RawMessage `json:"what,omitempty"`
	// Around is the whole document: what the cloud fills in stands beside what is
	// signed.
	Around json.RawMessage `json:"around,omitempty"`
}

// Opener reads documents of jobs.
type Opener interface {
	// Open returns what a document asks for, or why not: for good if the error is a
	// [bridge.Permanent] one. job is the job's id. The same document of the same job
	// may come again: after a restart, and when the cloud has a job tried again.
	Open(job string, document []byte) (Order, error)
}

// Operations are all that there may be, by name: what a job can never do is not among
// them.
var Operations = []string{"config", "update", "os-update", "rotate", "restart", "diagnose"}

// Topics returns what a thing may publish to for its jobs, and what it hears.
func Topics(thing string) (publish []string, hear string) {
	prefix := "$aws/things/" + thing + "/jobs/"
	return []string{prefix + "start-next", prefix + "*/get", prefix + "*/update"}, prefix + "*"
}

// Operation carries out jobs of one kind.
type Operation interface {
	// Do carries out a job and says what became of it. After a restart it is called
	// again for the same job, which has what was noted ([Job.Noted]).
	//
	// ctx ends when the gateway stops; then Do leaves what can go on later and
	// returns the zero [Outcome]. Its cause is [ErrEnded] when the cloud has ended
	// the job: Do finishes it or takes it back, and says which.
	Do(ctx context.Context, j *Job) Outcome
}

// ErrEnded is that the cloud has ended a job: it was cancelled, or timed out.
var ErrEnded = errors.New("the cloud has ended the job")

// Job is a job that is being done.
type Job struct {
	ID string
	Order
	// Again says that the job had been begun before, by a process of which nothing
	// is known.
	Again bool
	// Stops is closed when the gateway stops: Do must return then, though its ctx may
	// have ended long before ([ErrEnded]).
	Stops  <-chan struct{}
	worker *Worker
}

// Noted returns the step that was noted last, and what was noted with it; "" before
// the first.
func (j *Job) Noted() (step string, note json.RawMessage) {
	j.worker.mu.Lock()
	defer j.worker.mu.Unlock()
	return j.worker.record.Step, j.worker.record.Note
}

// Note puts a step on disk, before it is done, and has the cloud told. What is noted
// with it may be nil; its from and to are told, too. On an error the step must not be done.
func (j *Job) Note(step string, note any) error {
	var data json.RawMessage
	if note != nil {
		var err error
		if data, err = json.Marshal(note); err != nil {
			return err
		}
	}
	return j.worker.change(func(r *record) { r.Step, r.Note, r.percent = step, data, -1 })
}

// Progress tells how far the step is, in percent. It waits for nothing.
func (j *Job) Progress(percent int) {
	j.worker.mu.Lock()
	defer j.worker.mu.Unlock()
	if j.worker.record.percent != percent {
		j.worker.record.percent, j.worker.moved = percent, time.Now()
	}
}
