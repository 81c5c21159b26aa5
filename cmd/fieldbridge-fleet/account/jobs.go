package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// Job is a job to be created. All numbers may be 0, which is none.
type Job struct {
	ID          string
	Description string
	Document    string   // at most 32 KiB
	Things      []string // names; at most 100 with the groups
	Groups      []string // names of thing groups
	PerMinute   int      // gateways that are told of it, 1 to 1,000
	Abort       int      // percent of failures that cancel it
	AbortLeast  int      // gateways that must have ended before Abort counts
	Minutes     int      // each gateway has, from when it begins
	Window      string   // cron expression of AWS, when it may begin
	WindowFor   time.Duration
	Role        string // ARN of the role that presigned URLs are made by
}

// CreateJob creates a job. The error is [ErrExists] if there is one of that name with
// another document or other targets.
func (a *Account) CreateJob(ctx context.Context, j Job) error {
	in := &iot.CreateJobInput{JobId: &j.ID, Document: &j.Document, Description: &j.Description,
		TargetSelection: types.TargetSelectionSnapshot}
	for _, name := range j.Things {
		in.Targets = append(in.Targets, a.prefix+"thing/"+name)
	}
	for _, name := range j.Groups {
		in.Targets = append(in.Targets, a.prefix+"thinggroup/"+name)
	}
	if j.PerMinute > 0 {
		in.JobExecutionsRolloutConfig = &types.JobExecutionsRolloutConfig{MaximumPerMinute: aws.Int32(int32(j.PerMinute))}
	}
	if j.Abort > 0 {
		in.AbortConfig = &types.AbortConfig{CriteriaList: []types.AbortCriteria{{Action: types.AbortActionCancel,
			FailureType: types.JobExecutionFailureTypeAll, MinNumberOfExecutedThings: aws.Int32(int32(max(j.AbortLeast, 1))),
			ThresholdPercentage: aws.Float64(float64(j.Abort))}}}
	}
	if j.Minutes > 0 {
		in.TimeoutConfig = &types.TimeoutConfig{InProgressTimeoutInMinutes: aws.Int64(int64(j.Minutes))}
	}
	if j.Window != "" {
		in.SchedulingConfig = &types.SchedulingConfig{MaintenanceWindows: []types.MaintenanceWindow{{
			StartTime: &j.Window, DurationInMinutes: aws.Int32(int32(j.WindowFor / time.Minute))}}}
	}
	if j.Role != "" {
		in.PresignedUrlConfig = &types.PresignedUrlConfig{RoleArn: &j.Role, ExpiresInSec: aws.Int64(3600)}
	}
	if _, err := a.iot.CreateJob(ctx, in); err != nil {
		return fmt.Errorf("job %s: %w", j.ID, known(err))
	}
	return nil
}

// Progress is how far a job is.
type Progress struct {
	ID        string `json:"job"`
	Status    string `json:"status"` // IN_PROGRESS, COMPLETED, CANCELED, SCHEDULED, DELETION_IN_PROGRESS
	Reason    string `json:"reason,omitempty"`
	Queued    int    `json:"queued"`
	Running   int    `json:"running"`
	Succeeded int    `json:"succeeded"`
	Failed    int    `json:"failed"` // rejected and timed out are among them
	Canceled  int    `json:"canceled"`
	// Completed is when it was over; the zero time before.
	Completed time.Time `json:"completed,omitzero"`
	Things    []string  `json:"-"` // that it is for, without those of groups
}

// Ended tells whether nothing more comes of the job.
func (p Progress) Ended() bool { return p.Status == "COMPLETED" || p.Status == "CANCELED" }

// Job returns how far a job is. The error is [ErrNotFound] if there is none.
func (a *Account) Job(ctx context.Context, id string) (Progress, error) {
	out, err := a.iot.DescribeJob(ctx, &iot.DescribeJobInput{JobId: &id})
	if err != nil {
		return Progress{}, fmt.Errorf("job %s: %w", id, known(err))
	}
	p := Progress{ID: id, Status: string(out.Job.Status), Reason: aws.ToString(out.Job.ReasonCode),
		Completed: aws.ToTime(out.Job.CompletedAt)}
	for _, arn := range out.Job.Targets {
		if _, thing, ok := strings.Cut(arn, ":thing/"); ok {
			p.Things = append(p.Things, thing)
		}
	}
	if d := out.Job.JobProcessDetails; d != nil {
		n := func(v *int32) int { return int(aws.ToInt32(v)) }
		p.Queued, p.Running, p.Succeeded = n(d.NumberOfQueuedThings), n(d.NumberOfInProgressThings),
			n(d.NumberOfSucceededThings)
		p.Failed = n(d.NumberOfFailedThings) + n(d.NumberOfRejectedThings) + n(d.NumberOfTimedOutThings)
		p.Canceled = n(d.NumberOfCanceledThings) + n(d.NumberOfRemovedThings)
	}
	return p, nil
}

