package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// TestTerms: rate, threshold, time and window are those of the job that AWS gets, in
// the canary's, where one failure is too many, and in the last stage's.
func TestTerms(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	want := jobs.Job{Timeout: 90 * time.Minute, Rollout: jobs.Rollout{PerMinute: 7},
		Windows: []jobs.Window{{Start: "cron(* * * * ? *)", Minutes: 45}}}
	terms := []string{"--rate", "7", "--abort", "12", "--abort-after", "3", "--minutes", "90", "--window",
		"cron(* * * * ? *)", "--window-length", "45m"}
	a.gateways()
	if code, _, _ := a.deploy(terms...); code != exitDone {
		t.Fatal("it was not rolled out")
	}
	for name, threshold := range map[string]float64{"canary": 1, "rest": 12} {
		want.Abort = []jobs.Abort{{Failure: "ALL", Threshold: threshold, Least: 3}}
		found := false
		for _, j := range a.Jobs.All() {
			if !strings.Contains(j.ID, "-"+name+"-") {
				continue
			}
			found = true
			got := jobs.Job{Timeout: j.Timeout, Rollout: j.Rollout, Windows: j.Windows, Abort: j.Abort}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(jobs.Job{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if !found {
			t.Errorf("no job for %s", name)
		}
	}
}

// TestWindowShut: a job waits for its window, and is found again.
func TestWindowShut(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	a.gateways()
	for range 2 {
		const look = "GET /jobs/{id}"
		before := a.Calls()[look]
		ctx, interrupt := context.WithCancel(t.Context())
		go func() { // when it has watched for a while
			for a.Calls()[look] < before+5 && t.Context().Err() == nil {
				time.Sleep(poll)
			}
			interrupt()
		}()
		code, _, told := a.deployUntil(ctx, "--window", "cron(0 0 1 1 ? 2199)")
		if code != exitUnder || strings.Contains(told, "1 of 1 done") || len(a.Jobs.All()) != 1 {
			t.Errorf("exit %d, %d jobs", code, len(a.Jobs.All()))
		}
	}
}

// TestBounds: what AWS would refuse is refused before anything is begun, in a sentence
// that names the flag and what it may be.
func TestBounds(t *testing.T) {
	a := newAccount(t)
	for _, tt := range []struct{ flag, value, says string }{
		{"--rate", "0", "1 to 1000"}, {"--rate", "1001", "1 to 1000"}, {"--abort", "0", "1 to 100"},
		{"--abort", "101", "1 to 100"}, {"--abort-after", "-1", "number of gateways"}, {"--minutes", "0", "1 to 10080"},
		{"--minutes", "10081", "1 to 10080"}, {"--window", "0 2 * * *", "cron(0 2 * * ? *)"},
		{"--window", "cron(0 2 * * *)", "cron(0 2 * * ? *)"}, {"--window-length", "0s", "1m to 23h50m"},
		{"--window-length", "23h51m", "1m to 23h50m"}, {"--window-length", "90s", "whole minutes"},
		{"--confirm", "0s", "1s to 1h"}, {"--confirm", "61m", "1s to 1h"}, {"--timeout", "-1s", "negative"},
		{"--expires", "0s", "more than nothing"},
	} {
		if code, _, told := a.deploy(tt.flag, tt.value); code != exitUsage || !strings.Contains(told, tt.flag) ||
			!strings.Contains(told, tt.says) {
			t.Errorf("%s %s: exit %d, %s", tt.flag, tt.value, code, told)
		}
	}
	if n := len(a.Calls()); n != 0 {
		t.Errorf("AWS was asked: %v", a.Calls())
	}
}
