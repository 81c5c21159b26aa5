package things

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// ExecutionStatus is the state of a command execution.
type ExecutionStatus string

// The states of executions. A device ends one with any of the last four; after
// a time-out of the service it still may.
const (
	Created    ExecutionStatus = "CREATED"
	InProgress ExecutionStatus = "IN_PROGRESS"
	Succeeded  ExecutionStatus = "SUCCEEDED"
	Failed     ExecutionStatus = "FAILED"
	Rejected   ExecutionStatus = "REJECTED"
	TimedOut   ExecutionStatus = "TIMED_OUT"
)

// Execution is a command under way on one device, as AWS IoT Commands knows it.
type Execution struct {
	ID      string
	Target  string // things/NAME or clients/ID
	Status  ExecutionStatus
	History []ExecutionStatus // all states, with the present one
	// Code and Description are the device's reason for the state.
	Code, Description string
	Result            map[string]json.RawMessage
	// ByDevice says that the device has ended it: nothing can be changed any more.
	ByDevice bool

	updated time.Time
}

// Executions is the service AWS IoT Commands. It is safe for concurrent use.
type Executions struct {
	say      Say
	conflict time.Duration // after a change, another is refused
	mu       sync.Mutex
	all      map[string]*Execution // guarded by mu; by id
}

// NewExecutions returns a service without executions; for conflict after a change
// of one another change is refused.
func NewExecutions(say Say, conflict time.Duration) *Executions {
	return &Executions{say: say, conflict: conflict, all: make(map[string]*Execution)}
}

// Start adds an execution for a thing, who has timeout to do it.
func (s *Executions) Start(id, thing string, timeout time.Duration) {
	e := &Execution{ID: id, Target: "things/" + thing, Status: Created, History: []ExecutionStatus{Created}}
	s.mu.Lock()
	s.all[id] = e
	s.mu.Unlock()
	time.AfterFunc(timeout, func() { s.timeOut(e) })
}

// RequestTopic returns where the payload of an execution goes, "" for an id that
// is not known.
func (s *Executions) RequestTopic(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[id]; e != nil {
		return "$aws/commands/" + e.Target + "/executions/" + id + "/request/json"
	}
	return ""
}

// Get returns what is known of an execution; the zero value for an id that is not
// known.
func (s *Executions) Get(id string) Execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[id]; e != nil {
		copied := *e
		copied.History = slices.Clone(e.History)
		return copied
	}
	return Execution{}
}

// timeOut is the service's own end of an execution; the device may still change
// it.
func (s *Executions) timeOut(e *Execution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Status == Created || e.Status == InProgress {
		e.turn(TimedOut)
	}
}

func (e *Execution) turn(s ExecutionStatus) {
	e.Status = s
	e.History = append(e.History, s)
	e.updated = time.Now()
}

// update is what a device says of an execution (UpdateCommandExecution).
type update struct {
	Status ExecutionStatus `json:"status"`
	Reason *struct {
		Code        string `json:"reasonCode"`
		Description string `json:"reasonDescription"`
	} `json:"statusReason"`
	Result map[string]json.RawMessage `json:"result"`
}

// Request handles a message if it is an update, and reports whether it was one.
func (s *Executions) Request(topic string, payload []byte) bool {
	rest, ok := strings.CutPrefix(topic, "$aws/commands/")
	if !ok {
		return false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 6 || parts[2] != "executions" || parts[4] != "response" || parts[5] != "json" {
		return false
	}
	id := parts[3]
	prefix := "$aws/commands/" + parts[0] + "/" + parts[1] + "/executions/" + id + "/response/"
	if code, text := s.update(id, parts[0]+"/"+parts[1], payload); code != "" {
		s.say(prefix+"rejected/json", map[string]any{"executionId": id, "error": code, "errorMessage": text})
	} else {
		s.say(prefix+"accepted/json", map[string]any{"executionId": id})
	}
	return true
}

// reasonCode is made when it is first asked for: the program has the stand-in in
// it, and a gateway has little memory.
var reasonCode = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z0-9_-]{1,64}$`) })

// update changes an execution, or says why not.
func (s *Executions) update(id, target string, payload []byte) (code, text string) {
	var u update
	if !utf8.Valid(payload) || json.Unmarshal(payload, &u) != nil {
		return "InvalidJson", "not JSON"
	}
	switch {
	case !slices.Contains([]ExecutionStatus{InProgress, Succeeded, Failed, Rejected, TimedOut}, u.Status):
		return "InvalidRequest", "no such status"
	case u.Reason != nil && (!reasonCode().MatchString(u.Reason.Code) ||
		utf8.RuneCountInString(u.Reason.Description) > 1024):
		return "InvalidRequest", "statusReason"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.all[id]
	switch {
	case e == nil || e.Target != target:
		return "ResourceNotFound", "no such execution"
	case e.ByDevice:
		return "TerminalStateReached", string(e.Status)
	case u.Status == InProgress && e.Status == TimedOut:
		return "InvalidStateTransition", "from TIMED_OUT to IN_PROGRESS"
	case time.Since(e.updated) < s.conflict:
		return "DataConflict", "updated just now"
	}
	e.turn(u.Status)
	e.ByDevice = u.Status != InProgress
	if u.Reason != nil {
		e.Code, e.Description = u.Reason.Code, u.Reason.Description
	}
	e.Result = u.Result
	return "", ""
}

// Serves reports whether a topic or filter is one that AWS IoT Commands
// serves for a client: the id of an execution is the only place of a wildcard.
func Serves(topic, thing, client string, subscribe bool) bool {
	for _, target := range []string{"things/" + thing, "clients/" + client} {
		rest, ok := strings.CutPrefix(topic, "$aws/commands/"+target+"/executions/")
		if !ok {
			continue
		}
		id, what, _ := strings.Cut(rest, "/")
		if !subscribe {
			return id != "" && (what == "response/json" || what == "response/cbor")
		}
		for _, known := range []string{"request", "response/accepted", "response/rejected"} {
			if what == known || what == known+"/json" || what == known+"/cbor" {
				return true
			}
		}
	}
	return false
}
