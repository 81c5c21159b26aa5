package awsiot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/things"
)

const setPump = `{"device":"boiler","point":"pump","value":true}`

// executing runs a test with a gateway that takes executions of AWS IoT
// Commands.
func executing(t *testing.T, w bridge.Writer, cloud awsiottest.Options, change func(*Options), f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, cloud, func(cfg *Config, o *Options) {
			cfg.Commands.Executions = true
			o.Writer = w
			if change != nil {
				change(o)
			}
		})
		defer r.stop()
		r.start()
		<-r.links
		time.Sleep(time.Second)
		f(r)
	})
}

// execute starts an execution and returns what became of it within a minute.
func (r *rig) execute(payload string) things.Execution {
	r.t.Helper()
	id := r.cloud.StartExecution("gateway-1", []byte(payload), 2*time.Minute)
	time.Sleep(time.Minute)
	return r.cloud.Execution(id)
}

func TestExecution(t *testing.T) {
	// Without conflicts, and with a service that is slow to be ready again.
	for _, conflict := range []time.Duration{0, 2 * time.Second} {
		w := &fakeWriter{}
		executing(t, w, awsiottest.Options{Conflict: conflict}, nil, func(r *rig) {
			e := r.execute(setPump)
			if diff := cmp.Diff([]things.ExecutionStatus{"CREATED", "IN_PROGRESS", "SUCCEEDED"}, e.History); diff != "" ||
				e.Code != "DONE" {
				t.Errorf("history (-want +got):\n%s%+v", diff, e)
			}
			if diff := cmp.Diff([]string{"boiler pump true"}, w.texts()); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
			before := len(r.arrived("$aws/commands/things/gateway-1/executions/" + e.ID + "/response/json"))
			r.cloud.ResendExecution(e.ID, []byte(setPump))
			time.Sleep(time.Minute)
			after := r.arrived("$aws/commands/things/gateway-1/executions/" + e.ID + "/response/json")
			if len(w.texts()) != 1 || len(after) != before+1 {
				t.Errorf("the same again: %d writes, %d more updates", len(w.texts()), len(after)-before)
			}
		})
	}
}

func TestExecutionOutcomes(t *testing.T) {
	w := &fakeWriter{}
	executing(t, w, awsiottest.Options{}, nil, func(r *rig) {
		old := time.Now().Add(-time.Hour).UnixMilli()
		for _, tt := range []struct {
			name, payload string
			err           error
			status, text  string
			writes        int
		}{
			{"refused", setPump, bridge.Permanent(fmt.Errorf("not writable")), "REJECTED", "not writable", 1},
			{"failed", setPump, fmt.Errorf("no answer\nin time"), "FAILED", "no answer in time", 1},
			{"no command", "start", nil, "REJECTED", "not a command", 0},
			{"an id", `{"id":"1",` + setPump[1:], nil, "REJECTED", "has its own id", 0},
			{"too old", fmt.Sprintf(`{"at":%d,%s`, old, setPump[1:]), nil, "TIMED_OUT", "old", 0},
			{"expired", fmt.Sprintf(`{"expires":%d,%s`, old, setPump[1:]), nil, "TIMED_OUT", "expired", 0},
		} {
			w.mu.Lock()
			w.err, w.writes = tt.err, nil
			w.mu.Unlock()
			e := r.execute(tt.payload)
			if string(e.Status) != tt.status || !strings.Contains(e.Description, tt.text) || !e.ByDevice ||
				w.count() != tt.writes {
				t.Errorf("%s: %+v, %d writes", tt.name, e, w.count())
			}
		}
	})
}

