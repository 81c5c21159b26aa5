package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// TestThrottled: AWS throttles each call three times, and all is done.
func TestThrottled(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	var mu sync.Mutex
	throttled := map[string]int{} // guarded by mu
	a.Fail(func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		if throttled[call]++; throttled[call] <= 3 {
			return &registry.Error{Code: "ThrottlingException", Text: "Rate exceeded"}
		}
		return nil
	})
	a.gateways()
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Error("not everything was made")
	}
	if code, _, _ := a.deploy(); code != exitDone {
		t.Error("it was not rolled out")
	}
	if code, out, _ := a.run("status", a.file); code != exitDone || !strings.Contains(out, "3 current") {
		t.Error("status does not tell")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(throttled) < 15 {
		t.Errorf("only %d kinds of calls were throttled", len(throttled))
	}
	a.Fail(func(call string) error { return &registry.Error{Code: "ThrottlingException", Text: "Rate exceeded"} })
	if code, _, told := a.run("status"); code != exitFailed || !strings.Contains(told, "Rate exceeded") {
		t.Error("who is throttled for ever is not told")
	}
}

// TestCalls: a fleet of 250 is one search a hundred gateways and one call a job, however
// many gateways it has.
func TestCalls(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	text := new(strings.Builder)
	text.WriteString(fleetText)
	for i := range 247 {
		name := fmt.Sprintf("h%03d", i)
		fmt.Fprintf(text, "  %s: {groups: [others]}\n", name)
		a.thing(name)
	}
	a.write("fleet.yaml", text.String())
	calls := func(do func()) map[string]int {
		before := a.Calls()
		do()
		made := map[string]int{}
		for name, n := range a.Calls() {
			if n != before[name] && !strings.HasPrefix(name, "sts:") && name != "GET /jobs/{id}" { // it was watched
				made[name] = n - before[name]
			}
		}
		return made
	}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() { // as soon as all jobs are there
		for len(a.Jobs.All()) < 3 && t.Context().Err() == nil {
			time.Sleep(poll)
		}
		interrupt()
	}()
	a.run("create", a.file, "--bucket", "files")
	made := calls(func() {
		if code, _, _ := a.runUntil(ctx, "deploy", a.file, "--bucket", "files", "--rate", "1000", "--key",
			filepath.Join(a.dir, "signing.key")); code != exitUnder {
			t.Errorf("exit %d", code)
		}
	})
	want := map[string]int{"POST /indices/search": 3, "S3 PUT object": 1, "POST /streams/{id}": 1, "PUT /jobs/{id}": 3}
	few(t, "deploy", want, made)
	for _, name := range []string{"g1", "h000", "h246"} {
		a.spoil = func(string) bool { return true }
		a.take(name)
	}
	var rows []row
	made = calls(func() {
		_, out, _ := a.run("status", a.file, "--json")
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Error(err)
		}
	})
	want = map[string]int{"POST /indices/search": 3, "GET /jobs": 1, "GET /jobs/{id}/things": 3,
		"GET /things/{name}/jobs/{id}": 3}
	few(t, "status", want, made)
	failed := 0
	for _, r := range rows {
		if r.Job == nil {
			t.Errorf("nothing is told of the job of %s", r.Name)
		} else if r.Job.Failed() && r.Job.Details["rolled_back"] == "boiler.temp" {
			failed++
		}
	}
	if failed != 3 || len(rows) != 250 {
		t.Errorf("%d of %d gateways have rolled back", failed, len(rows))
	}
}

// few fails if other calls were made, or more than the SDK's own second tries, of which
// a loaded machine has some.
func few(t *testing.T, command string, want, made map[string]int) {
	t.Helper()
	again := 0
	for name, n := range made {
		again += n - want[name]
		if want[name] == 0 || n < want[name] {
			t.Errorf("%s: %d times %s, want %d", command, n, name, want[name])
		}
	}
	if len(made) != len(want) || again > 3 {
		t.Errorf("%s: %v, want %v", command, made, want)
	}
}

// TestStatusOfVersions: who runs which version, who is behind the one that is asked for,
// and who rolled back an update though its configuration is right.
func TestStatusOfVersions(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	a.gateways()
	if code, _, _ := a.deploy(); code != exitDone {
		t.Fatal("it was not rolled out")
	}
	for _, name := range []string{"g1", "g2", "g3"} {
		a.is(name, func(r *running) { r.Platform = "linux/amd64" })
	}
	a.is("g3", func(r *running) { r.Version = "1.1.0" })
	a.spoil = func(thing string) bool { return thing == "g2" }
	if code, _, _ := a.update(a.releases("1.1.0")[:1]); code != exitStopped {
		t.Error("nobody rolled back")
	}
	code, out, _ := a.run("status", a.file)
	if code != exitDone || !strings.Contains(out, "3 current, 2 run 1.1.0, 1 run 1.0.0") ||
		!strings.Contains(out, "failed: rolled_back boiler.temp, error no good points") ||
		strings.Count(out, "current, job failed, rolled back\n") != 1 || strings.Count(out, "job") != 2 {
		t.Error("who rolled back is not told, or more")
	}
	a.write("fleet.yaml", strings.ReplaceAll(fleetText, "site:", "zone:"))
	if _, out, _ := a.run("status", a.file); !strings.Contains(out, "3 behind") || strings.Count(out, "job") != 2 {
		t.Error("of gateways that are behind more is told than of their jobs that failed")
	}
	if code, out, _ := a.run("status", "--version", "1.1.0"); code != exitDone || !strings.Contains(out, "1 behind") {
		t.Error("who is behind is not told")
	}
}

