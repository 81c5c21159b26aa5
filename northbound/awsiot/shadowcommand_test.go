package awsiot

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// shadowed runs a test with a gateway that takes commands from its shadow.
func shadowed(t *testing.T, w bridge.Writer, change func(*Config, *Options), f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, awsiottest.Options{}, func(cfg *Config, o *Options) {
			cfg.Shadow.Name, cfg.Commands.Desired = "gateway", true
			o.Writer = w
			if change != nil {
				change(cfg, o)
			}
		})
		defer r.stop()
		r.start()
		<-r.links
		time.Sleep(5 * time.Second)
		f(r)
	})
}

// desire sets the command that is desired, or takes it away.
func (r *rig) desire(command string) {
	r.cloud.UpdateShadow("gateway-1", "gateway", `{"state":{"desired":{"command":`+command+`}}}`)
}

// shadow returns the shadow's parts that concern commands, and whether there is
// a delta.
func (r *rig) shadow() (command, outcome string, delta bool) {
	r.t.Helper()
	var doc struct {
		Reported map[string]json.RawMessage
		Delta    map[string]json.RawMessage
	}
	if err := json.Unmarshal(r.cloud.Shadow("gateway-1", "gateway"), &doc); err != nil {
		r.t.Fatal(err)
	}
	return string(doc.Reported["command"]), string(doc.Reported["command_outcome"]), doc.Delta["command"] != nil
}

func (r *rig) wantOutcome(what string, parts ...string) {
	r.t.Helper()
	time.Sleep(5 * time.Second)
	_, outcome, delta := r.shadow()
	if delta {
		r.t.Errorf("%s: there is still a delta", what)
	}
	for _, p := range parts {
		if !strings.Contains(outcome, p) {
			r.t.Errorf("%s: %s, want %s", what, outcome, p)
		}
	}
}

