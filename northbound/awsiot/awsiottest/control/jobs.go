package control

import (
	"slices"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// jobRequest is a job as the API describes it.
type jobRequest struct {
	Targets     []string `json:"targets"`
	Document    string   `json:"document,omitempty"`
	Source      string   `json:"documentSource,omitempty"`
	Description string   `json:"description,omitempty"`
	Selection   string   `json:"targetSelection,omitempty"`
	Presigned   *struct {
		Role    string `json:"roleArn"`
		Seconds int    `json:"expiresInSec"`
	} `json:"presignedUrlConfig,omitempty"`
	Rollout *struct {
		PerMinute   int `json:"maximumPerMinute,omitempty"`
		Exponential *struct {
			Base     int     `json:"baseRatePerMinute"`
			Factor   float64 `json:"incrementFactor"`
			Criteria struct {
				Notified  int `json:"numberOfNotifiedThings,omitempty"`
				Succeeded int `json:"numberOfSucceededThings,omitempty"`
			} `json:"rateIncreaseCriteria"`
		} `json:"exponentialRate,omitempty"`
	} `json:"jobExecutionsRolloutConfig,omitempty"`
	Abort *struct {
		Criteria []struct {
			Failure   string  `json:"failureType"`
			Action    string  `json:"action"`
			Threshold float64 `json:"thresholdPercentage"`
			Least     int     `json:"minNumberOfExecutedThings"`
		} `json:"criteriaList"`
	} `json:"abortConfig,omitempty"`
	Timeout *struct {
		Minutes int `json:"inProgressTimeoutInMinutes"`
	} `json:"timeoutConfig,omitempty"`
	Retry *struct {
		Criteria []struct {
			Failure string `json:"failureType"`
			Number  int    `json:"numberOfRetries"`
		} `json:"criteriaList"`
	} `json:"jobExecutionsRetryConfig,omitempty"`
	Scheduling *struct {
		Start   string `json:"startTime,omitempty"`
		End     string `json:"endTime,omitempty"`
		Ending  string `json:"endBehavior,omitempty"`
		Windows []struct {
			Start   string `json:"startTime"`
			Minutes int    `json:"durationInMinutes"`
		} `json:"maintenanceWindows,omitempty"`
	} `json:"schedulingConfig,omitempty"`
}

// change puts what another request gives over this one.
func (q *jobRequest) change(by jobRequest) {
	if by.Description != "" {
		q.Description = by.Description
	}
	if by.Rollout != nil {
		q.Rollout = by.Rollout
	}
	if by.Abort != nil {
		q.Abort = by.Abort
	}
	if by.Timeout != nil {
		q.Timeout = by.Timeout
	}
	if by.Retry != nil {
		q.Retry = by.Retry
	}
}

// job returns what a request asks for.
func (q *jobRequest) job(id string) (jobs.Job, error) {
	j := jobs.Job{ID: id, Description: q.Description, Document: q.Document, Continuous: q.Selection == "CONTINUOUS"}
	for _, arn := range q.Targets {
		switch name := nameOf(arn); {
		case strings.Contains(arn, ":thinggroup/"):
			j.Groups = append(j.Groups, name)
		case strings.Contains(arn, ":thing/"):
			j.Things = append(j.Things, name)
		default:
			return j, &registry.Error{Code: "InvalidRequestException", Text: arn + " is neither a thing nor a group"}
		}
	}
	if len(q.Targets) == 0 {
		return j, &registry.Error{Code: "InvalidRequestException", Text: "a job needs a target"}
	}
	if r := q.Rollout; r != nil {
		j.Rollout.PerMinute = r.PerMinute
		if e := r.Exponential; e != nil {
			j.Rollout.Base, j.Rollout.Factor = e.Base, e.Factor
			j.Rollout.Notified, j.Rollout.Succeeded = e.Criteria.Notified, e.Criteria.Succeeded
		}
	}
	if q.Abort != nil {
		for _, a := range q.Abort.Criteria {
			j.Abort = append(j.Abort, jobs.Abort{Failure: a.Failure, Threshold: a.Threshold, Least: a.Least})
		}
	}
	if q.Presigned != nil {
		j.Presigned = time.Duration(q.Presigned.Seconds) * time.Second
	}
	if q.Timeout != nil {
		j.Timeout = time.Duration(q.Timeout.Minutes) * time.Minute
	}
	if q.Retry != nil {
		j.Retries = map[jobs.Status]int{}
		for _, r := range q.Retry.Criteria {
			j.Retries[jobs.Status(r.Failure)] = r.Number
		}
	}
	return j, q.schedule(&j)
}

func (q *jobRequest) schedule(j *jobs.Job) (err error) {
	s := q.Scheduling
	if s == nil {
		return nil
	}
	j.EndBehavior = s.Ending
	for _, w := range s.Windows {
		j.Windows = append(j.Windows, jobs.Window{Start: w.Start, Minutes: w.Minutes})
	}
	for text, into := range map[string]*time.Time{s.Start: &j.Start, s.End: &j.End} {
		if text == "" {
			continue
		}
		if *into, err = time.Parse("2006-01-02T15:04", text); err != nil {
			if *into, err = time.Parse(time.RFC3339, text); err != nil {
				return &registry.Error{Code: "InvalidRequestException", Text: "schedule: " + err.Error()}
			}
		}
	}
	return nil
}

func createJob(c *call) (any, error) {
	var q jobRequest
	if err := c.read(&q); err != nil {
		return nil, err
	}
	if q.Source != "" {
		bucket, key, err := c.locate(q.Source)
		if err != nil {
			return nil, err
		}
		o, ok := c.object(bucket, key)
		if !ok {
			return nil, &registry.Error{Code: "InvalidRequestException", Text: "there is no document at " + q.Source}
		}
		q.Document = string(o.data)
	}
	id := c.PathValue("id")
	j, err := q.job(id)
	if err == nil {
		err = c.Jobs.Create(j)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.requests[id] = q
	c.mu.Unlock()
	return fields{"jobId": id, "jobArn": arnPrefix + "job/" + id, "description": q.Description}, nil
}

// describeJob is the request as it was made, and what became of it.
func describeJob(c *call) (any, error) {
	id := c.PathValue("id")
	j, ok := c.Jobs.Get(id)
	if !ok {
		return nil, notFound("job", id)
	}
	c.mu.Lock()
	q := c.requests[id]
	c.mu.Unlock()
	source := q.Source
	q.Document, q.Source = "", ""
	n := c.Jobs.Counts(id)
	described := struct {
		jobRequest
		jobSummary
		Force   bool   `json:"forceCanceled"`
		Reason  string `json:"reasonCode,omitempty"`
		Comment string `json:"comment,omitempty"`
		Details fields `json:"jobProcessDetails"`
	}{q, summarize(j), j.Force, j.Reason, j.Comment, fields{"processingTargets": q.Targets,
		"numberOfQueuedThings": n[jobs.Queued], "numberOfInProgressThings": n[jobs.InProgress],
		"numberOfSucceededThings": n[jobs.Succeeded], "numberOfFailedThings": n[jobs.Failed],
		"numberOfRejectedThings": n[jobs.Rejected], "numberOfTimedOutThings": n[jobs.TimedOut],
		"numberOfCanceledThings": n[jobs.Canceled], "numberOfRemovedThings": n[jobs.Removed]}}
	f := fields{"job": described}
	if source != "" {
		f["documentSource"] = source
	}
	return f, nil
}

// jobSummary is a job as lists show it.
type jobSummary struct {
	ID        string      `json:"jobId"`
	ARN       string      `json:"jobArn"`
	Status    jobs.Status `json:"status"`
	Created   float64     `json:"createdAt"`
	Updated   float64     `json:"lastUpdatedAt"`
	Completed float64     `json:"completedAt,omitempty"`
}

func summarize(j jobs.Job) jobSummary {
	s := jobSummary{ID: j.ID, ARN: arnPrefix + "job/" + j.ID, Status: j.Status, Created: seconds(j.Created),
		Updated: seconds(j.Updated)}
	if !j.Completed.IsZero() {
		s.Completed = seconds(j.Completed)
	}
	return s
}

// executionSummary is an execution as lists show it.
func executionSummary(e jobs.Execution) fields {
	f := fields{"status": e.Status, "queuedAt": seconds(e.QueuedAt), "lastUpdatedAt": seconds(e.UpdatedAt),
		"executionNumber": e.Number, "retryAttempt": e.Attempt}
	if !e.StartedAt.IsZero() {
		f["startedAt"] = seconds(e.StartedAt)
	}
	return f
}

// listExecutions lists those of a job or of a thing, under the other's name.
func listExecutions(c *call, job, thing, name string, of func(jobs.Execution) string) (any, error) {
	want := c.URL.Query().Get("status")
	all := []fields{}
	for _, e := range c.Jobs.Executions(job, thing) {
		if want == "" || want == string(e.Status) {
			all = append(all, fields{name: of(e), "jobExecutionSummary": executionSummary(e)})
		}
	}
	part, next := page(c, all, "maxResults", "nextToken")
	return listed("executionSummaries", part, "nextToken", next), nil
}

var jobRoutes = map[string]handler{
	"PUT /jobs/{id}": createJob,
	"GET /jobs/{id}": describeJob,
	"PATCH /jobs/{id}": func(c *call) (any, error) {
		var q jobRequest
		if err := c.read(&q); err != nil {
			return nil, err
		}
		id := c.PathValue("id")
		c.mu.Lock()
		whole := c.requests[id]
		c.mu.Unlock()
		whole.change(q)
		next, err := whole.job(id)
		if err != nil {
			return nil, err
		}
		err = c.Jobs.Change(id, func(j *jobs.Job) {
			j.Description, j.Rollout, j.Abort, j.Timeout, j.Retries = next.Description, next.Rollout, next.Abort, next.Timeout,
				next.Retries
		})
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests[id] = whole
		return nil, nil
	},
	"POST /jobs/{id}/targets": func(c *call) (any, error) {
		var q jobRequest
		if err := c.read(&q); err != nil {
			return nil, err
		}
		id := c.PathValue("id")
		for _, arn := range q.Targets {
			if err := c.Jobs.AddGroup(id, nameOf(arn)); err != nil {
				return nil, err
			}
		}
		return fields{"jobId": id, "jobArn": arnPrefix + "job/" + id}, nil
	},
	"GET /jobs": func(c *call) (any, error) {
		q := c.URL.Query()
		all := []jobSummary{}
		for _, j := range c.Jobs.All() {
			group := q.Get("thingGroupName")
			if (q.Get("status") == "" || q.Get("status") == string(j.Status)) &&
				(group == "" || slices.Contains(j.Groups, group)) {
				all = append(all, summarize(j))
			}
		}
		part, next := page(c, all, "maxResults", "nextToken")
		return listed("jobs", part, "nextToken", next), nil
	},
	"PUT /jobs/{id}/cancel": func(c *call) (any, error) {
		var q struct {
			Reason  string `json:"reasonCode"`
			Comment string `json:"comment"`
		}
		if err := c.read(&q); err != nil {
			return nil, err
		}
		id := c.PathValue("id")
		return fields{"jobId": id, "jobArn": arnPrefix + "job/" + id},
			c.Jobs.Cancel(id, q.Reason, q.Comment, c.is("force"))
	},
	"DELETE /jobs/{id}": func(c *call) (any, error) { return nil, c.Jobs.Delete(c.PathValue("id"), c.is("force")) },
	"GET /jobs/{id}/job-document": func(c *call) (any, error) {
		j, ok := c.Jobs.Get(c.PathValue("id"))
		if !ok {
			return nil, notFound("job", c.PathValue("id"))
		}
		return fields{"document": j.Document}, nil
	},
	"GET /jobs/{id}/things": func(c *call) (any, error) {
		if _, ok := c.Jobs.Get(c.PathValue("id")); !ok {
			return nil, notFound("job", c.PathValue("id"))
		}
		return listExecutions(c, c.PathValue("id"), "", "thingArn",
			func(e jobs.Execution) string { return arnPrefix + "thing/" + e.Thing })
	},
	"GET /things/{name}/jobs": func(c *call) (any, error) {
		return listExecutions(c, c.URL.Query().Get("jobId"), c.PathValue("name"), "jobId",
			func(e jobs.Execution) string { return e.JobID })
	},
	"GET /things/{name}/jobs/{id}": func(c *call) (any, error) {
		found := c.Jobs.Executions(c.PathValue("id"), c.PathValue("name"))
		if len(found) == 0 {
			return nil, notFound("execution of job", c.PathValue("id"))
		}
		e := found[0]
		f := executionSummary(e)
		f["jobId"], f["thingArn"], f["versionNumber"] = e.JobID, arnPrefix+"thing/"+e.Thing, e.Version
		f["statusDetails"] = fields{"detailsMap": e.Details}
		if at := e.Deadline(); !at.IsZero() {
			f["approximateSecondsBeforeTimedOut"] = max(0, int(time.Until(at).Seconds()))
		}
		return fields{"execution": f}, nil
	},
	"PUT /things/{name}/jobs/{id}/cancel": func(c *call) (any, error) {
		return nil, c.Jobs.CancelExecution(c.PathValue("id"), c.PathValue("name"), c.is("force"))
	},
}
