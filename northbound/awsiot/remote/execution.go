package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"fieldbridge/northbound/awsiot/uplink"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
)

// AWS IoT Commands sends an execution to $aws/commands/things/THING/executions/
// ID/request/json and takes updates of its status on .../response/json, which it
// answers on .../response/accepted/json and .../response/rejected/json ("AWS IoT
// Device Management Commands", topics and troubleshooting).
//
// Its payload is the same for each execution and has no time, so the service is
// asked whether the execution still counts: an update to IN_PROGRESS is accepted
// only while it has not ended, by AWS's clock and the execution's own timeout.
const (
	// settleTime is how long an answer of the service may take.
	settleTime = 10 * time.Second
	// settleAgain is when the first question is asked again: just after a SUBACK
	// AWS may not deliver yet.
	settleAgain = 3 * time.Second
	// settlePause is before an update is sent again that met another, or was not
	// answered; it doubles.
	settlePause = 500 * time.Millisecond
	// settleTries is how often an update is sent on one connection.
	settleTries = 5
	// maxDescription is the most characters of a reason's description (AWS IoT
	// API, StatusReason).
	maxDescription = 1024
	// maxResult is the most bytes of what was read in a result.
	maxResult = 2 << 10
)

// executionUpdate is a status of an execution (UpdateCommandExecution over MQTT).
type executionUpdate struct {
	Status string                     `json:"status"`
	Reason *executionReason           `json:"statusReason,omitempty"`
	Result map[string]executionResult `json:"result,omitempty"`
}

type executionReason struct {
	Code        string `json:"reasonCode"`
	Description string `json:"reasonDescription,omitempty"`
}

type executionResult struct {
	Text string `json:"s"`
}

// executionAnswer is what the service says to an update.
type executionAnswer struct {
	id       string
	accepted bool
	code     string // of a rejection
	message  string
}

// transient reports whether the same update may be taken later.
func (a *executionAnswer) transient() bool {
	switch a.code {
	case "DataConflict", "InternalError", "RequestThrottled":
		return true
	}
	return false
}

// debt is an outcome that the service has not taken yet.
type debt struct {
	answer Answer
	before int // answers to what was sent before it that have not come yet
	tries  int
	next   time.Time // when to send it again
}

// executions is the side of a commander that deals with AWS IoT Commands.
type executions struct {
	answers   chan executionAnswer
	connected chan struct{} // one value: executions are taken on a new connection
	asked     int           // questions of the one under way that are not answered yet; the commander owns it

	mu   sync.Mutex
	owed map[string]*debt // guarded by mu, and so are they
}

func newExecutions() *executions {
	return &executions{answers: make(chan executionAnswer, waitingCommands), connected: make(chan struct{}, 1),
		owed: make(map[string]*debt)}
}

// executionTopics returns the filters of a thing's executions.
func executionTopics(thing string) []string {
	prefix := executionPrefix(thing) + "+/"
	return []string{prefix + "request/json", prefix + "response/accepted/json", prefix + "response/rejected/json"}
}

func executionPrefix(thing string) string { return "$aws/commands/things/" + thing + "/executions/" }

// takeExecutions subscribes to the executions of AWS IoT Commands.
func (c *Commander) takeExecutions(ctx context.Context, conn *Connection) error {
	prefix := executionPrefix(c.o.Gateway)
	maxAge := conn.Access.Commands.MaxAge.D()
	conn.HandleBelow(prefix, func(p uplink.Inbound) {
		id, what, _ := strings.Cut(strings.TrimPrefix(p.Topic, prefix), "/")
		switch what {
		case "request/json":
			if !validID(id) {
				c.o.Log.Warn("an execution without a valid id is left alone", "topic", p.Topic)
				return
			}
			c.offer(c.execution(conn, id, p.Payload, maxAge))
		case "response/accepted/json", "response/rejected/json":
			var body struct {
				Error   string `json:"error"`
				Message string `json:"errorMessage"`
			}
			_ = json.Unmarshal(p.Payload, &body) // the topic says what matters
			select {
			case c.executions.answers <- executionAnswer{id, what == "response/accepted/json", body.Error, body.Message}:
			default: // it is sent again
			}
		}
	})
	if err := conn.Subscribe(ctx, executionTopics(c.o.Gateway)...); err != nil {
		return err
	}
	select {
	case c.executions.connected <- struct{}{}:
	default:
	}
	return nil
}

// execution returns the request of an execution.
func (c *Commander) execution(session Session, id string, payload []byte, maxAge time.Duration) request {
	return request{by: viaExecution, id: id, payload: payload, maxAge: maxAge,
		permit: func(ctx context.Context) (outcome, string) {
			c.executions.asked = 0
			return c.begin(ctx, session, id)
		},
		reply: c.owe}
}

// begin asks the service whether an execution still counts.
func (c *Commander) begin(ctx context.Context, session Session, id string) (outcome, string) {
	deadline := time.NewTimer(settleTime)
	defer deadline.Stop()
	pause := settlePause
	again := time.After(settleAgain)
	ask := func() {
		c.executions.asked++
		c.update(session, id, executionUpdate{Status: "IN_PROGRESS"})
	}
	ask()
	for {
		select {
		case <-ctx.Done():
			return outcomeRefused, "the gateway stopped before AWS said that the execution still counts"
		case <-session.Context().Done():
			return outcomeRefused, "the connection ended before AWS said that the execution still counts"
		case <-deadline.C:
			return outcomeRefused, fmt.Sprintf("AWS did not say within %v that the execution still counts: the policy must "+
				"allow %s", settleTime, "iot:Publish to response/json and iot:Receive of response/accepted/json")
		case <-again:
			ask()
			again = time.After(settleAgain)
		case a := <-c.executions.answers:
			if a.id != id {
				c.settle(a)
				continue
			}
			c.executions.asked--
			switch {
			case a.accepted:
				return "", ""
			case a.transient():
				again = time.After(pause)
				pause *= 2
			default:
				return outcomeExpired, "AWS says that the execution has ended: " + a.code + " " + a.message
			}
		}
	}
}

