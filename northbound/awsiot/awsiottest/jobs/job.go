package jobs

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// Status is the state of a job or of an execution.
type Status string

// The states of executions, and the last three of jobs.
const (
	Queued     Status = "QUEUED"
	InProgress Status = "IN_PROGRESS"
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
	Rejected   Status = "REJECTED"
	TimedOut   Status = "TIMED_OUT"
	Removed    Status = "REMOVED"
	Canceled   Status = "CANCELED"
	Completed  Status = "COMPLETED"
	Scheduled  Status = "SCHEDULED"
)

func (s Status) terminal() bool { return s != Queued && s != InProgress }

// Limits of the service (AWS General Reference, quotas of Device Management).
const (
	maximumJobID    = 64
	maximumDocument = 32 << 10
	mostPerMinute   = 1000
	mostRetries     = 10
)

// Job is what is to be done on things.
type Job struct {
	ID          string
	Description string
	Document    string   // JSON, at most 32 KiB
	Things      []string // names
	Groups      []string // names; their things when the job is created, or later, too, if Continuous
	Continuous  bool
	// Presigned is how long the presigned URLs in its document are good; 0 is an hour.
	Presigned time.Duration
	Rollout   Rollout
	Abort     []Abort
	// Timeout is how long an execution may be IN_PROGRESS; 0 is for ever.
	Timeout time.Duration
	// Retries is how often an execution is repeated that ends in a state, FAILED or
	// TIMED_OUT; at most ten in all.
	Retries map[Status]int
	// Start and End are when the rollout begins and ends; zero: at once, never.
	Start, End  time.Time
	EndBehavior string // STOP_ROLLOUT, CANCEL or FORCE_CANCEL
	Windows     []Window

	Status    Status // set by the service, as all below
	Reason    string
	Comment   string
	Force     bool // cancelled by force
	Created   time.Time
	Updated   time.Time
	Completed time.Time
	Notified  int // things that have an execution

	waiting []string // things that have none yet
	ticker  *time.Timer
	rate    float64   // things per minute now
	step    int       // things that counted for the last raise of the rate
	minute  time.Time // when the minute began whose executions are handed out
	given   int       // executions in that minute
}

// Rollout is how fast executions are handed out.
type Rollout struct {
	PerMinute int // at most; 0 is 1,000
	// Base, Factor and the counts make it grow: beginning with Base per minute it is
	// multiplied by Factor each time that many more things are notified, or have
	// succeeded. Base 0: it is constant.
	Base                int
	Factor              float64
	Notified, Succeeded int
}

// Abort cancels a job when of the executions that have ended, at least Least, this
// share ended badly.
type Abort struct {
	Failure   string  // FAILED, REJECTED, TIMED_OUT or ALL
	Threshold float64 // percent
	Least     int
}

// Window is when executions are handed out, again and again.
type Window struct {
	Start   string // cron(minute hour day month weekday year)
	Minutes int
}

// Event is one thing that happened to an execution, for the record.
type Event struct {
	At      time.Time
	Job     string
	Thing   string
	Status  Status
	Details map[string]string
}

// Service is the service of one account. It is plugged into the broker.
type Service struct {
	registry *registry.Registry

	mu         sync.Mutex
	jobs       map[string]*Job         // guarded by mu, as all below; by id
	executions map[string][]*Execution // by thing, in the order of their queueing
	heads      map[string]string       // what notify-next was last sent for, by thing
	record     []Event
	publish    func(topic string, payload []byte) error
	presign    func(url string, life time.Duration) string // nil leaves placeholders as they are
}

// New returns a service without jobs.
func New(r *registry.Registry) *Service {
	s := &Service{registry: r, jobs: map[string]*Job{}, executions: map[string][]*Execution{},
		heads: map[string]string{}, publish: func(string, []byte) error { return nil }}
	r.OnJoin(s.refresh)
	return s
}