// TestExecutionOfYesterday: one that AWS has given up is not carried out, however
// late it comes, and whatever our clock says.
func TestExecutionOfYesterday(t *testing.T) {
	w := &fakeWriter{}
	unsynced := func(o *Options) { o.Synced = func() bool { return false } }
	executing(t, w, awsiottest.Options{}, unsynced, func(r *rig) {
		r.cloud.Offline()
		id := r.cloud.StartExecution("gateway-1", []byte(setPump), time.Minute)
		time.Sleep(10 * time.Minute)
		if err := r.cloud.Online(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if w.count() != 0 {
			t.Fatal("carried out long after its time")
		}
		r.cloud.ResendExecution(id, []byte(setPump)) // the broker finds it again
		time.Sleep(time.Minute)
		if e := r.cloud.Execution(id); w.count() != 0 || e.Status != things.TimedOut || e.Code != "EXPIRED" {
			t.Errorf("%d writes, %+v", w.count(), e)
		}
		// A new one is carried out with the same clock, as AWS judges it, unless it
		// brings a time of its own.
		if e := r.execute(setPump); w.count() != 1 || e.Status != things.Succeeded {
			t.Errorf("%d writes, %+v", w.count(), e)
		}
		e := r.execute(fmt.Sprintf(`{"at":%d,%s`, time.Now().UnixMilli(), setPump[1:]))
		if w.count() != 1 || e.Status != things.Rejected || !strings.Contains(e.Description, "clock") {
			t.Errorf("%d writes, %+v", w.count(), e)
		}
	})
}

// TestExecutionOutcomeIsOwed: an outcome that could not be told is told on the
// next connection, even by the next process.
func TestExecutionOutcomeIsOwed(t *testing.T) {
	w := &fakeWriter{wait: 10 * time.Second}
	executing(t, w, awsiottest.Options{}, nil, func(r *rig) {
		id := r.cloud.StartExecution("gateway-1", []byte(setPump), time.Hour)
		time.Sleep(5 * time.Second)
		r.cloud.Offline()
		time.Sleep(time.Minute)
		if e := r.cloud.Execution(id); e.Status != things.InProgress {
			t.Fatalf("%+v", e)
		}
		if err := r.cloud.Online(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if e := r.cloud.Execution(id); e.Status != things.Succeeded || w.count() != 1 {
			t.Errorf("%d writes, %+v", w.count(), e)
		}
		// A process that is killed between the durable id and the end of the write.
		next := r.cloud.StartExecution("gateway-1", []byte(setPump), time.Hour)
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
		if e := r.cloud.Execution(next); e.Status != things.Failed || e.Code != "UNKNOWN" || w.count() != 2 {
			t.Errorf("after a kill: %d writes, %+v", w.count(), e)
		}
		r.cloud.ResendExecution(next, []byte(setPump))
		time.Sleep(time.Minute)
		if w.count() != 2 {
			t.Error("carried out again after a kill")
		}
		saved, _ := r.state.Get(commandsKey)
		if strings.Contains(string(saved), "owed") {
			t.Errorf("still owed: %s", saved)
		}
	})
}

// TestExecutionUnansweredIsNotCarriedOut: without a word of AWS nothing happens.
func TestExecutionUnansweredIsNotCarriedOut(t *testing.T) {
	w := &fakeWriter{}
	executing(t, w, awsiottest.Options{}, nil, func(r *rig) {
		r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict {
			if strings.HasSuffix(m.Topic, "/response/json") {
				return awsiottest.Verdict{Code: 0x87} // the policy does not allow it
			}
			return awsiottest.Verdict{}
		})
		id := r.cloud.StartExecution("gateway-1", []byte(setPump), time.Hour)
		time.Sleep(time.Minute)
		if e := r.cloud.Execution(id); w.count() != 0 || e.Status != things.Created {
			t.Errorf("%d writes, %+v", w.count(), e)
		}
		// One command at a time: the next waits for it, and is judged when it is
		// its turn.
		r.cloud.Script(nil)
		w.wait = 20 * time.Second
		var ids []string
		for range 3 {
			ids = append(ids, r.cloud.StartExecution("gateway-1", []byte(setPump), 30*time.Second))
		}
		time.Sleep(5 * time.Minute)
		var ends []string
		for _, id := range ids {
			ends = append(ends, string(r.cloud.Execution(id).Status))
		}
		slices.Sort(ends)
		if diff := cmp.Diff([]string{"SUCCEEDED", "SUCCEEDED", "TIMED_OUT"}, ends); diff != "" || w.count() != 2 {
			t.Errorf("ends (-want +got):\n%s%d writes", diff, w.count())
		}
	})
}

// TestExecutionIsAskedForAgain: a question may get lost, and so may an outcome.
func TestExecutionIsAskedForAgain(t *testing.T) {
	w := &fakeWriter{}
	executing(t, w, awsiottest.Options{}, nil, func(r *rig) {
		var asked atomic.Int64
		r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict {
			if strings.HasSuffix(m.Topic, "/response/json") {
				if n := asked.Add(1); n <= 2 || n == 4 {
					return awsiottest.Verdict{Code: 0x97}
				}
			}
			return awsiottest.Verdict{}
		})
		// Three questions, and three times the outcome: answers cannot be told apart,
		// so it is sent once more than needed, and AWS says that it has it.
		if e := r.execute(setPump); e.Status != things.Succeeded || w.count() != 1 || asked.Load() != 6 {
			t.Errorf("%+v, %d writes, %d updates", e, w.count(), asked.Load())
		}
	})
}

