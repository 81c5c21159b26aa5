package awsiot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/remote"
)

// fakeWriter is a scripted [bridge.Writer].
type fakeWriter struct {
	mu     sync.Mutex
	writes []bridge.Command
	err    error
	wait   time.Duration
}

func (w *fakeWriter) Write(ctx context.Context, c bridge.Command) bridge.Written {
	w.mu.Lock()
	w.writes = append(w.writes, c)
	err, wait := w.err, w.wait
	w.mu.Unlock()
	select {
	case <-ctx.Done():
		return bridge.NotWritten(ctx.Err())
	case <-time.After(wait):
		if err == nil {
			return bridge.Written{Outcome: bridge.Done}
		}
		return bridge.NotWritten(err)
	}
}

func (w *fakeWriter) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.writes)
}

const commandTopic = "plant/gateway-1/cmd"

// commanded runs a test with a gateway that takes commands.
func commanded(t *testing.T, w bridge.Writer, change func(*Options), f func(r *rig, audit func() []bridge.Batch)) {
	t.Helper()
	var mu sync.Mutex
	var batches []bridge.Batch
	bubble(t, func(cfg *Config, o *Options) {
		cfg.Commands.Topic = "plant/{gateway}/cmd"
		o.Writer = w
		o.Emit = func(b bridge.Batch, _ func(error)) {
			mu.Lock()
			defer mu.Unlock()
			batches = append(batches, b)
		}
		if change != nil {
			change(o)
		}
	}, func(r *rig) {
		r.start()
		<-r.links
		synctest.Wait()
		f(r, func() []bridge.Batch {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(batches)
		})
	})
}

// give sends a command and returns the answers to it.
func (r *rig) give(payload string) []map[string]any {
	r.t.Helper()
	before := len(r.arrived("answers"))
	if err := r.cloud.Send(awsiottest.Message{Topic: commandTopic, Payload: []byte(payload), ResponseTopic: "answers",
		CorrelationData: []byte("42")}); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(commandTimeout + time.Second)
	var all []map[string]any
	for _, m := range r.arrived("answers")[before:] {
		var v map[string]any
		if err := json.Unmarshal(m.Payload, &v); err != nil || string(m.CorrelationData) != "42" {
			r.t.Errorf("answer %s, correlation %q: %v", m.Payload, m.CorrelationData, err)
		}
		all = append(all, v)
	}
	return all
}

// commandNow returns a command that is given now.
func commandNow(id, rest string) string {
	return fmt.Sprintf(`{"id":%q,"at":%d%s}`, id, time.Now().UnixMilli(), rest)
}

const setSetpoint = `,"device":"boiler","point":"setpoint","value":60.5`

func TestCommandIsCarriedOutOnce(t *testing.T) {
	w := &fakeWriter{}
	commanded(t, w, nil, func(r *rig, audit func() []bridge.Batch) {
		text := commandNow("4711", setSetpoint)
		first := r.give(text)
		if len(first) != 1 || first[0]["outcome"] != "done" || first[0]["id"] != "4711" || first[0]["type"] != "command" {
			t.Fatalf("answers %v", first)
		}
		again := r.give(text)
		if len(again) != 1 || again[0]["outcome"] != "done" || again[0]["again"] != true {
			t.Errorf("answers to the same again: %v", again)
		}
		if diff := cmp.Diff([]string{"boiler setpoint 60.5"}, w.texts()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		records := audit()
		if len(records) != 1 || records[0].Device != remote.AuditDevice {
			t.Fatalf("audit %v", records)
		}
		got := make(map[string]string)
		for _, reading := range records[0].Readings {
			got[reading.Point] = reading.Value.Str()
		}
		want := map[string]string{"id": "4711", "via": "topic", "action": "write", "device": "boiler", "point": "setpoint",
			"value": "60.5", "outcome": "done"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("audit (-want +got):\n%s", diff)
		}
	})
}

func (w *fakeWriter) texts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, c := range w.writes {
		all = append(all, c.Device+" "+c.Point+" "+c.Value.String())
	}
	return all
}

// given is commandNow for a table: NOW is replaced when the command is sent.
func given(id, rest string) string { return fmt.Sprintf(`{"id":%q,"at":NOW%s}`, id, rest) }

