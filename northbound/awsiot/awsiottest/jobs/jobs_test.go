package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
)

// rig is a service with things g1, g2, ... in group all.
type rig struct {
	*testing.T
	*Service
	said []string // notifications: topic beyond the thing's, and what of the payload counts
}

func bubble(t *testing.T, things int, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reg := registry.New()
		r := &rig{T: t, Service: New(reg)}
		if err := reg.AddGroup(registry.Group{Name: "all"}); err != nil {
			t.Fatal(err)
		}
		for i := range things {
			r.join(fmt.Sprint("g", i+1))
		}
		r.Announce(func(topic string, payload []byte) error {
			var n struct {
				Jobs      map[string][]struct{ JobID string }
				Execution *struct{ JobID, Status string }
			}
			if err := json.Unmarshal(payload, &n); err != nil {
				t.Error(err)
			}
			text := strings.TrimPrefix(topic, "$aws/things/")
			for _, status := range []string{"IN_PROGRESS", "QUEUED"} {
				for _, j := range n.Jobs[status] {
					text += " " + j.JobID + ":" + status
				}
			}
			if n.Execution != nil {
				text += " " + n.Execution.JobID
			}
			r.said = append(r.said, text)
			return nil
		})
		f(r)
	})
}

func (r *rig) join(thing string) {
	r.Helper()
	if err := r.registry.AddThing(registry.Thing{Name: thing}); err != nil {
		r.Fatal(err)
	}
	if err := r.registry.Join("all", thing); err != nil {
		r.Fatal(err)
	}
}

// create begins a job on the group.
func (r *rig) create(id string, change func(*Job)) {
	r.Helper()
	j := Job{ID: id, Document: `{"operation":"x"}`, Groups: []string{"all"}}
	if change != nil {
		change(&j)
	}
	if err := r.Create(j); err != nil {
		r.Fatal(err)
	}
}

// ask sends a thing's request and returns the code of a refusal, or "", and the
// answer.
func (r *rig) ask(thing, what, request string) (code string, answer map[string]any) {
	r.Helper()
	topic := "$aws/things/" + thing + "/jobs/" + what
	got := ""
	if !r.Request(service.Caller{Thing: thing, Unasked: func(topic string, payload []byte) {
		got = topic
		if err := json.Unmarshal(payload, &answer); err != nil {
			r.Fatal(err)
		}
	}}, topic, []byte(request)) {
		r.Fatalf("%s is no request", what)
	}
	if got == topic+"/rejected" {
		return answer["code"].(string), answer
	}
	if got != topic+"/accepted" {
		r.Fatalf("answered at %q", got)
	}
	return "", answer
}

// states returns the states of a job's executions, by thing.
func (r *rig) states(job string) string {
	var out []string
	for _, e := range r.Executions(job, "") {
		out = append(out, string(e.Status))
	}
	return strings.Join(out, " ")
}