func TestExecutionReads(t *testing.T) {
	reader := &fakeReader{readings: []bridge.Reading{{Point: "a", Value: bridge.Float64(21.3)},
		{Point: "b", Value: bridge.Bad(bridge.ReasonTimeout)}}}
	executing(t, nil, awsiottest.Options{}, func(o *Options) { o.Reader = reader }, func(r *rig) {
		e := r.execute(`{"action":"read","device":"boiler"}`)
		if e.Status != things.Succeeded || string(e.Result["points"]) != `{"s":"{\"a\":21.3}"}` ||
			string(e.Result["bad"]) != `{"s":"{\"b\":\"timeout\"}"}` {
			t.Errorf("%+v %s", e, e.Result)
		}
	})
}

// fakeReader is a scripted [bridge.Reader] and [bridge.Pacer].
type fakeReader struct {
	readings []bridge.Reading
	err      error
	asked    []string
}

func (f *fakeReader) ReadNow(_ context.Context, device string, points []string) ([]bridge.Reading, error) {
	f.asked = append(f.asked, fmt.Sprint(device, points))
	return f.readings, f.err
}

func (f *fakeReader) SetInterval(_ context.Context, device string, every, length time.Duration) error {
	f.asked = append(f.asked, fmt.Sprint(device, " ", every, " ", length))
	return f.err
}

// TestExecutionsAreLeftOut where the cloud ends the connection for their filters,
// so that readings flow; and are tried again later.
func TestExecutionsAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, awsiottest.Options{}, func(cfg *Config, o *Options) {
			cfg.Commands.Executions, o.Writer = true,
				&fakeWriter{}
		})
		defer r.stop()
		r.cloud.ScriptSubscribe(func(_, filter string) bool { return !strings.HasPrefix(filter, "$aws/commands/") })
		r.start()
		time.Sleep(10 * time.Minute)
		if n := len(r.links); n != 3 {
			t.Errorf("%d connections, want 2 that were cut and one that stays", n)
		}
		if h := r.sink.Health(); len(h) != 1 || !strings.Contains(h[0].Text, "executions") {
			t.Errorf("health %v", h)
		}
		r.cloud.ScriptSubscribe(nil)
		time.Sleep(2 * time.Hour)
		r.cloud.Drop("")
		time.Sleep(time.Minute)
		if e := r.execute(setPump); e.Status != things.Succeeded || len(r.sink.Health()) != 0 {
			t.Errorf("later: %+v, %v", e, r.sink.Health())
		}
	})
}
