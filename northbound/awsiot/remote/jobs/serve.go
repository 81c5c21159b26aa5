package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/pause"
)

const (
	// tellEvery is how often progress is told, and stepTimeout how long the cloud
	// waits for the next word of us, in minutes.
	tellEvery   = time.Minute
	stepTimeout = 30
	// lookEvery is how often we ask by ourselves: a notification is sent once.
	lookEvery = time.Hour
	// AWS takes 200 reads and 200 writes of jobs a second of an account (AWS General
	// Reference, "AWS IoT Device Management endpoints and quotas"). So after a connection
	// that all of a fleet lost, each asks at a moment of its own, this far apart.
	askApart = 10 * time.Millisecond
	// A rollout is of mostTold a minute at most (quotas of jobs), which are told in one
	// second. They ask, and then have something to say each minute, all over the minute.
	toldApart = time.Minute / mostTold
	mostTold  = 1000
	// maxDetail is the most characters of a value of statusDetails.
	maxDetail = 1024
	// maxID is the most characters of a job's id.
	maxID = 64
)

// Serve speaks to the service until ctx ends, which is at the latest when the
// session does. allowed are the operations that are taken. topic is the status topic,
// where outcomes are told, too: the answers of Jobs cannot be had by rules. There is
// one connection at a time.
func (w *Worker) Serve(ctx context.Context, s Session, topic string, allowed []string) {
	l := w.newLine(s)
	retry := pause.Growing{Least: 5 * time.Second, Most: 5 * time.Minute}
	again := func(what string, err error) bool {
		if ctx.Err() == nil && retry.Last() == 0 {
			w.o.Log.Warn(what, "err", err)
		}
		// At random: a rollout has many ask in one second, and AWS takes 200 of an
		// account. In step they would stand in each other's way for hours.
		return pause.Sleep(ctx, retry.Jittered())
	}
	defer w.serves()()
	s.HandleBelow(l.prefix, l.hear)
	for {
		err := l.open(ctx)
		if err == nil {
			break
		}
		if !again("the cloud does not let us listen for jobs", err) {
			return
		}
	}
	retry.Reset()
	c := conversation{Worker: w, line: l, topic: topic, allowed: allowed, look: true}
	c.lookLater(time.Duration(w.fleet()-1) * askApart)
	for ctx.Err() == nil {
		wait, err := c.step(ctx)
		if err != nil {
			if !again("the cloud's jobs cannot be asked for", err) {
				return
			}
			c.look = true
			continue
		}
		retry.Reset()
		if wait > 0 {
			c.await(ctx, wait)
		}
	}
}

// conversation is what is known on one connection.
type conversation struct {
	*Worker
	*line
	topic   string
	allowed []string
	look    bool      // ask what there is to do
	due     time.Time // not before; others ask, too
	known   bool      // the record's version is the cloud's
	said    string    // the step that was told last
	at      time.Time // and when
	without bool      // the cloud does not like what we say beside the status
}

// fleet returns how many gateways may ask together.
func (w *Worker) fleet() int {
	if w.o.Fleet == nil {
		return 1
	}
	return w.o.Fleet()
}

// lookLater has this gateway ask at a random moment within a time.
func (c *conversation) lookLater(within time.Duration) {
	c.look, c.due = true, time.Now().Add(rand.N(within+1))
}

// await waits until there is something to say, for wait at most.
func (c *conversation) await(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-c.news:
	case <-c.next:
		if !c.look {
			c.lookLater(time.Duration(min(c.fleet(), mostTold)-1) * toldApart)
		}
	case <-timer.C:
		c.look = c.look || wait == lookEvery
	}
}

// step says what is next to be said, and returns how long to wait for more; 0 is
// that there is more at once.
func (c *conversation) step(ctx context.Context) (time.Duration, error) {
	c.mu.Lock()
	r, wanted := c.record, c.wanted
	c.mu.Unlock()
	switch {
	case r.ID == "":
		if !c.look {
			return lookEvery, nil
		}
		if wait := time.Until(c.due); wait > 0 {
			return wait, nil
		}
		return 0, c.take(ctx)
	case r.Outcome != nil && !r.Told:
		return 0, c.tell(ctx, &r)
	case r.Outcome != nil:
		return 0, c.pay(ctx, &r)
	case r.Ended:
		return lookEvery, nil // its end is awaited
	case !c.known || c.look || wanted != nil:
		return 0, c.describe(ctx, &r, wanted)
	}
	if wait := tellEvery - time.Since(c.at); r.Step == c.said && wait > 0 {
		return wait, nil // a percent more is not worth a message
	}
	return 0, c.report(ctx, &r)
}

