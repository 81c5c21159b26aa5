package awsiottest

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

// executions is the service AWS IoT Commands.
type executions struct {
	cloud *Cloud
	mu    sync.Mutex
	all   map[string]*Execution // guarded by mu; by id
}

func newExecutions(c *Cloud) *executions {
	return &executions{cloud: c, all: make(map[string]*Execution)}
}

// StartExecution does what an application does: it sends a command to a thing,
// who has timeout to do it, and returns the execution's id. If nobody listens
// the payload is lost, and the execution stays [Created] until it times out.
func (c *Cloud) StartExecution(thing string, payload []byte, timeout time.Duration) string {
	e := &Execution{ID: uuid(), Target: "things/" + thing, Status: Created, History: []ExecutionStatus{Created}}
	c.executions.mu.Lock()
	c.executions.all[e.ID] = e
	c.executions.mu.Unlock()
	time.AfterFunc(timeout, func() { c.executions.timeOut(e) })
	c.ResendExecution(e.ID, payload)
	return e.ID
}

// ResendExecution sends the payload of an execution once more, as the broker may
// do with what it thinks was not acknowledged.
func (c *Cloud) ResendExecution(id string, payload []byte) {
	c.executions.mu.Lock()
	e := c.executions.all[id]
	c.executions.mu.Unlock()
	if e == nil {
		return
	}
	topic := "$aws/commands/" + e.Target + "/executions/" + id + "/request/json"
	if err := c.Send(Message{Topic: topic, Payload: payload, ContentType: "application/json"}); err != nil {
		c.log.Warn("execution cannot be handed on", "topic", topic, "err", err)
	}
}

// Execution returns what is known of an execution; the zero value for an id that
// is not known.
func (c *Cloud) Execution(id string) Execution {
	c.executions.mu.Lock()
	defer c.executions.mu.Unlock()
	if e := c.executions.all[id]; e != nil {
		copied := *e
		copied.History = slices.Clone(e.History)
		return copied
	}
	return Execution{}
}

// timeOut is the service's own end of an execution; the device may still change
// it.
func (s *executions) timeOut(e *Execution) {
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

// request handles a message if it is an update, and reports whether it was one.
func (s *executions) request(m *Message) bool {
	rest, ok := strings.CutPrefix(m.Topic, "$aws/commands/")
	if !ok {
		return false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 6 || parts[2] != "executions" || parts[4] != "response" || parts[5] != "json" {
		return false
	}
	id := parts[3]
	prefix := "$aws/commands/" + parts[0] + "/" + parts[1] + "/executions/" + id + "/response/"
	if code, text := s.update(id, parts[0]+"/"+parts[1], m.Payload); code != "" {
		s.cloud.say(prefix+"rejected/json", map[string]any{"executionId": id, "error": code, "errorMessage": text})
	} else {
		s.cloud.say(prefix+"accepted/json", map[string]any{"executionId": id})
	}
	return true
}

var reasonCode = regexp.MustCompile(`^[A-Z0-9_-]{1,64}$`)

// update changes an execution, or says why not.
func (s *executions) update(id, target string, payload []byte) (code, text string) {
	var u update
	if !utf8.Valid(payload) || json.Unmarshal(payload, &u) != nil {
		return "InvalidJson", "not JSON"
	}
	switch {
	case !slices.Contains([]ExecutionStatus{InProgress, Succeeded, Failed, Rejected, TimedOut}, u.Status):
		return "InvalidRequest", "no such status"
	case u.Reason != nil && (!reasonCode.MatchString(u.Reason.Code) || utf8.RuneCountInString(u.Reason.Description) > 1024):
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
	case time.Since(e.updated) < s.cloud.options.Conflict:
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

// commandTopic reports whether a topic or filter is one that AWS IoT Commands
// serves for a client: the id of an execution is the only place of a wildcard.
func commandTopic(topic, thing, client string, subscribe bool) bool {
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