// TestOneThing: one thing does two jobs, and is told what is next.
func TestOneThing(t *testing.T) {
	bubble(t, 1, func(r *rig) {
		r.create("a", nil)
		r.create("b", nil)
		code, a := r.ask("g1", "start-next", `{"clientToken":"x","statusDetails":{"step":"1"}}`)
		e := a["execution"].(map[string]any)
		if code != "" || a["clientToken"] != "x" || e["jobId"] != "a" || e["versionNumber"] != 2.0 ||
			e["jobDocument"].(map[string]any)["operation"] != "x" || e["status"] != "IN_PROGRESS" {
			t.Errorf("%s: %v", code, a)
		}
		// After a restart the same comes again.
		if _, a := r.ask("g1", "start-next", ``); a["execution"].(map[string]any)["jobId"] != "a" {
			t.Errorf("again: %v", a)
		}
		if _, a := r.ask("g1", "get", `{}`); len(a["inProgressJobs"].([]any)) != 1 || len(a["queuedJobs"].([]any)) != 1 {
			t.Errorf("list: %v", a)
		}
		if _, a := r.ask("g1", "$next/get", `{"includeJobDocument":false}`); len(a["execution"].(map[string]any)) != 9 {
			t.Errorf("next: %v", a)
		}
		got := []string{}
		for _, u := range []string{
			`{"status":"IN_PROGRESS","expectedVersion":1}`, `{"status":"IN_PROGRESS","expectedVersion":2}`,
			`{"status":"QUEUED"}`, `{"status":"SUCCEEDED","includeJobExecutionState":true}`, `{"status":"FAILED"}`, `[`,
			`{"status":"FAILED","statusDetails":{"":"x"}}`, `{"status":"FAILED","stepTimeoutInMinutes":10081}`,
		} {
			code, a := r.ask("g1", "a/update", u)
			state, _ := a["executionState"].(map[string]any)
			got = append(got, fmt.Sprint(code, " ", state["status"], " ", state["versionNumber"]))
		}
		want := []string{"VersionMismatch IN_PROGRESS 2", " <nil> <nil>", "InvalidRequest <nil> <nil>", " SUCCEEDED 4",
			"InvalidStateTransition SUCCEEDED 4", "InvalidJson <nil> <nil>", "InvalidRequest <nil> <nil>",
			"InvalidRequest <nil> <nil>"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("updates (-want +got):\n%s", diff)
		}
		if code, _ := r.ask("g1", "a/get", ``); code != "TerminalStateReached" {
			t.Errorf("an ended one: %q", code)
		}
		if code, _ := r.ask("g1", "c/get", ``); code != "ResourceNotFound" {
			t.Errorf("one that is not: %q", code)
		}
		if code, _ := r.ask("g1", "b/update", `{"status":"REJECTED"}`); code != "" {
			t.Errorf("one that was not started: %q", code)
		}
		if _, a := r.ask("g1", "start-next", ``); a["execution"] != nil {
			t.Errorf("nothing is left: %v", a)
		}
		said := []string{"g1/jobs/notify a:QUEUED", "g1/jobs/notify-next a", "g1/jobs/notify a:QUEUED b:QUEUED",
			"g1/jobs/notify a:IN_PROGRESS b:QUEUED", "g1/jobs/notify b:QUEUED", "g1/jobs/notify-next b", "g1/jobs/notify",
			"g1/jobs/notify-next"}
		if diff := cmp.Diff(said, r.said); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
		if j, _ := r.Get("a"); j.Status != Completed {
			t.Errorf("the job is %s", j.Status)
		}
	})
}

// TestTimers: the step timer is replaced and cleared, never reaches beyond the
// in-progress timer, and what timed out is repeated as often as asked.
func TestTimers(t *testing.T) {
	bubble(t, 1, func(r *rig) {
		r.create("a", func(j *Job) { j.Timeout, j.Retries = 30*time.Minute, map[Status]int{TimedOut: 2} })
		start := func(minutes int) {
			t.Helper()
			r.ask("g1", "start-next", fmt.Sprintf(`{"stepTimeoutInMinutes":%d}`, minutes))
		}
		at := func(d time.Duration, want string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := r.states("a"); got != want {
				t.Errorf("it is %s, want %s", got, want)
			}
		}
		start(10)
		at(9*time.Minute, "IN_PROGRESS")
		r.ask("g1", "a/update", `{"status":"IN_PROGRESS","stepTimeoutInMinutes":10}`)
		at(9*time.Minute, "IN_PROGRESS")
		at(2*time.Minute, "QUEUED") // timed out, and again
		start(60)
		at(29*time.Minute, "IN_PROGRESS")
		at(2*time.Minute, "QUEUED")
		start(10)
		r.ask("g1", "a/update", `{"status":"IN_PROGRESS","stepTimeoutInMinutes":-1}`)
		at(29*time.Minute, "IN_PROGRESS")
		at(2*time.Minute, "TIMED_OUT")
		if e := r.Executions("a", "g1")[0]; e.Attempt != 2 || e.Number != 3 {
			t.Errorf("%d attempts, number %d", e.Attempt, e.Number)
		}
	})
}

