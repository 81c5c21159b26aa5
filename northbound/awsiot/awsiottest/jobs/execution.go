package jobs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// Execution is a job on one thing.
type Execution struct {
	JobID     string
	Thing     string
	Status    Status
	Details   map[string]string
	QueuedAt  time.Time
	StartedAt time.Time // zero until it was started
	UpdatedAt time.Time
	Version   int64 // grows with each update
	Number    int64
	Attempt   int // repetitions so far

	job      *Job
	deadline time.Time   // of the in-progress timer; zero for none
	step     time.Time   // of the step timer; zero for none
	timer    *time.Timer // fires at the sooner of both
}

func (e *Execution) clone() Execution {
	copied := *e
	copied.Details = maps.Clone(e.Details)
	return copied
}

// Deadline returns when the execution times out, zero for never.
func (e *Execution) Deadline() time.Time {
	if e.step.IsZero() || !e.deadline.IsZero() && e.deadline.Before(e.step) {
		return e.deadline
	}
	return e.step
}

func (s *Service) findLocked(thing, job string) *Execution {
	for _, e := range s.executions[thing] {
		if e.JobID == job {
			return e
		}
	}
	return nil
}

// Executions returns those of a job, sorted by thing, or of a thing, in their order;
// of both, the one.
func (s *Service) Executions(job, thing string) (all []Execution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range slices.Sorted(maps.Keys(s.executions)) {
		if thing != "" && t != thing {
			continue
		}
		for _, e := range s.executions[t] {
			if job == "" || e.JobID == job {
				all = append(all, e.clone())
			}
		}
	}
	return all
}

// turnLocked changes the state of an execution and tells of it. One that failed may
// begin again.
// Progress that changes nothing else is told to nobody.
func (s *Service) turnLocked(e *Execution, to Status) {
	changed := e.Status != to
	e.Status, e.UpdatedAt = to, time.Now()
	e.Version++
	s.record = append(s.record, Event{At: e.UpdatedAt, Job: e.JobID, Thing: e.Thing, Status: to,
		Details: maps.Clone(e.Details)})
	if to.terminal() {
		e.disarm()
		if e.job.Status == InProgress && e.Attempt < e.job.Retries[to]+e.job.Retries["ALL"] &&
			(to == Failed || to == TimedOut) {
			e.Attempt++
			e.Number++
			e.Version, e.Details, e.StartedAt, e.QueuedAt = 0, nil, time.Time{}, time.Now()
			s.turnLocked(e, Queued)
			return
		}
	}
	if changed {
		s.notifyLocked(e.Thing)
	}
	if to.terminal() {
		s.settleLocked(e.job)
	}
}

func (e *Execution) disarm() {
	if e.timer != nil {
		e.timer.Stop()
	}
	e.timer, e.deadline, e.step = nil, time.Time{}, time.Time{}
}

// armLocked sets the step timer: minutes, -1 for none, 0 leaves it as it is. It never
// reaches beyond the in-progress timer.
func (s *Service) armLocked(e *Execution, minutes int) {
	switch {
	case minutes > 0:
		e.step = time.Now().Add(time.Duration(minutes) * time.Minute)
	case minutes < 0:
		e.step = time.Time{}
	}
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	at := e.Deadline()
	if at.IsZero() || e.Status != InProgress {
		return
	}
	e.timer = time.AfterFunc(time.Until(at), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e.Status == InProgress && at.Equal(e.Deadline()) {
			s.turnLocked(e, TimedOut)
		}
	})
}

// startLocked brings an execution to IN_PROGRESS.
func (s *Service) startLocked(e *Execution) {
	e.StartedAt = time.Now()
	if e.job.Timeout > 0 {
		e.deadline = e.StartedAt.Add(e.job.Timeout)
	}
	s.turnLocked(e, InProgress)
}

// pendingLocked returns what a thing has to do: first what is in progress, then what
// is queued.
func (s *Service) pendingLocked(thing string) (running, queued []*Execution) {
	for _, e := range s.executions[thing] {
		switch e.Status {
		case InProgress:
			running = append(running, e)
		case Queued:
			queued = append(queued, e)
		}
	}
	return running, queued
}

// mostListed is how many executions a notification lists.
const mostListed = 15

// notifyLocked tells a thing that its list has changed, and if another execution is
// the next one, of that.
func (s *Service) notifyLocked(thing string) {
	running, queued := s.pendingLocked(thing)
	now := time.Now().Unix()
	jobs := map[string]any{}
	for status, list := range map[Status][]*Execution{InProgress: running, Queued: queued} {
		var shown []any
		for _, e := range list[:min(len(list), mostListed)] {
			shown = append(shown, e.summary())
		}
		if shown != nil {
			jobs[string(status)] = shown
		}
	}
	prefix := "$aws/things/" + thing + "/jobs/"
	s.sayLocked(prefix+"notify", map[string]any{"timestamp": now, "jobs": jobs})
	head, next := "", map[string]any{"timestamp": now}
	if all := append(running, queued...); len(all) > 0 {
		head = fmt.Sprint(all[0].JobID, " ", all[0].Number)
		next["execution"] = s.describeLocked(all[0], true)
	}
	if s.heads[thing] != head {
		s.heads[thing] = head
		s.sayLocked(prefix+"notify-next", next)
	}
}

func (s *Service) sayLocked(topic string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // we make only what it can say
	}
	_ = s.publish(topic, data) // what nobody hears is lost
}

// summary is an execution as lists show it.
func (e *Execution) summary() map[string]any {
	m := map[string]any{"jobId": e.JobID, "queuedAt": e.QueuedAt.Unix(), "lastUpdatedAt": e.UpdatedAt.Unix(),
		"executionNumber": e.Number, "versionNumber": e.Version}
	if !e.StartedAt.IsZero() {
		m["startedAt"] = e.StartedAt.Unix()
	}
	return m
}

// placeholder is what stands in a document for a presigned URL.
var placeholder = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$\{aws:iot:s3-presigned-url:(https?://[^}]+)\}`)
})

// describeLocked is an execution as its thing is told of it.
func (s *Service) describeLocked(e *Execution, document bool) map[string]any {
	m := e.summary()
	m["thingName"], m["status"] = e.Thing, e.Status
	if len(e.Details) > 0 {
		m["statusDetails"] = e.Details
	}
	if document {
		m["jobDocument"] = s.documentLocked(e.job)
	}
	return m
}

// documentLocked returns a job's document with presigned URLs in it.
func (s *Service) documentLocked(j *Job) json.RawMessage {
	text := j.Document
	if s.presign != nil {
		text = placeholder().ReplaceAllStringFunc(text, func(found string) string {
			return s.presign(placeholder().FindStringSubmatch(found)[1], cmp.Or(j.Presigned, time.Hour))
		})
	}
	return json.RawMessage(text)
}

// CancelExecution cancels one execution; one that is in progress only with force.
func (s *Service) CancelExecution(job, thing string, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.findLocked(thing, job)
	switch {
	case e == nil:
		return &registry.Error{Code: "ResourceNotFoundException", Text: "job " + job + " has no execution on " + thing}
	case e.Status.terminal() || e.Status == InProgress && !force:
		return &registry.Error{Code: "InvalidStateTransitionException", Text: "the execution is " + string(e.Status)}
	}
	s.turnLocked(e, Canceled)
	return nil
}