// Jobs returns the names of the jobs that are not over and begin with prefix.
func (a *Account) Jobs(ctx context.Context, prefix string) (ids []string, err error) {
	for _, status := range []types.JobStatus{types.JobStatusInProgress, types.JobStatusScheduled} {
		pages := iot.NewListJobsPaginator(a.iot, &iot.ListJobsInput{Status: status, MaxResults: aws.Int32(250)})
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("jobs: %w", known(err))
			}
			for _, j := range out.Jobs {
				if id := aws.ToString(j.JobId); strings.HasPrefix(id, prefix) {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids, nil
}

// CancelJob ends a job; with force also where a gateway is at it. One that is over is
// left as it is.
func (a *Account) CancelJob(ctx context.Context, id, reason string, force bool) error {
	_, err := a.iot.CancelJob(ctx, &iot.CancelJobInput{JobId: &id, Force: force, ReasonCode: &reason})
	var over *types.InvalidStateTransitionException
	if err == nil || errors.As(err, &over) {
		return nil
	}
	if p, at := a.Job(ctx, id); at == nil && p.Ended() {
		return nil
	}
	return fmt.Errorf("job %s: %w", id, known(err))
}

// Execution is what one gateway makes of a job.
type Execution struct {
	Gateway string            `json:"gateway"`
	Job     string            `json:"job"`
	Status  string            `json:"status"`
	Details map[string]string `json:"details,omitempty"` // step, percent, from, to, error, rolled_back
}

// Failed reports that it went wrong.
func (e *Execution) Failed() bool {
	return e.Status == "FAILED" || e.Status == "REJECTED" || e.Status == "TIMED_OUT"
}

// Word is its status as people read it.
func (e *Execution) Word() string { return strings.ToLower(strings.ReplaceAll(e.Status, "_", " ")) }

func (a *Account) details(ctx context.Context, id, thing string) (map[string]string, error) {
	out, err := a.iot.DescribeJobExecution(ctx, &iot.DescribeJobExecutionInput{JobId: &id, ThingName: &thing})
	if err != nil {
		return nil, fmt.Errorf("job %s on %s: %w", id, thing, known(err))
	}
	if out.Execution == nil || out.Execution.StatusDetails == nil {
		return nil, nil
	}
	return out.Execution.StatusDetails.DetailsMap, nil
}

// Executions returns what all gateways make of a job, without their details.
func (a *Account) Executions(ctx context.Context, id string) (all []Execution, err error) {
	pages := iot.NewListJobExecutionsForJobPaginator(a.iot, &iot.ListJobExecutionsForJobInput{JobId: &id,
		MaxResults: aws.Int32(250)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", id, known(err))
		}
		for _, s := range out.ExecutionSummaries {
			_, thing, _ := strings.Cut(aws.ToString(s.ThingArn), ":thing/")
			e := Execution{Gateway: thing, Job: id}
			if s.JobExecutionSummary != nil {
				e.Status = string(s.JobExecutionSummary.Status)
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// Tell adds what the gateway said to an execution.
func (a *Account) Tell(ctx context.Context, e *Execution) (err error) {
	e.Details, err = a.details(ctx, e.Job, e.Gateway)
	return err
}

// mostJobs is how many jobs are looked through for the last ones of gateways, the newest
// first.
const mostJobs = 300

// Latest returns what these gateways made of their last job that begins with prefix,
// without details. It asks once for a job, which may have a hundred gateways, not once
// for a gateway.
func (a *Account) Latest(ctx context.Context, prefix string, gateways []string) (map[string]*Execution, error) {
	var jobs []types.JobSummary
	pages := iot.NewListJobsPaginator(a.iot, &iot.ListJobsInput{MaxResults: aws.Int32(250)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("jobs: %w", known(err))
		}
		for _, j := range out.Jobs {
			if strings.HasPrefix(aws.ToString(j.JobId), prefix) {
				jobs = append(jobs, j)
			}
		}
	}
	slices.SortStableFunc(jobs, func(a, b types.JobSummary) int {
		return aws.ToTime(b.CreatedAt).Compare(aws.ToTime(a.CreatedAt))
	})
	wanted, found := map[string]bool{}, map[string]*Execution{}
	for _, g := range gateways {
		wanted[g] = true
	}
	for i := 0; i < min(len(jobs), mostJobs) && len(found) < len(wanted); i++ {
		all, err := a.Executions(ctx, aws.ToString(jobs[i].JobId))
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			if wanted[e.Gateway] && found[e.Gateway] == nil {
				found[e.Gateway] = &e
			}
		}
	}
	return found, nil
}