// TestRollout: constant and growing rates, in their minutes.
func TestRollout(t *testing.T) {
	for name, tt := range map[string]struct {
		rollout Rollout
		want    []int // things notified after each minute
	}{
		"constant": {Rollout{PerMinute: 20}, []int{20, 40, 60, 80, 100, 100}},
		"growing":  {Rollout{Base: 5, Factor: 2, Notified: 10, PerMinute: 40}, []int{5, 10, 20, 40, 80, 100}},
		"at once":  {Rollout{}, []int{100}},
		"by success": {Rollout{Base: 5, Factor: 2, Succeeded: 10}, []int{5, 10, 15, 20,
			25}},
	} {
		bubble(t, 100, func(r *rig) {
			r.create("a", func(j *Job) { j.Rollout = tt.rollout })
			var got []int
			for range tt.want {
				j, _ := r.Get("a")
				got = append(got, j.Notified)
				time.Sleep(time.Minute + time.Millisecond)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if err := r.Cancel("a", "", "", true); err != nil && tt.rollout.Succeeded > 0 {
				t.Error(err)
			}
		})
	}
}

// TestAbort: a canary that fails stops the rollout, and those who have begun go on.
func TestAbort(t *testing.T) {
	bubble(t, 100, func(r *rig) {
		r.create("a", func(j *Job) {
			j.Rollout = Rollout{PerMinute: 10}
			j.Abort = []Abort{{Failure: "FAILED", Threshold: 20, Least: 5}}
		})
		for i := range 5 {
			thing := fmt.Sprint("g", []int{1, 10, 100, 11, 12}[i])
			r.ask(thing, "start-next", ``)
			status := "SUCCEEDED"
			if i == 4 {
				status = "FAILED"
			}
			if i == 3 {
				continue
			}
			r.ask(thing, "a/update", `{"status":"`+status+`"}`)
		}
		if j, _ := r.Get("a"); j.Status != InProgress {
			t.Errorf("after four it is %s", j.Status)
		}
		r.ask("g13", "start-next", ``)
		r.ask("g13", "a/update", `{"status":"REJECTED"}`)
		j, _ := r.Get("a")
		want := map[Status]int{Succeeded: 3, Failed: 1, Rejected: 1, InProgress: 1, Canceled: 4}
		if diff := cmp.Diff(want, r.Counts("a")); diff != "" || j.Status != Canceled || j.Reason != "ABORT_CRITERIA_MET" {
			t.Errorf("%s, %s: (-want +got)\n%s", j.Status, j.Reason, diff)
		}
		time.Sleep(time.Hour)
		if code, _ := r.ask("g11", "a/update", `{"status":"SUCCEEDED"}`); code != "" {
			t.Errorf("one that had begun: %s", code)
		}
		if n := len(r.Executions("a", "")); n != 10 {
			t.Errorf("%d executions after an hour", n)
		}
	})
}

// TestCancel: what is in progress is cancelled by force alone.
func TestCancel(t *testing.T) {
	bubble(t, 2, func(r *rig) {
		r.create("a", nil)
		r.ask("g1", "start-next", ``)
		for _, force := range []bool{false, true} {
			if err := r.Cancel("a", "", "", force); err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{false: "IN_PROGRESS CANCELED", true: "CANCELED CANCELED"}[force]
			if got := r.states("a"); got != want {
				t.Errorf("force %v: %s", force, got)
			}
		}
		if code, a := r.ask("g1", "a/update", `{"status":"SUCCEEDED"}`); code != "InvalidStateTransition" {
			t.Errorf("%s: %v", code, a)
		}
		if err := r.Cancel("a", "", "", true); err == nil {
			t.Error("it is cancelled once more")
		}
	})
}

// TestSchedule: start, end and windows; things that join later.
func TestSchedule(t *testing.T) {
	bubble(t, 2, func(r *rig) {
		now := time.Now() // midnight UTC of 2000-01-01
		r.create("late", func(j *Job) { j.Start = now.Add(time.Hour) })
		r.create("night", func(j *Job) { j.Windows = []Window{{"cron(30 2 * * ? *)", 60}} })
		r.create("on", func(j *Job) {
			j.Continuous, j.End, j.EndBehavior = true, now.Add(4*time.Hour), "CANCEL"
		})
		check := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := r.states("late") + "/" + r.states("night") + "/" + r.states("on"); got != want {
				t.Errorf("after %v: %s, want %s", time.Since(now), got, want)
			}
		}
		check("//QUEUED QUEUED")
		time.Sleep(61 * time.Minute)
		check("QUEUED QUEUED//QUEUED QUEUED")
		time.Sleep(90 * time.Minute)
		check("QUEUED QUEUED/QUEUED QUEUED/QUEUED QUEUED")
		r.join("g3")
		check("QUEUED QUEUED/QUEUED QUEUED/QUEUED QUEUED QUEUED")
		time.Sleep(2 * time.Hour)
		check("QUEUED QUEUED/QUEUED QUEUED/CANCELED CANCELED CANCELED")
	})
}

// TestJoining: things that join one by one get a continuous job at its rate.
func TestJoining(t *testing.T) {
	bubble(t, 0, func(r *rig) {
		r.create("a", func(j *Job) { j.Continuous, j.Rollout.PerMinute = true, 2 })
		var got []int
		for i := range 5 {
			r.join(fmt.Sprint("g", i))
		}
		for range 4 {
			j, _ := r.Get("a")
			got = append(got, j.Notified)
			time.Sleep(time.Minute + time.Second)
		}
		if diff := cmp.Diff([]int{2, 4, 5, 5}, got); diff != "" {
			t.Errorf("notified after each minute (-want +got):\n%s", diff)
		}
	})
}

