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
)

// fakeWriter is a scripted [bridge.Writer].
type fakeWriter struct {
	mu     sync.Mutex
	writes []bridge.Command
	err    error
	wait   time.Duration
}

func (w *fakeWriter) Write(ctx context.Context, c bridge.Command) error {
	w.mu.Lock()
	w.writes = append(w.writes, c)
	err, wait := w.err, w.wait
	w.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return err
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
	if err := r.cloud.Send(awsiottest.Message{Topic: commandTopic, Payload: []byte(payload), ResponseTopic: "answers", CorrelationData: []byte("42")}); err != nil {
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
		if len(records) != 1 || records[0].Device != AuditDevice {
			t.Fatalf("audit %v", records)
		}
		got := make(map[string]string)
		for _, reading := range records[0].Readings {
			got[reading.Point] = reading.Value.Str()
		}
		want := map[string]string{"id": "4711", "via": "topic", "action": "write", "device": "boiler", "point": "setpoint", "value": "60.5", "outcome": "done"}
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
			{"refused by the device", given("1", setSetpoint), bridge.Permanent(errors.New("setpoint is not writable")), 0, "refused", "not writable", 1},
			{"failed", given("2", setSetpoint), errors.New("timeout"), 0, "failed", "timeout", 1},
			{"too slow", given("3", setSetpoint), nil, time.Hour, "failed", "deadline", 1},
			{"old", `{"id":"4","at":` + fmt.Sprint(time.Now().Add(-time.Hour).UnixMilli()) + setSetpoint + `}`, nil, 0, "expired", "30s are allowed", 0},
			{"from the future", `{"id":"5","at":` + fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()) + setSetpoint + `}`, nil, 0, "expired", "clocks differ", 0},
			{"no id", `{"at":1` + setSetpoint + `}`, nil, 0, "refused", "needs an id", 0},
			{"no time", `{"id":"6"` + setSetpoint + `}`, nil, 0, "refused", "needs at", 0},
			{"no value", `{"id":"7","at":1,"device":"boiler","point":"setpoint"}`, nil, 0, "refused", "needs device, point and value", 0},
			{"no JSON", `start pump`, nil, 0, "refused", "not a command", 0},
			{"unknown key", given("8", setSetpoint+`,"force":true`), nil, 0, "refused", "force", 0},
			{"unknown action", given("9", `,"action":"reboot"`), nil, 0, "refused", "not known", 0},
			{"value of no kind", given("10", `,"device":"d","point":"p","value":[1]`), nil, 0, "refused", "no number, bool or text", 0},
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
		// A process that dies while it writes: the id is there, the outcome not.
		text = commandNow("2", setSetpoint)
		if got := r.give(text); got[0]["outcome"] != "done" {
			t.Fatal(got)
		}
		saved, _ := state.Get(commandsKey)
		_ = state.Put(commandsKey, []byte(strings.Replace(string(saved), `"done"`, `"unknown"`, 1)))
		next := newCommander(r.sink)
		a := next.carryOut(context.Background(), request{payload: []byte(text), maxAge: time.Hour})
		if a.Outcome != outcomeUnknown || !a.Again || w.count() != 1 {
			t.Errorf("after a crash: %+v, %d writes", a, w.count())
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

func TestMemoryOfCommandsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{}
		s := &Sink{options: Options{State: &memoryState{}, Writer: w}, log: quiet}
		c := newCommander(s)
		refused := 0
		for i := range rememberedCommands + 10 {
			a := c.carryOut(t.Context(), request{payload: []byte(commandNow(fmt.Sprint(i), setSetpoint)), maxAge: time.Minute})
			if a.Outcome == outcomeRefused {
				refused++
			}
		}
		if refused != 10 {
			t.Errorf("%d refused, want 10", refused)
		}
		data, _ := s.options.State.Get(commandsKey)
		if len(data) > 64<<10 {
			t.Errorf("%d bytes of state", len(data))
		}
		// When the first are too old, there is room for as many, and ids count still.
		time.Sleep(30 * time.Second)
		again := commandNow("last", setSetpoint)
		time.Sleep(31 * time.Second)
		for _, text := range []string{commandNow("more", setSetpoint), again} {
			if a := c.carryOut(t.Context(), request{payload: []byte(text), maxAge: time.Minute}); a.Outcome != outcomeDone || a.Again {
				t.Errorf("a minute later: %+v", a)
			}
		}
		if a := c.carryOut(t.Context(), request{payload: []byte(again), maxAge: time.Minute}); !a.Again || len(c.done) != rememberedCommands {
			t.Errorf("%+v, %d are remembered", a, len(c.done))
		}
		long := strings.Repeat("i", maxCommandID)
		time.Sleep(rememberFor + time.Second)
		for i := range rememberedCommands {
			w.err = errors.New(strings.Repeat("e", 200))
			id := long[:maxCommandID-5] + fmt.Sprintf("%05d", i)
			if a := c.carryOut(t.Context(), request{payload: []byte(commandNow(id, setSetpoint)), maxAge: time.Minute}); a.Outcome != outcomeFailed {
				t.Fatalf("%+v", a)
			}
		}
		if data, _ = s.options.State.Get(commandsKey); len(data) > 64<<10 {
			t.Errorf("%d bytes of state", len(data))
		}
		w.err = nil
		time.Sleep(rememberFor + time.Second)
		if a := c.carryOut(t.Context(), request{payload: []byte(commandNow("new", setSetpoint)), maxAge: time.Minute}); a.Outcome != outcomeDone {
			t.Errorf("later: %+v", a)
		}
	})
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
		for i, topic := range []string{"", "$aws/things/other/shadow/get", "a/+", "#", strings.Repeat("x", 257), "a/b/c/d/e/f/g/h/i"} {
			err := r.cloud.Send(awsiottest.Message{Topic: commandTopic, Payload: []byte(commandNow(fmt.Sprint(i), setSetpoint)), ResponseTopic: topic})
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

func TestCommandValues(t *testing.T) {
	for text, want := range map[string]bridge.Value{
		"1": bridge.Int(1), "-9223372036854775808": bridge.Int(-9223372036854775808), "18446744073709551615": bridge.Uint(18446744073709551615),
		"1.5": bridge.Float64(1.5), "1e3": bridge.Float64(1000), "true": bridge.Bool(true), `"off"`: bridge.String("off"),
	} {
		if got, err := commandValue(json.RawMessage(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"null", "{}", "[]", "1e999", ""} {
		if got, err := commandValue(json.RawMessage(text)); err == nil {
			t.Errorf("%s is taken as %v", text, got)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`{"id":"4711","at":1763887500123` + setSetpoint + `}`))
	f.Add([]byte(`{"id":"x","at":1,"action":"rebirth"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if cmd, err := parseCommand(data, viaExecution); err == nil && cmd.ID != "" {
			t.Errorf("an execution with an id of its own: %s", data)
		}
		cmd, err := parseCommand(data, viaTopic)
		if err == nil && (cmd.ID == "" || cmd.At == 0) {
			t.Errorf("%s is taken as %+v", data, cmd)
		}
		if cmd.ID != "" && (len(cmd.ID) > maxCommandID || !printable(cmd.ID)) && err == nil {
			t.Errorf("id %q", cmd.ID)
		}
	})
}