// TestStatusFolds: what went wrong alike on many gateways is told once, the most first.
func TestStatusFolds(t *testing.T) {
	var rows []row
	for i := range 9 {
		name := fmt.Sprintf("g%d", i)
		e := &account.Execution{Gateway: name, Job: "j", Status: "FAILED", Details: map[string]string{"step": "trial",
			"rolled_back": "true", "error": "a is bad", "percent": fmt.Sprint(i), "from": fmt.Sprintf("%016x", i),
			"to": fmt.Sprintf("%016x", i+100)}}
		switch i {
		case 0:
			e.Details["error"], e.Details["from"], e.Details["to"] = "b is bad", "1.0.0", "1.1.0"
		case 4:
			e = &account.Execution{Gateway: name, Job: "k", Status: "IN_PROGRESS",
				Details: map[string]string{"step": "download"}}
		case 5:
			e = &account.Execution{Gateway: name, Job: "j", Status: "SUCCEEDED"}
		case 6:
			e = nil
		}
		rows = append(rows, row{Gateway: account.Gateway{Name: name, Version: "1.0.0"}, State: behind, Job: e})
	}
	var out bytes.Buffer
	table(&out, rows)
	_, after, _ := strings.Cut(out.String(), "g8 ")
	_, after, _ = strings.Cut(after, "\n")
	want := "g1, g2, g3, g7, g8: job j failed: step trial, rolled_back true, error a is bad\n" +
		"g0: job j failed: step trial, from 1.0.0, to 1.1.0, rolled_back true, error b is bad\n" +
		"g4: job k in progress: step download\n" +
		"9 gateways, 9 behind, 9 run 1.0.0\n"
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for text, n := range map[string]int{"behind, job failed, rolled back\n": 6, "behind, job in progress\n": 1,
		"behind\n": 2} {
		if got := strings.Count(out.String(), text); got != n {
			t.Errorf("%d times %q, want %d:\n%s", got, text, n, &out)
		}
	}
}

// TestDiagnose: what gateways say of themselves is printed, and nothing of those that
// were not asked.
func TestDiagnose(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	a.gateways()
	ask := []string{"diagnose", "--gateway", "g1", "--gateway", "g3", "--key", filepath.Join(a.dir, "signing.key")}
	code, out, _ := a.run(ask...)
	if code != exitDone || out != "g1: all is well\n  problem_1 bus \"x\" is dark\n  version 1.0.0\ng3: all is well\n"+
		"  problem_1 bus \"x\" is dark\n  version 1.0.0\n" {
		t.Error("what they say is not told")
	}
	var told []account.Execution
	_, out, _ = a.run(append(ask, "--json")...)
	if err := json.Unmarshal([]byte(out), &told); err != nil || len(told) != 2 || told[1].Gateway != "g3" ||
		told[1].Details["sentence"] != "all is well" {
		t.Errorf("%+v, %v", told, err)
	}
}

// TestPauseElsewhere: a rollout that is watched by another process ends as stopped, and
// begins no other job.
func TestPauseElsewhere(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	ended := make(chan int, 1)
	go func() {
		code, _, _ := a.deploy()
		ended <- code
	}()
	for len(a.Jobs.All()) == 0 && t.Context().Err() == nil {
		time.Sleep(poll)
	}
	code, _, told := a.run("pause")
	if code != exitDone || !strings.Contains(told, "is canceled: 0 gateways had done it, 0 are at it, 1 are left out") {
		t.Error("it was not paused, or is not told")
	}
	if code := <-ended; code != exitStopped || len(a.Jobs.All()) != 1 {
		t.Errorf("exit %d, %d jobs", code, len(a.Jobs.All()))
	}
}

// TestBar: a line for each change in a pipe; on a terminal a bar in one line, whole at
// the end.
func TestBar(t *testing.T) {
	steps := []account.Progress{{ID: "j", Status: "IN_PROGRESS", Queued: 2}, {ID: "j", Status: "IN_PROGRESS", Running: 1,
		Succeeded: 1}, {ID: "j", Status: "COMPLETED", Succeeded: 1, Failed: 1}}
	for terminal, want := range map[bool]string{
		false: "a: 0 of 2 done, 0 at it, 0 failed, job j in progress\n" +
			"a: 1 of 2 done, 1 at it, 0 failed, job j in progress\n" +
			"a: 1 of 2 done, 0 at it, 1 failed, job j completed\n",
		true: "\r\x1b[K[..............................] a: 0 of 2 done, 0 at it, 0 failed, job j in progress" +
			"\r\x1b[K[###############...............] a: 1 of 2 done, 1 at it, 0 failed, job j in progress" +
			"\r\x1b[K[##############################] a: 1 of 2 done, 0 at it, 1 failed, job j completed\n",
	} {
		var out bytes.Buffer
		show := bar(&out, terminal)
		for _, p := range steps {
			show("a", rollout.Progress{Progress: p})
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("terminal %v (-want +got):\n%s", terminal, diff)
		}
	}
}