// details are what is said of a job beside its status.
func (r *record) details() map[string]string {
	d := make(map[string]string)
	if r.Outcome != nil {
		for name, text := range r.Outcome.Details {
			if text = plainText(text); text != "" { // AWS takes no empty one
				d[name] = text
			}
		}
		if r.Outcome.Error != "" {
			d["error"] = plainText(r.Outcome.Error)
		}
	} else {
		var noted struct{ From, To string }
		_ = json.Unmarshal(r.Note, &noted) // other notes name neither
		for name, text := range map[string]string{"from": noted.From, "to": noted.To} {
			if text = plainText(text); text != "" {
				d[name] = text
			}
		}
		if r.percent >= 0 {
			d["percent"] = strconv.Itoa(r.percent)
		}
	}
	if r.Step != "" {
		d["step"] = r.Step
	}
	return d
}

// plainText returns a text as AWS takes it.
func plainText(text string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C) {
			return ' '
		}
		return r
	}, text))
	return string(runes[:min(len(runes), maxDetail)])
}

// take asks for the next job and begins it, if there is one.
func (c *conversation) take(ctx context.Context) error {
	a, err := c.ask(ctx, "$next/get", map[string]any{"includeJobDocument": false})
	if err == nil && !a.accepted && !a.gone() {
		err = fmt.Errorf("get: %s %s", a.Code, a.Message)
	}
	if err != nil {
		return err
	}
	if !a.accepted || a.Execution == nil || a.Execution.ID == "" {
		c.look = false
		return nil
	}
	queued := a.Execution.ID
	if a.Execution.Status == inProgress {
		queued = ""
	}
	a, err = c.ask(ctx, "start-next", map[string]any{"stepTimeoutInMinutes": stepTimeout})
	if err == nil && !a.accepted {
		err = fmt.Errorf("start-next: %s %s", a.Code, a.Message)
	}
	if err != nil {
		return err
	}
	if a.Execution == nil || a.Execution.ID == "" {
		c.look = false
		return nil
	}
	if len(a.Execution.ID) > maxID {
		return errors.New("start-next: the job's id is too long")
	}
	return c.begin(a.Execution, a.Execution.ID != queued)
}

// begin takes a job that the cloud has started.
func (c *conversation) begin(e *execution, again bool) error {
	c.look, c.known, c.said, c.at, c.without = false, true, "", time.Now(), false
	r := record{ID: e.ID, Number: e.Number, Begun: time.Now().UnixMilli(), version: e.Version, percent: -1, again: again}
	c.mu.Lock()
	before := c.record.Before
	c.mu.Unlock()
	r.Before = before
	order, err := c.o.Opener.Open(e.ID, e.Document)
	r.Order = order
	switch {
	case before != nil && before.ID == e.ID && before.Number == e.Number:
		r.Order, r.Step, r.Outcome, r.Told = before.Order, before.Step, before.Outcome, true
		c.without = true // what we said before was not taken
	case err != nil:
		o := Judge(err)
		r.Outcome = &o
	case c.o.Operations[order.Operation] == nil || !slices.Contains(c.allowed, order.Operation):
		o := Refuse(unknown(order.Operation, c.allowed))
		r.Outcome = &o
	}
	outcome := r.Outcome
	r.Outcome = nil
	begin := func(to *record) { *to = r }
	if err := c.change(begin); err != nil {
		// It is not done: after a restart nobody would know.
		c.settle(begin)
		o := Fail(err)
		outcome = &o
	}
	if outcome != nil {
		c.conclude(e.ID, *outcome)
		return nil
	}
	poke(c.begun)
	return nil
}

// Message is an outcome on the status topic.
type Message struct {
	payload.Header
	ID        string            `json:"id"`
	Operation string            `json:"operation,omitempty"`
	Status    Status            `json:"status"`
	Details   map[string]string `json:"details,omitempty"`
}

