package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/northbound/awsiot/uplink"
)

// rig is a gateway's worker and the stand-in of AWS IoT Jobs, without a network.
type rig struct {
	*testing.T
	cloud  *jobs.Service
	state  *memory
	work   *operation
	stop   func() // ends the process
	worker *Worker

	mu      sync.Mutex
	session *session // guarded by mu; nil without a connection
	asked   []string // guarded by mu; requests, without the prefix
	told    []string // guarded by mu; on the status topic
	deaf    func(what string) bool
}

const prefix = "$aws/things/g/jobs/"

func bubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reg := registry.New()
		if err := reg.AddThing(registry.Thing{Name: "g"}); err != nil {
			t.Fatal(err)
		}
		r := &rig{T: t, cloud: jobs.New(reg), state: &memory{}, work: newOperation(), stop: func() {}}
		r.cloud.Announce(func(topic string, payload []byte) error {
			r.mu.Lock()
			s := r.session
			r.mu.Unlock()
			if s != nil && topic == prefix+"notify-next" {
				go s.deliver(topic, payload)
			}
			return nil
		})
		defer func() { r.stop() }()
		f(r)
	})
}

// start starts a process.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.worker = New(Options{Gateway: "g", Run: "r", Log: slog.New(slog.DiscardHandler), State: r.state,
		Opener: plain{}, Operations: map[string]Operation{"work": r.work}})
	var all sync.WaitGroup
	all.Go(func() { r.worker.Run(ctx) })
	r.stop = func() {
		r.disconnect()
		cancel()
		all.Wait()
		r.stop = func() {}
	}
}

// connect begins a connection of the process.
func (r *rig) connect() {
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{rig: r, ctx: ctx}
	r.mu.Lock()
	r.session = s
	r.mu.Unlock()
	s.all.Go(func() { r.worker.Serve(ctx, s, "status", []string{"work"}) })
	s.end = cancel
	synctest.Wait()
}

func (r *rig) disconnect() {
	r.mu.Lock()
	s := r.session
	r.session = nil
	r.mu.Unlock()
	if s != nil {
		s.end()
		s.all.Wait()
	}
}

// create has the cloud want something of the gateway.
func (r *rig) create(id, document string, change func(*jobs.Job)) {
	r.Helper()
	j := jobs.Job{ID: id, Document: document, Things: []string{"g"}}
	if change != nil {
		change(&j)
	}
	if err := r.cloud.Create(j); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

// is checks the state of a job, as the cloud has it.
func (r *rig) is(job string, want jobs.Status, details string) {
	r.Helper()
	synctest.Wait()
	e := r.cloud.Executions(job, "g")
	if len(e) != 1 {
		r.Fatalf("%s has %d executions", job, len(e))
	}
	if got, _ := json.Marshal(e[0].Details); e[0].Status != want || details != "" && string(got) != details {
		r.Errorf("%s is %s %s, want %s %s", job, e[0].Status, got, want, details)
	}
}

// requests returns what was asked since the last call.
func (r *rig) requests() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.asked = nil }()
	return strings.Join(r.asked, " ")
}

// session is a connection without a network.
type session struct {
	rig  *rig
	ctx  context.Context
	end  func()
	all  sync.WaitGroup
	hear func(uplink.Inbound)
}

func (s *session) deliver(topic string, payload []byte) {
	if s.ctx.Err() == nil {
		s.hear(uplink.Inbound{Topic: topic, Payload: payload})
	}
}

func (s *session) Send(m *bridge.Message, _ []byte, done func(error)) {
	r := s.rig
	if s.ctx.Err() != nil {
		done(errors.New("lost"))
		return
	}
	what, request := strings.CutPrefix(m.Topic, prefix)
	r.mu.Lock()
	if request {
		r.asked = append(r.asked, what)
	} else {
		r.told = append(r.told, string(m.Payload))
	}
	deaf := r.deaf != nil && r.deaf(what)
	r.mu.Unlock()
	if request && !deaf {
		answer := func(topic string, payload []byte) { go s.deliver(topic, payload) }
		r.cloud.Request(service.Caller{Thing: "g", Unasked: answer}, m.Topic, m.Payload)
	}
	done(nil)
}

func (s *session) Subscribe(context.Context, ...string) error { return nil }

func (s *session) HandleBelow(_ string, f func(uplink.Inbound)) { s.hear = f }

// plain opens documents that nobody has signed.
type plain struct{}

func (plain) Open(_ string, document []byte) (o Order, err error) {
	if err = json.Unmarshal(document, &o); err == nil && o.Operation == "" {
		err = bridge.Permanent(errors.New("there is no operation in it"))
	}
	return o, err
}

// operation is scripted: it notes a step, and then waits to be told the outcome.
type operation struct {
	outcome chan Outcome
	mu      sync.Mutex
	log     []string // guarded by mu
	last    *Job     // guarded by mu
}

func newOperation() *operation { return &operation{outcome: make(chan Outcome, 1)} }

func (o *operation) say(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, text)
}

// said returns what was done since the last call.
func (o *operation) said() string {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.log = nil }()
	return strings.Join(o.log, ", ")
}

func (o *operation) Do(ctx context.Context, j *Job) Outcome {
	step, note := j.Noted()
	o.mu.Lock()
	o.last = j
	o.mu.Unlock()
	o.say(fmt.Sprintf("%s %s%s%s", j.ID, step, note, map[bool]string{true: " again"}[j.Again]))
	if step == "" {
		if err := j.Note("working", 7); err != nil {
			return Fail(err)
		}
	}
	select {
	case <-ctx.Done():
		o.say(context.Cause(ctx).Error())
		if errors.Is(context.Cause(ctx), ErrEnded) {
			return Fail(errors.New("taken back"))
		}
		return Outcome{}
	case out := <-o.outcome:
		return out
	}
}

// memory is a [bridge.State] whose disk can break, or lose what it has.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	broken bool
}

func (s *memory) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], nil
}

func (s *memory) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errors.New("disk full")
	}
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[key] = value
	return nil
}

func (s *memory) fail(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = on
}
