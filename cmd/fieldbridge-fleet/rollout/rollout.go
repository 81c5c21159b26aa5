package rollout

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"fieldbridge/cmd/fieldbridge-fleet/account"
)

// Cloud is what a rollout needs of an account.
type Cloud interface {
	// CreateJob creates a job, or says [account.ErrExists].
	CreateJob(ctx context.Context, j account.Job) error
	// Job tells how far a job is, or says [account.ErrNotFound].
	Job(ctx context.Context, id string) (account.Progress, error)
	// CancelJob ends a job; gateways that are at it go on unless forced.
	CancelJob(ctx context.Context, id, reason string, force bool) error
}

// ErrStopped is that a stage went wrong: no later one was begun.
var ErrStopped = errors.New("stopped")

// Stage is a part of the fleet.
type Stage struct {
	Name string // of the group
	Jobs []account.Job
	// Tolerated is how many percent of its gateways may fail before the rollout stops.
	Tolerated int
	// Patient brings all jobs to their end, whatever fails.
	Patient bool
	// Fill gives a job its document when it is created, which may be long after the stages
	// before began: an order that is signed late is newer than those that gateways took
	// meanwhile. name is the job's in Jobs. nil leaves jobs as they are.
	Fill func(name string, j *account.Job) error
}

// Progress is how far a stage is: the sum of its jobs, of which ID, Reason and
// Completed are those of the one that was canceled, or of the last.
type Progress struct {
	account.Progress
	Jobs []account.Progress // that were begun, in the order of the stage
}

const (
	// mostRuns bounds how often the same can be rolled out again.
	mostRuns = 99
	// reported is how long after a job all gateways have told what they run.
	reported = 15 * time.Minute
	// atOnce is how many jobs of a stage are under way and looked at.
	atOnce = 20
)

// Begin creates a job, or finds the one that was created before. A job that is over
// is done again only if again says so, or if it went well and was not for all of these
// gateways, or so long ago that they must have got something else since. The new one
// has a number behind its name.
func (s Stage) Begin(ctx context.Context, cloud Cloud, j account.Job, again bool) (account.Progress, error) {
	name := j.ID
	var last *account.Progress
	for n := 2; n <= mostRuns; n++ {
		p, err := cloud.Job(ctx, j.ID)
		switch {
		case errors.Is(err, account.ErrNotFound):
			if last != nil && !again && settles(*last, j) {
				return *last, nil
			}
			if s.Fill != nil {
				if err := s.Fill(name, &j); err != nil {
					return account.Progress{}, err
				}
			}
			if err := cloud.CreateJob(ctx, j); err != nil && !errors.Is(err, account.ErrExists) {
				return account.Progress{}, err
			}
			return cloud.Job(ctx, j.ID)
		case err != nil:
			return account.Progress{}, err
		case !p.Ended():
			return p, nil
		}
		last = &p
		j.ID = fmt.Sprintf("%s-%d", name, n)
	}
	return account.Progress{}, fmt.Errorf("job %s was created %d times: delete the old ones", name, mostRuns)
}

// settles reports that a job that is over is not to be done again.
func settles(last account.Progress, j account.Job) bool {
	if last.Failed > 0 || last.Succeeded == 0 || last.Status != "COMPLETED" {
		return true
	}
	all := !slices.ContainsFunc(j.Things, func(name string) bool { return !slices.Contains(last.Things, name) })
	return all && time.Since(last.Completed) < reported
}

// sum adds the jobs up.
func sum(jobs []account.Progress) Progress {
	p := Progress{Jobs: slices.Clone(jobs)}
	for _, j := range jobs {
		if p.Status != "CANCELED" && (p.Status != "IN_PROGRESS" || j.Status == "CANCELED") {
			p.ID, p.Status, p.Reason, p.Completed = j.ID, j.Status, j.Reason, j.Completed
		}
		p.Queued += j.Queued
		p.Running += j.Running
		p.Succeeded += j.Succeeded
		p.Failed += j.Failed
		p.Canceled += j.Canceled
	}
	return p
}

// gateways is how many the stage has.
func (s Stage) gateways() (n int) {
	for _, j := range s.Jobs {
		n += len(j.Things)
	}
	return n
}

// doomed reports that more have failed than are tolerated, whatever the others do.
func (s Stage) doomed(p Progress) bool {
	all := max(s.gateways(), p.Succeeded+p.Failed+p.Canceled+p.Queued+p.Running)
	return !s.Patient && (p.Failed*100 > s.Tolerated*all || p.Status == "CANCELED")
}

// run brings the jobs of a stage to their end, some at a time, and cancels those that
// are under way when too many gateways have failed. tell is called with each state that
// differs from the one before. When ctx ends, the jobs go on without being watched.
func (s Stage) run(ctx context.Context, cloud Cloud, again bool, every time.Duration,
	tell func(Progress)) (Progress, error) {
	var jobs []account.Progress
	var told Progress
	for {
		under := 0
		for i, p := range jobs {
			if p.Ended() {
				continue
			}
			now, err := cloud.Job(ctx, p.ID)
			if err != nil {
				return told, err
			}
			jobs[i] = now
			if !now.Ended() {
				under++
			}
		}
		for len(jobs) < len(s.Jobs) && under < atOnce && !s.doomed(sum(jobs)) {
			p, err := s.Begin(ctx, cloud, s.Jobs[len(jobs)], again)
			if err != nil {
				return told, err
			}
			jobs = append(jobs, p)
			if !p.Ended() {
				under++
			}
		}
		now := sum(jobs)
		if !reflect.DeepEqual(now.Jobs, told.Jobs) {
			tell(now)
		}
		told = now
		switch {
		case s.doomed(now):
			return now, errors.Join(s.Judge(now), s.cancel(ctx, cloud, jobs))
		case under == 0:
			return now, nil
		}
		select {
		case <-ctx.Done():
			return told, ctx.Err()
		case <-time.After(every):
		}
	}
}

// cancel ends the jobs that are under way.
func (s Stage) cancel(ctx context.Context, cloud Cloud, jobs []account.Progress) (err error) {
	for _, p := range jobs {
		if !p.Ended() {
			err = errors.Join(err, cloud.CancelJob(ctx, p.ID, "STOPPED", false))
		}
	}
	return err
}

// Judge says whether a stage that is over went well enough for the next one.
func (s Stage) Judge(p Progress) error {
	all := p.Succeeded + p.Failed + p.Canceled
	switch {
	case s.Tolerated*all < p.Failed*100:
		return fmt.Errorf("%w at %s: %d of %d gateways failed, and %d %% are tolerated", ErrStopped, s.Name, p.Failed,
			max(all, s.gateways()), s.Tolerated)
	case p.Status != "COMPLETED":
		return fmt.Errorf("%w at %s: job %s was canceled %s", ErrStopped, s.Name, p.ID, p.Reason)
	case p.Succeeded == 0:
		return fmt.Errorf("%w at %s: no gateway has taken it", ErrStopped, s.Name)
	}
	return nil
}

// Run brings each stage to its end before the next one begins. When ctx ends, what
// was begun goes on, and Run can be called again.
func Run(ctx context.Context, cloud Cloud, stages []Stage, again bool, every time.Duration,
	tell func(Stage, Progress)) error {
	for _, s := range stages {
		p, err := s.run(ctx, cloud, again, every, func(p Progress) { tell(s, p) })
		if err == nil {
			err = s.Judge(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