// update sends a status of an execution.
func (c *Commander) update(session Session, id string, u executionUpdate) {
	topic := executionPrefix(c.o.Gateway) + id + "/response/json"
	m := bridge.Message{Topic: topic, Payload: payload.Encode(u), ContentType: payload.ContentType}
	session.Send(&m, nil, func(err error) {
		if err != nil {
			c.o.Log.Warn("AWS does not take the status of an execution", "id", id, "status", u.Status, "err", err)
		}
	})
}

// statusOf returns an outcome in the words of AWS IoT Commands.
func statusOf(a Answer) executionUpdate {
	u := executionUpdate{Status: map[outcome]string{outcomeDone: "SUCCEEDED", outcomeRefused: "REJECTED",
		outcomeExpired: "TIMED_OUT",
		outcomeFailed:  "FAILED", outcomeUnconfirmed: "FAILED", outcomeUnknown: "FAILED"}[a.Outcome]}
	if a.Outcome == outcomeUnconfirmed && a.Enough {
		u.Status = "SUCCEEDED"
	}
	text := []rune(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C) {
			return ' '
		}
		return r
	}, a.Text))
	u.Reason = &executionReason{Code: strings.ToUpper(string(a.Outcome)),
		Description: string(text[:min(len(text), maxDescription)])}
	for name, v := range map[string]any{"points": a.Points, "bad": a.Bad} {
		if text := payload.Encode(v); len(text) > len("null") && len(text) <= maxResult {
			if u.Result == nil {
				u.Result = make(map[string]executionResult)
			}
			u.Result[name] = executionResult{string(text)}
		}
	}
	return u
}

// owe tells the service an outcome until it has taken it. It is safe for
// concurrent use.
func (c *Commander) owe(a Answer) {
	e := c.executions
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.owed) >= rememberedCommands+waitingOver {
		c.o.Log.Warn("AWS takes no outcomes of executions, one is not told", "id", a.ID, "outcome", a.Outcome)
		return
	}
	d := &debt{answer: a, before: a.asked}
	e.owed[a.ID] = d
	c.pay(d)
}

// pay sends an outcome, if there is a connection. It is called under mu of the
// executions.
func (c *Commander) pay(d *debt) {
	conn := c.now.Load()
	if conn == nil || !conn.Access.Commands.Executions {
		d.next, d.tries = time.Time{}, settleTries // on the next connection
		return
	}
	d.tries++
	d.next = time.Now().Add(max(settlePause<<d.tries, settleTime))
	c.update(conn, d.answer.ID, statusOf(d.answer))
}

// settle takes in what the service says to an outcome.
func (c *Commander) settle(a executionAnswer) {
	if !c.settled(a) {
		return
	}
	if err := c.memory.change([]string{a.id}, func(f *finished) { f.Owed = false }); err != nil {
		c.o.Log.Warn("it is not saved that AWS knows the outcome of a command", "id", a.id, "err", err)
	}
}

// settled reports whether an outcome is told no more: it has ended for AWS, or is
// not known there.
func (c *Commander) settled(a executionAnswer) bool {
	e := c.executions
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.owed[a.id]
	switch {
	case d == nil:
		return false
	case a.accepted && d.before > 0:
		d.before-- // that was to a question, which was asked twice
		return false
	case a.transient() && d.tries < settleTries:
		d.next = time.Now().Add(settlePause << d.tries)
		return false
	case a.code == "TerminalStateReached": // it has it already
	case !a.accepted:
		c.o.Log.Warn("AWS does not take the outcome of an execution", "id", a.id, "outcome", d.answer.Outcome, "err",
			a.code+" "+a.message)
	}
	delete(e.owed, a.id)
	return true
}

// payAll tells all that is owed, that of earlier processes too, on a new
// connection.
func (c *Commander) payAll() {
	if err := c.memory.load(); err != nil {
		c.o.Log.Warn("the memory of commands cannot be read", "err", err)
	}
	known, e := c.memory.all(), c.executions
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, f := range known {
		if f.Owed && !f.Waits && e.owed[id] == nil {
			e.owed[id] = &debt{answer: Answer{ID: id, Outcome: f.Outcome, Enough: f.Enough, Text: f.Text, Again: true}}
		}
	}
	for _, d := range e.owed {
		d.tries = 0
		c.pay(d)
	}
}

// payDue sends again what was not answered, and returns when it is next due;
// nil is never.
func (c *Commander) payDue() <-chan time.Time {
	e := c.executions
	e.mu.Lock()
	defer e.mu.Unlock()
	var next time.Time
	for _, d := range e.owed {
		if d.tries < settleTries && !d.next.IsZero() && !time.Now().Before(d.next) {
			c.pay(d)
		}
		if d.tries < settleTries && (next.IsZero() || d.next.Before(next)) {
			next = d.next
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(time.Until(next))
}
