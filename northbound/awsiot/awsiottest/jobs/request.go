package jobs

import (
	"encoding/json"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"fieldbridge/northbound/awsiot/awsiottest/service"
)

// Limits of what a device says of an execution.
const (
	mostDetails   = 10
	maximumDetail = 1024 // characters of a value; older tables say 128
	maximumKey    = 128
	maximumToken  = 64
	mostMinutes   = 10080
)

// request is what a device may ask with.
type request struct {
	Token           string            `json:"clientToken"`
	Status          Status            `json:"status"`
	Details         map[string]string `json:"statusDetails"`
	StepTimeout     int               `json:"stepTimeoutInMinutes"`
	ExpectedVersion *int64            `json:"expectedVersion"`
	Number          *int64            `json:"executionNumber"`
	IncludeState    bool              `json:"includeJobExecutionState"`
	IncludeDocument *bool             `json:"includeJobDocument"`
}

// refusal is why a request is rejected.
type refusal struct {
	code, text string
	state      *Execution
}

// Request handles a message if it is a request of the Jobs API. Answers go to who
// has asked, whether it has subscribed or not.
func (s *Service) Request(from service.Caller, topic string, payload []byte) bool {
	rest, ok := strings.CutPrefix(topic, "$aws/things/")
	if !ok {
		return false
	}
	thing, rest, _ := strings.Cut(rest, "/")
	what, ok := strings.CutPrefix(rest, "jobs/")
	if !ok {
		return false
	}
	job, action, of := strings.Cut(what, "/")
	if !of {
		job, action = "", what
	}
	if action != "get" && action != "update" && (action != "start-next" || of) || action == "update" && !of {
		return false
	}
	var q request
	if len(payload) > 0 && (!utf8.Valid(payload) || json.Unmarshal(payload, &q) != nil) {
		s.answer(from, topic, q, nil, &refusal{code: "InvalidJson", text: "the request is not JSON as it should be"})
		return true
	}
	if why := q.check(); why != "" {
		s.answer(from, topic, q, nil, &refusal{code: "InvalidRequest", text: why})
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var answer map[string]any
	var no *refusal
	switch {
	case action == "start-next":
		answer = s.startNextLocked(thing, q)
	case action == "update":
		answer, no = s.updateLocked(thing, job, q)
	case !of:
		answer = s.listLocked(thing)
	default:
		answer, no = s.getLocked(thing, job, q)
	}
	s.answer(from, topic, q, answer, no)
	return true
}

func (q *request) check() string {
	if len(q.Token) > maximumToken {
		return "the client token has more than 64 bytes"
	}
	if q.StepTimeout < -1 || q.StepTimeout > mostMinutes {
		return "stepTimeoutInMinutes is -1, or 1 to 10,080"
	}
	if len(q.Details) > mostDetails {
		return "statusDetails has more than ten pairs"
	}
	for k, v := range q.Details {
		if k == "" || utf8.RuneCountInString(k) > maximumKey || utf8.RuneCountInString(v) > maximumDetail {
			return "statusDetails has a key or a value that is too long"
		}
	}
	return ""
}

func (s *Service) answer(from service.Caller, topic string, q request, answer map[string]any, no *refusal) {
	how := "/accepted"
	if no != nil {
		how = "/rejected"
		answer = map[string]any{"code": no.code, "message": no.text}
		if no.state != nil {
			answer["executionState"] = no.state.state()
		}
	}
	answer["timestamp"] = time.Now().Unix()
	if q.Token != "" {
		answer["clientToken"] = q.Token
	}
	data, err := json.Marshal(answer)
	if err != nil {
		panic(err) // we make only what it can say
	}
	from.Unasked(topic+how, data)
}

func (e *Execution) state() map[string]any {
	m := map[string]any{"status": e.Status, "versionNumber": e.Version}
	if len(e.Details) > 0 {
		m["statusDetails"] = e.Details
	}
	return m
}

func (s *Service) listLocked(thing string) map[string]any {
	running, queued := s.pendingLocked(thing)
	summaries := func(list []*Execution) []any {
		out := []any{}
		for _, e := range list {
			out = append(out, e.summary())
		}
		return out
	}
	return map[string]any{"inProgressJobs": summaries(running), "queuedJobs": summaries(queued)}
}

// nextLocked returns the execution that is to be done next, nil for none.
func (s *Service) nextLocked(thing string) *Execution {
	running, queued := s.pendingLocked(thing)
	if all := append(running, queued...); len(all) > 0 {
		return all[0]
	}
	return nil
}

func (s *Service) startNextLocked(thing string, q request) map[string]any {
	e := s.nextLocked(thing)
	if e == nil {
		return map[string]any{}
	}
	if q.Details != nil {
		e.Details = maps.Clone(q.Details)
	}
	if e.Status == Queued {
		s.startLocked(e)
	}
	s.armLocked(e, q.StepTimeout)
	return map[string]any{"execution": s.describeLocked(e, true)}
}

func (s *Service) getLocked(thing, job string, q request) (map[string]any, *refusal) {
	e := s.findLocked(thing, job)
	if job == "$next" {
		if e = s.nextLocked(thing); e == nil {
			return map[string]any{}, nil
		}
	}
	switch {
	case e == nil || q.Number != nil && *q.Number != e.Number:
		return nil, &refusal{code: "ResourceNotFound", text: "there is no such execution"}
	case e.Status.terminal():
		return nil, &refusal{code: "TerminalStateReached", text: "the execution is " + string(e.Status)}
	}
	return map[string]any{"execution": s.describeLocked(e, q.IncludeDocument == nil || *q.IncludeDocument)}, nil
}

func (s *Service) updateLocked(thing, job string, q request) (map[string]any, *refusal) {
	e := s.findLocked(thing, job)
	switch {
	case e == nil || q.Number != nil && *q.Number != e.Number:
		return nil, &refusal{code: "ResourceNotFound", text: "there is no such execution"}
	case q.Status != InProgress && q.Status != Succeeded && q.Status != Failed && q.Status != Rejected:
		return nil, &refusal{code: "InvalidRequest", text: "a device cannot set status " + string(q.Status)}
	case e.Status.terminal():
		return nil, &refusal{code: "InvalidStateTransition", text: "the execution is " + string(e.Status), state: e}
	case q.ExpectedVersion != nil && *q.ExpectedVersion != e.Version:
		return nil, &refusal{code: "VersionMismatch", text: "the version is another one", state: e}
	}
	if q.Details != nil {
		e.Details = maps.Clone(q.Details)
	}
	number := e.Number
	if q.Status == InProgress && e.Status == Queued {
		s.startLocked(e)
	} else {
		s.turnLocked(e, q.Status)
	}
	s.armLocked(e, q.StepTimeout)
	answer := map[string]any{}
	if q.IncludeState && e.Number == number {
		answer["executionState"] = e.state()
	}
	if q.IncludeDocument != nil && *q.IncludeDocument {
		answer["jobDocument"] = s.documentLocked(e.job)
	}
	return answer, nil
}