func TestDesiredCommand(t *testing.T) {
	w := &fakeWriter{}
	shadowed(t, w, nil, func(r *rig) {
		const exact = `,"device":"boiler","point":"count","value":9007199254740993`
		first := commandNow("1", exact)
		r.desire(first)
		r.wantOutcome("written", `"id":"1"`, `"outcome":"done"`)
		if command, _, _ := r.shadow(); !strings.Contains(command, "9007199254740993") {
			t.Errorf("reported %s", command)
		}
		// Only the id and the time change: the delta has no more than that.
		second := commandNow("2", exact)
		r.desire(second)
		r.wantOutcome("the next", `"id":"2"`, `"outcome":"done"`)
		r.desire(first)
		r.wantOutcome("the first again", `"id":"1"`, `"outcome":"done"`)
		if diff := cmp.Diff([]string{"boiler count 9007199254740993", "boiler count 9007199254740993"},
			w.texts()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		r.desire("null") // makes no delta: it is seen at the next look
		r.cloud.Drop("")
		time.Sleep(2 * time.Minute)
		if command, outcome, _ := r.shadow(); command != "" || outcome != "" {
			t.Errorf("after it was taken away: %s %s", command, outcome)
		}
	})
}

func TestDesiredCommandsThatAreNone(t *testing.T) {
	w := &fakeWriter{}
	shadowed(t, w, nil, func(r *rig) {
		for _, tt := range []struct{ name, command, outcome, text string }{
			{"old", fmt.Sprintf(`{"id":"1","at":%d%s}`, time.Now().Add(-time.Hour).UnixMilli(), setSetpoint), "expired", "old"},
			{"a word", `"start"`, "refused", "not a command"},
			{"no id", `{"at":1` + setSetpoint + `}`, "refused", "needs an id"},
			{"unknown key", commandNow("3", setSetpoint+`,"force":true`), "refused", "force"},
		} {
			r.desire("null")
			r.desire(tt.command)
			r.wantOutcome(tt.name, `"outcome":"`+tt.outcome+`"`, tt.text)
		}
		r.desire("null")
		time.Sleep(5 * time.Second)
		r.desire(commandNow("4", setSetpoint+`,"device":"`+strings.Repeat("x", 1024)+`"`))
		time.Sleep(10 * time.Second)
		if _, outcome, delta := r.shadow(); !strings.Contains(outcome, `"id":"4"`) || !strings.Contains(outcome,
			"1024 bytes") || !delta {
			t.Errorf("too long: %s, delta %v", outcome, delta)
		}
		if w.count() != 0 {
			t.Errorf("%d writes", w.count())
		}
	})
}

// TestDesiredIsALevel: what is desired stays, and is not carried out again,
// neither on a new connection nor by a new process, nor by one that has
// forgotten.
func TestDesiredIsALevel(t *testing.T) {
	w := &fakeWriter{}
	shadowed(t, w, nil, func(r *rig) {
		r.desire(commandNow("1", setSetpoint))
		r.wantOutcome("written", `"outcome":"done"`)
		again := func(what string, state *memoryState, meanwhile func()) {
			t.Helper()
			r.cancel()
			<-r.ended
			meanwhile()
			r.state = state
			options := r.sink.options
			options.State = state
			r.sink = r.next(options)
			r.start()
			<-r.links
			time.Sleep(time.Minute)
			if r.wantOutcome(what); w.count() != 1 {
				t.Errorf("%s: %d writes", what, w.count())
			}
		}
		r.cloud.Drop("")
		<-r.links
		if r.wantOutcome("a new connection", `"outcome":"done"`); w.count() != 1 {
			t.Errorf("a new connection: %d writes", w.count())
		}
		again("a new process", r.state, func() {})
		again("one that has forgotten", &memoryState{}, func() {})
		again("one that has forgotten, and so has the shadow", &memoryState{}, func() {
			r.cloud.UpdateShadow("gateway-1", "gateway", `{"state":{"reported":null}}`)
			time.Sleep(time.Minute)
		})
		r.wantOutcome("one that has forgotten, and so has the shadow", `"outcome":"expired"`)
	})
}

// TestDesiredAfterAKill: the process was killed between the durable id and the
// end of the write. Nobody knows whether it was carried out, and that is told.
func TestDesiredAfterAKill(t *testing.T) {
	w := &fakeWriter{wait: 10 * time.Second}
	shadowed(t, w, nil, func(r *rig) {
		r.desire(commandNow("1", setSetpoint))
		time.Sleep(5 * time.Second)
		killed, _ := r.state.Get(commandsKey)
		r.cloud.Offline()
		r.cancel()
		<-r.ended
		_ = r.state.Put(commandsKey, killed)
		if err := r.cloud.Online(); err != nil {
			t.Fatal(err)
		}
		r.sink = r.next(r.sink.options)
		r.start()
		time.Sleep(time.Minute)
		if r.wantOutcome("after a kill", `"id":"1"`, `"outcome":"unknown"`); w.count() != 1 {
			t.Errorf("%d writes", w.count())
		}
	})
}

// TestDesiredWhileAway: what was desired while the gateway was away is carried
// out only while it is young; and the answer is there though the connection went
// while it was under way.
func TestDesiredWhileAway(t *testing.T) {
	w := &fakeWriter{wait: 10 * time.Second}
	shadowed(t, w, nil, func(r *rig) {
		away := func(command func() string, wait time.Duration) {
			r.cloud.Offline()
			r.desire(command())
			time.Sleep(wait)
			if err := r.cloud.Online(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Minute)
		}
		away(func() string { return commandNow("1", setSetpoint) }, 10*time.Minute)
		if r.wantOutcome("ten minutes later", `"id":"1"`, `"outcome":"expired"`); w.count() != 0 {
			t.Errorf("%d writes", w.count())
		}
		r.desire(commandNow("2", setSetpoint))
		time.Sleep(5 * time.Second)
		r.cloud.Drop("")
		time.Sleep(3 * time.Minute)
		if r.wantOutcome("the connection went", `"id":"2"`, `"outcome":"done"`); w.count() != 1 {
			t.Errorf("%d writes", w.count())
		}
	})
}

// TestShadowUnderFire: others change the shadow all the time. There is no storm
// of messages, and the command is seen.
func TestShadowUnderFire(t *testing.T) {
	w := &fakeWriter{}
	shadowed(t, w, nil, func(r *rig) {
		before := len(r.arrived("$aws/things/gateway-1/shadow/name/gateway/get"))
		for i := range 200 {
			r.cloud.UpdateShadow("gateway-1", "gateway", fmt.Sprintf(`{"state":{"desired":{"x":%d,"command":%s}}}`, i,
				commandNow(fmt.Sprint(i), setSetpoint)))
			time.Sleep(50 * time.Millisecond)
		}
		r.wantOutcome("the last", `"id":"199"`, `"outcome":"done"`)
		gets := len(r.arrived("$aws/things/gateway-1/shadow/name/gateway/get")) - before
		if gets > 60 || w.count() > 30 {
			t.Errorf("%d gets and %d writes in 15 s", gets, w.count())
		}
		// What we do not know is left alone, and makes no traffic.
		before = len(r.arrived("$aws/things/gateway-1/shadow/name/gateway/get"))
		time.Sleep(10 * time.Minute)
		if n := len(r.arrived("$aws/things/gateway-1/shadow/name/gateway/get")); n != before {
			t.Errorf("%d gets in ten quiet minutes", n-before)
		}
	})
}

// TestDesiredIsLeftAlone unless the configuration says so.
func TestDesiredIsLeftAlone(t *testing.T) {
	w := &fakeWriter{}
	shadowed(t, w, func(cfg *Config, _ *Options) { cfg.Commands.Desired = false }, func(r *rig) {
		r.desire(commandNow("1", setSetpoint))
		time.Sleep(5 * time.Minute)
		if command, outcome, delta := r.shadow(); command != "" || outcome != "" || !delta || w.count() != 0 {
			t.Errorf("%s %s, delta %v, %d writes", command, outcome, delta, w.count())
		}
	})
}

// TestShadowStaysInBounds: the largest command with the largest report fits.
func TestShadowStaysInBounds(t *testing.T) {
	field := &fakeReader{readings: []bridge.Reading{{Point: "a", Value: bridge.String(strings.Repeat("y", 480))}}}
	devices := make(map[string]any)
	for i := range 100 {
		devices[fmt.Sprint("device-", i)] = "good, and it says much of itself"
	}
	shadowed(t, nil, func(_ *Config, o *Options) {
		o.Reader, o.Report = field, func() map[string]any { return map[string]any{"devices": devices} }
	}, func(r *rig) {
		r.desire(commandNow("1", `,"action":"read","device":"`+strings.Repeat("x", 900)+`"`))
		r.wantOutcome("read", `"outcome":"done"`, "yyy")
		if n := len(r.cloud.Shadow("gateway-1", "gateway")); n < 2000 || n > 8<<10 {
			t.Errorf("the shadow has %d bytes", n)
		}
	})
}
