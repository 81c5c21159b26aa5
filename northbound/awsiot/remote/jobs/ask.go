package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
)

// answerTime is how long an answer of the service may take.
const answerTime = 10 * time.Second

// Session is what is needed of a session with the cloud; [uplink.Session] has it.
type Session interface {
	Send(m *bridge.Message, correlation []byte, done func(error))
	Subscribe(ctx context.Context, topics ...string) error
	HandleBelow(prefix string, f func(uplink.Inbound))
}

// execution is a job on this gateway, as AWS tells of it (JobExecution).
type execution struct {
	ID       string          `json:"jobId"`
	Document json.RawMessage `json:"jobDocument"`
	Status   Status          `json:"status"`
	Version  int64           `json:"versionNumber"`
	Number   int64           `json:"executionNumber"`
}

// answer is what the service says to a request, or by itself.
type answer struct {
	accepted  bool
	Token     string     `json:"clientToken"`
	Execution *execution `json:"execution"`
	State     *struct {
		Status  Status `json:"status"`
		Version int64  `json:"versionNumber"`
	} `json:"executionState"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// transient reports whether the same request may be taken later.
func (a *answer) transient() bool { return a.Code == "InternalError" || a.Code == "RequestThrottled" }

// gone reports whether the execution has ended for the cloud.
func (a *answer) gone() bool {
	return a.Code == "InvalidStateTransition" || a.Code == "TerminalStateReached" || a.Code == "ResourceNotFound"
}

// line is a connection to the service: one question at a time.
type line struct {
	w       *Worker
	session Session
	prefix  string
	answers chan answer
	next    chan struct{} // one value: the service has something to do
	asked   int
}

func (w *Worker) newLine(s Session) *line {
	return &line{w: w, session: s, prefix: "$aws/things/" + w.o.Gateway + "/jobs/", answers: make(chan answer, 10),
		next: make(chan struct{}, 1)}
}

// open subscribes. AWS sends answers to who has asked, subscribed or not; a stand-in
// or a bridge between may want the subscription.
func (l *line) open(ctx context.Context) error {
	return l.session.Subscribe(ctx, l.prefix+"notify-next", l.prefix+"start-next/+", l.prefix+"+/get/+",
		l.prefix+"+/update/+")
}

// hear takes what comes, and waits for nothing.
func (l *line) hear(p uplink.Inbound) {
	what := strings.TrimPrefix(p.Topic, l.prefix)
	if what == "notify-next" {
		poke(l.next)
		return
	}
	a := answer{accepted: strings.HasSuffix(what, "/accepted")}
	decoder := json.NewDecoder(bytes.NewReader(p.Payload))
	if decoder.Decode(&a) != nil || a.Token == "" {
		return
	}
	select {
	case l.answers <- a:
	default: // nobody waits for so many
	}
}

// ask sends a request and waits for its answer.
func (l *line) ask(ctx context.Context, what string, body map[string]any) (answer, error) {
	l.asked++
	token := fmt.Sprintf("%s-%d", l.w.o.Run, l.asked)
	body["clientToken"] = token
	if err := l.send(ctx, &bridge.Message{Topic: l.prefix + what, Payload: payload.Encode(body)}); err != nil {
		return answer{}, err
	}
	timeout := time.NewTimer(answerTime)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-timeout.C:
			return answer{}, fmt.Errorf("%s: no answer in %v", what, answerTime)
		case a := <-l.answers:
			if a.Token == token {
				return a, nil
			}
		}
	}
}

// send sends a message and waits until it is taken.
func (l *line) send(ctx context.Context, m *bridge.Message) error {
	outcome := make(chan error, 1)
	l.session.Send(m, nil, func(err error) { outcome <- err })
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