func TestCommandOutcomes(t *testing.T) {
	w := &fakeWriter{}
	commanded(t, w, nil, func(r *rig, _ func() []bridge.Batch) {
		tests := []struct {
			name, payload string
			err           error
			wait          time.Duration
			outcome, text string
			writes        int
		}{
			{"refused by the device", given("1", setSetpoint), bridge.Permanent(errors.New("setpoint is not writable")), 0,
				"refused", "not writable", 1},
			{"failed", given("2", setSetpoint), errors.New("timeout"), 0, "failed", "timeout", 1},
			{"too slow", given("3", setSetpoint), nil, time.Hour, "failed", "deadline", 1},
			{"old", `{"id":"4","at":` + fmt.Sprint(time.Now().Add(-time.Hour).UnixMilli()) + setSetpoint + `}`, nil, 0,
				"expired", "30s are allowed", 0},
			{"from the future", `{"id":"5","at":` + fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()) + setSetpoint + `}`, nil,
				0, "expired", "clocks differ", 0},
			{"no id", `{"at":1` + setSetpoint + `}`, nil, 0, "refused", "needs an id", 0},
			{"no time", `{"id":"6"` + setSetpoint + `}`, nil, 0, "refused", "needs at", 0},
			{"no value", `{"id":"7","at":1,"device":"boiler","point":"setpoint"}`, nil, 0, "refused",
				"needs device, point and value", 0},
			{"no JSON", `start pump`, nil, 0, "refused", "not a command", 0},
			{"unknown key", given("8", setSetpoint+`,"force":true`), nil, 0, "refused", "force", 0},
			{"unknown action", given("9", `,"action":"reboot"`), nil, 0, "refused", "not known", 0},
			{"value of no kind", given("10", `,"device":"d","point":"p","value":[1]`), nil, 0, "refused",
				"not a number, bool or text", 0},
			{"too long", given("11", `,"device":"`+strings.Repeat("x", 9000)+`"`), nil, 0, "refused", "are allowed", 0},
		}
		for _, tt := range tests {
			w.mu.Lock()
			w.err, w.wait = tt.err, tt.wait
			w.mu.Unlock()
			before := w.count()
			got := r.give(strings.Replace(tt.payload, "NOW", fmt.Sprint(time.Now().UnixMilli()), 1))
			if len(got) != 1 || got[0]["outcome"] != tt.outcome || !strings.Contains(fmt.Sprint(got[0]["text"]), tt.text) {
				t.Errorf("%s: %v", tt.name, got)
			}
			if n := w.count() - before; n != tt.writes {
				t.Errorf("%s: %d writes", tt.name, n)
			}
		}
	})
}

func TestCommandIDsAreDurableBeforeAnythingHappens(t *testing.T) {
	w := &fakeWriter{}
	state := &failingState{}
	commanded(t, w, func(o *Options) { o.State = state }, func(r *rig, _ func() []bridge.Batch) {
		state.fail(true)
		text := commandNow("1", setSetpoint)
		if got := r.give(text); len(got) != 1 || got[0]["outcome"] != "refused" || w.count() != 0 {
			t.Errorf("with a broken disk: %v, %d writes", got, w.count())
		}
		state.fail(false)
		if got := r.give(commandNow("2", setSetpoint)); got[0]["outcome"] != "done" {
			t.Fatal(got)
		}
	})
}

// failingState is a [bridge.State] whose disk can break.
type failingState struct {
	memoryState
	broken bool
}

func (s *failingState) fail(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = on
}

func (s *failingState) Put(key string, value []byte) error {
	s.mu.Lock()
	broken := s.broken
	s.mu.Unlock()
	if broken {
		return errors.New("disk full")
	}
	return s.memoryState.Put(key, value)
}

func TestRebirth(t *testing.T) {
	catalogue := &bridge.Catalogue{}
	catalogue.Put(bridge.DeviceInfo{Device: "boiler", Points: []bridge.PointInfo{{Name: "t", Type: "bool"}}})
	commanded(t, nil, func(o *Options) { o.Catalogue = catalogue }, func(r *rig, _ func() []bridge.Batch) {
		time.Sleep(time.Second)
		if got := r.give(commandNow("1", `,"action":"rebirth"`)); len(got) != 1 || got[0]["outcome"] != "done" {
			t.Fatal(got)
		}
		if diff := cmp.Diff([]string{"online", "catalog", "online", "catalog"}, r.types()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if got := r.give(commandNow("2", setSetpoint)); len(got) != 1 || got[0]["outcome"] != "refused" {
			t.Errorf("a write without a writer: %v", got)
		}
	})
}

// TestResponseTopicsAreChecked: an asker must not make us break AWS's rules.
func TestResponseTopicsAreChecked(t *testing.T) {
	commanded(t, &fakeWriter{}, nil, func(r *rig, _ func() []bridge.Batch) {
		for i, topic := range []string{"", "$aws/things/other/shadow/get", "a/+", "#", strings.Repeat("x", 257),
			"a/b/c/d/e/f/g/h/i"} {
			err := r.cloud.Send(awsiottest.Message{Topic: commandTopic, Payload: []byte(commandNow(fmt.Sprint(i), setSetpoint)),
				ResponseTopic: topic})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			all := r.statuses()
			if last := all[len(all)-1]; last["type"] != "command" || last["id"] != fmt.Sprint(i) {
				t.Errorf("response topic %.20q: the status topic has %v", topic, last)
			}
		}
		if len(r.lost) > 0 {
			t.Error("the connection was lost")
		}
	})
}

func TestCommandsAreOffWithoutATopic(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		synctest.Wait()
		if got := r.give(commandNow("1", setSetpoint)); len(got) != 0 {
			t.Errorf("answers %v", got)
		}
	})
}