// Announce is told by the broker how notifications are published.
func (s *Service) Announce(publish func(topic string, payload []byte) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish = publish
}

// Presign decides what a placeholder for a presigned URL becomes, each time that a
// document is handed out.
func (s *Service) Presign(f func(url string, life time.Duration) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.presign = f
}

// idRule is made when it is first asked for.
var idRule = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_-]+$`) })

func invalid(text string) error { return &registry.Error{Code: "InvalidRequestException", Text: text} }

func noJob(id string) error {
	return &registry.Error{Code: "ResourceNotFoundException", Text: "there is no job " + id}
}

// Create begins a job.
func (s *Service) Create(j Job) error {
	if len(j.ID) > maximumJobID || !idRule().MatchString(j.ID) {
		return invalid("a job id has 1 to 64 of a-z A-Z 0-9 _ -")
	}
	if len(j.Document) > maximumDocument {
		return &registry.Error{Code: "LimitExceededException", Text: "the document has more than 32 KiB"}
	}
	if !json.Valid([]byte(j.Document)) {
		return invalid("the document is not JSON")
	}
	if err := j.checkRates(); err != nil {
		return err
	}
	for _, t := range j.Things {
		if _, ok := s.registry.Thing(t); !ok {
			return &registry.Error{Code: "ResourceNotFoundException", Text: "there is no thing " + t}
		}
	}
	things := slices.Clone(j.Things)
	for _, g := range j.Groups {
		group, ok := s.registry.Group(g)
		if !ok {
			return &registry.Error{Code: "ResourceNotFoundException", Text: "there is no group " + g}
		}
		things = append(things, group.Things...)
	}
	slices.Sort(things)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[j.ID] != nil {
		return &registry.Error{Code: "ResourceAlreadyExistsException", Text: "job " + j.ID + " exists"}
	}
	j.waiting = slices.Compact(things)
	j.Status, j.Created = InProgress, time.Now()
	j.Updated = j.Created
	s.jobs[j.ID] = &j
	if d := time.Until(j.Start); d > 0 && !j.Start.IsZero() {
		j.Status = Scheduled
		time.AfterFunc(d, func() { s.begin(&j) })
	} else {
		s.rollLocked(&j)
	}
	if !j.End.IsZero() {
		time.AfterFunc(time.Until(j.End), func() { s.end(&j) })
	}
	return nil
}

func (j *Job) checkRates() error {
	r := j.Rollout
	retries := 0
	for status, n := range j.Retries {
		if status != Failed && status != TimedOut && status != "ALL" {
			return invalid("retries are for FAILED, TIMED_OUT or ALL")
		}
		retries += n
	}
	for _, w := range j.Windows {
		if _, err := parseCron(w.Start); err != nil || w.Minutes < 1 {
			return invalid("maintenance window: it needs cron(...) and a duration in minutes")
		}
	}
	switch {
	case r.PerMinute < 0 || r.PerMinute > mostPerMinute || r.Base < 0 || r.Base > mostPerMinute:
		return invalid("a rollout has 1 to 1,000 things a minute")
	case r.Base > 0 && (r.Factor < 1.1 || r.Factor > 5 || (r.Notified > 0) == (r.Succeeded > 0)):
		return invalid("an exponential rollout has a factor of 1.1 to 5 and one criterion")
	case retries > mostRetries:
		return invalid("there are at most ten retries in all")
	case j.Timeout < 0 || j.Timeout > 7*24*time.Hour:
		return invalid("the in-progress timer has 1 to 10,080 minutes")
	case !j.End.IsZero() && !slices.Contains([]string{"STOP_ROLLOUT", "CANCEL", "FORCE_CANCEL"}, j.EndBehavior):
		return invalid("an end needs STOP_ROLLOUT, CANCEL or FORCE_CANCEL")
	}
	for _, a := range j.Abort {
		if !slices.Contains([]string{"FAILED", "REJECTED", "TIMED_OUT", "ALL"}, a.Failure) || a.Threshold <= 0 ||
			a.Threshold > 100 || a.Least < 1 {
			return invalid("abort criterion: failure type, percent and number of things")
		}
	}
	return nil
}

// Change changes how a job that is under way goes on: its description, rollout, abort
// criteria, time-out and retries. Executions that have begun keep their timer.
func (s *Service) Change(id string, change func(*Job)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id]
	if j == nil {
		return noJob(id)
	}
	if j.Status != InProgress && j.Status != Scheduled {
		return invalid("job " + id + " is " + string(j.Status))
	}
	next := *j
	change(&next)
	if err := next.checkRates(); err != nil {
		return err
	}
	j.Description, j.Rollout, j.Abort, j.Timeout, j.Retries = next.Description, next.Rollout, next.Abort, next.Timeout,
		next.Retries
	j.Updated = time.Now()
	s.settleLocked(j)
	return nil
}

// AddGroup gives a continuous job one more group.
func (s *Service) AddGroup(id, group string) error {
	if _, ok := s.registry.Group(group); !ok {
		return &registry.Error{Code: "ResourceNotFoundException", Text: "there is no group " + group}
	}
	s.mu.Lock()
	j := s.jobs[id]
	if j == nil {
		s.mu.Unlock()
		return noJob(id)
	}
	if !j.Continuous || j.Status.terminal() && j.Status != Scheduled {
		s.mu.Unlock()
		return invalid("only a continuous job that is under way gets more targets")
	}
	if !slices.Contains(j.Groups, group) {
		j.Groups = append(slices.Clone(j.Groups), group)
	}
	s.mu.Unlock()
	s.refresh()
	return nil
}

// Cancel ends a job: what waits or is queued is cancelled, and with force what is
// in progress, too.
func (s *Service) Cancel(id, reason, comment string, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id]
	switch {
	case j == nil:
		return noJob(id)
	case j.Status == Completed || j.Status == Canceled && (j.Force || !force):
		return invalid("job " + id + " is " + string(j.Status))
	}
	s.cancelLocked(j, reason, comment, force)
	return nil
}

func (s *Service) cancelLocked(j *Job, reason, comment string, force bool) {
	j.Status, j.Reason, j.Comment, j.Force = Canceled, reason, comment, force
	j.waiting = nil
	j.Updated = time.Now()
	j.Completed = j.Updated
	j.stop()
	for _, thing := range slices.Sorted(maps.Keys(s.executions)) {
		for _, e := range s.executions[thing] {
			if e.JobID == j.ID && (e.Status == Queued || force && e.Status == InProgress) {
				s.turnLocked(e, Canceled)
			}
		}
	}
}

func (j *Job) stop() {
	if j.ticker != nil {
		j.ticker.Stop()
	}
}

// Delete forgets a job that has ended, or with force any.
func (s *Service) Delete(id string, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id]
	switch {
	case j == nil:
		return noJob(id)
	case !force && j.Status != Completed && j.Status != Canceled:
		return &registry.Error{Code: "InvalidStateTransitionException", Text: "job " + id + " has not ended"}
	}
	s.cancelLocked(j, j.Reason, j.Comment, true)
	for thing, list := range s.executions {
		s.executions[thing] = slices.DeleteFunc(list, func(e *Execution) bool { return e.JobID == id })
	}
	delete(s.jobs, id)
	return nil
}

// Get returns a job, and whether there is one.
func (s *Service) Get(id string) (Job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[id]; j != nil {
		return *j, true
	}
	return Job{}, false
}

// All returns all jobs, the newest first.
func (s *Service) All() (all []Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		all = append(all, *j)
	}
	slices.SortFunc(all, func(a, b Job) int {
		if n := b.Created.Compare(a.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// Record returns what happened to executions since the service was made, in order.
func (s *Service) Record() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.record)
}