// TestChange: the rate of a job under way is changed, and an abort criterion that is
// met already ends it.
func TestChange(t *testing.T) {
	bubble(t, 20, func(r *rig) {
		r.create("a", func(j *Job) { j.Rollout.PerMinute = 2 })
		if err := r.Change("a", func(j *Job) { j.Rollout.PerMinute = 5 }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second)
		if j, _ := r.Get("a"); j.Notified != 7 {
			t.Errorf("%d are notified", j.Notified)
		}
		r.ask("g1", "a/update", `{"status":"FAILED"}`)
		if err := r.Change("a", func(j *Job) { j.Rollout.PerMinute = 2000 }); err == nil {
			t.Error("a rate of 2,000 is taken")
		}
		if err := r.Change("a", func(j *Job) { j.Abort = []Abort{{Failure: "ALL", Threshold: 1, Least: 1}} }); err != nil {
			t.Fatal(err)
		}
		if j, _ := r.Get("a"); j.Status != Canceled {
			t.Errorf("it is %s", j.Status)
		}
		if err := r.AddGroup("a", "all"); err == nil {
			t.Error("a job that has ended gets a group")
		}
	})
}

// TestPresigned: placeholders become URLs each time that the document is handed out.
func TestPresigned(t *testing.T) {
	bubble(t, 1, func(r *rig) {
		n := 0
		r.Presign(func(url string, _ time.Duration) string { n++; return fmt.Sprint(url, "?", n) })
		r.create("a", func(j *Job) { j.Document = `{"url":"${aws:iot:s3-presigned-url:https://s3.x/b/k}"}` })
		_, a := r.ask("g1", "start-next", ``)
		_, b := r.ask("g1", "a/get", ``)
		url := func(m map[string]any) any {
			return m["execution"].(map[string]any)["jobDocument"].(map[string]any)["url"]
		}
		if u, v := url(a).(string), url(b).(string); !strings.HasPrefix(u, "https://s3.x/b/k?") || u == v {
			t.Errorf("%s and %s", u, v)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	bubble(t, 1, func(r *rig) {
		for name, change := range map[string]func(*Job){
			"id":       func(j *Job) { j.ID = "a b" },
			"long id":  func(j *Job) { j.ID = strings.Repeat("x", 65) },
			"document": func(j *Job) { j.Document = "{" },
			"large":    func(j *Job) { j.Document = `"` + strings.Repeat("x", 32<<10) + `"` },
			"thing":    func(j *Job) { j.Things = []string{"x"} },
			"group":    func(j *Job) { j.Groups = []string{"x"} },
			"rate":     func(j *Job) { j.Rollout.PerMinute = 1001 },
			"factor":   func(j *Job) { j.Rollout = Rollout{Base: 1, Factor: 9, Notified: 1} },
			"abort":    func(j *Job) { j.Abort = []Abort{{Failure: "X", Threshold: 1, Least: 1}} },
			"retries":  func(j *Job) { j.Retries = map[Status]int{Failed: 11} },
			"retry":    func(j *Job) { j.Retries = map[Status]int{Rejected: 1} },
			"timeout":  func(j *Job) { j.Timeout = 8 * 24 * time.Hour },
			"end":      func(j *Job) { j.End = time.Now().Add(time.Hour) },
			"window":   func(j *Job) { j.Windows = []Window{{"cron(60 * * * ? *)", 5}} },
		} {
			j := Job{ID: "a", Document: `{}`, Groups: []string{"all"}}
			change(&j)
			if err := r.Create(j); err == nil {
				t.Errorf("%s is taken", name)
			}
		}
		r.create("a", nil)
		if err := r.Create(Job{ID: "a", Document: `{}`, Groups: []string{"all"}}); err == nil {
			t.Error("an id is taken twice")
		}
	})
}

// FuzzCron: a window that is read can be asked for any time.
func FuzzCron(f *testing.F) {
	f.Add("cron(0 18 ? * 3 *)", int64(0))
	f.Add("cron(0-30/10,45 */6 1 1-12 ? 2026)", int64(1e9))
	f.Fuzz(func(t *testing.T, text string, at int64) {
		if c, err := parseCron(text); err == nil {
			c.matches(time.Unix(at%1e10, 0))
		}
	})
}