// tell tells an outcome on the status topic.
func (c *conversation) tell(ctx context.Context, r *record) error {
	message := Message{payload.Header{V: 1, Gateway: c.o.Gateway, Run: c.o.Run, Type: "job", At: time.Now().UnixMilli()},
		r.ID, r.Order.Operation, r.Outcome.Status, r.details()}
	err := c.send(ctx, &bridge.Message{Topic: c.topic, Payload: payload.Encode(message),
		ContentType: payload.ContentType})
	if err != nil && !bridge.IsPermanent(err) {
		return err
	}
	c.look = c.look || r.Ended
	c.settle(func(to *record) {
		if to.Told = true; to.Ended {
			*to = to.paid()
		}
	})
	return nil
}

// paid returns what is kept when the cloud knows all of a job.
func (r *record) paid() record {
	before := *r
	before.Before, before.Note, before.Order.What, before.Order.Around = nil, nil, nil, nil
	return record{Before: &before, percent: -1}
}

// pay tells the outcome of a job to the service.
func (c *conversation) pay(ctx context.Context, r *record) error {
	paid := func() { c.settle(func(to *record) { *to = to.paid() }); c.look = true }
	a, err := c.update(ctx, r, r.Outcome.Status)
	switch {
	case err != nil:
		return err
	case a.accepted, a.gone():
		paid()
	case a.Code == "InvalidRequest" && !c.without:
		c.without = true // the status alone, then
	case a.Code == "VersionMismatch" && a.State != nil && a.State.Status != inProgress:
		paid()
	case a.Code == "VersionMismatch" || a.transient():
		return fmt.Errorf("update: %s %s", a.Code, a.Message)
	default:
		c.o.Log.Error("AWS does not take what became of a job", "id", r.ID, "status", r.Outcome.Status, "err",
			a.Code+" "+a.Message)
		paid()
		c.look = false // it would be given to us again at once
	}
	return nil
}

// report tells how far a job is.
func (c *conversation) report(ctx context.Context, r *record) error {
	a, err := c.update(ctx, r, inProgress)
	switch {
	case err != nil:
		return err
	case a.accepted:
		c.said, c.at = r.Step, time.Now()
	case a.gone():
		c.ended(r.ID)
	case a.Code == "InvalidRequest" && !c.without:
		c.without = true
	default:
		return fmt.Errorf("update: %s %s", a.Code, a.Message)
	}
	return nil
}

// update sends a status of a job. When the cloud has another version it is taken
// over, and the same is sent once more.
func (c *conversation) update(ctx context.Context, r *record, s Status) (a answer, err error) {
	for range 2 {
		body := map[string]any{"status": s, "executionNumber": r.Number, "includeJobExecutionState": true}
		if r.version > 0 {
			body["expectedVersion"] = r.version
		}
		if d := r.details(); len(d) > 0 && !c.without {
			body["statusDetails"] = d
		}
		if s == inProgress {
			body["stepTimeoutInMinutes"] = stepTimeout
		}
		if a, err = c.ask(ctx, r.ID+"/update", body); err != nil {
			return a, err
		}
		if a.State != nil {
			r.version = a.State.Version
			c.mu.Lock()
			if c.record.ID == r.ID {
				c.record.version = r.version
			}
			c.mu.Unlock()
		}
		if a.Code != "VersionMismatch" || a.State == nil || a.State.Status != inProgress {
			return a, nil
		}
	}
	return a, nil
}

// describe asks whether the cloud still wants a job that is being done, and for its
// document if that is wanted.
func (c *conversation) describe(ctx context.Context, r *record, wanted chan json.RawMessage) error {
	c.look = false
	a, err := c.ask(ctx, r.ID+"/get", map[string]any{"executionNumber": r.Number, "includeJobDocument": wanted != nil})
	switch {
	case err != nil:
		return err
	case a.gone(), a.accepted && a.Execution != nil && a.Execution.Status != inProgress:
		c.ended(r.ID)
		return nil
	case !a.accepted || a.Execution == nil:
		return fmt.Errorf("get: %s %s", a.Code, a.Message)
	case wanted != nil && len(a.Execution.Document) == 0:
		return errors.New("get: the answer has no document")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wanted != nil && wanted == c.wanted {
		c.wanted = nil
		wanted <- a.Execution.Document // it has room for the one
	}
	if c.known = true; c.record.ID == r.ID {
		c.record.version = a.Execution.Version
	}
	return nil
}

// ended notes that the cloud has ended a job. Who does it is told, and finishes it
// or takes it back.
func (c *conversation) ended(id string) {
	c.o.Log.Warn("the cloud has ended a job that is being done", "id", id)
	c.settle(func(r *record) { r.Ended = true })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil && c.record.ID == id {
		c.cancel(ErrEnded)
	}
}
