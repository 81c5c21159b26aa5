package jobs

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// well checks what is wrong with the jobs: a condition with all words, or nothing.
func (r *rig) well(when string, words ...string) {
	r.Helper()
	all := r.worker.Health()
	if len(words) == 0 && len(all) == 0 {
		return
	}
	if len(words) == 0 || len(all) != 1 {
		r.Errorf("%s: %v", when, all)
		return
	}
	for _, word := range words {
		if !strings.Contains(all[0].Code+" "+all[0].Text, word) {
			r.Errorf("%s: %s: %s, without %q", when, all[0].Code, all[0].Text, word)
		}
	}
}

// TestFailedLately: a job that has failed is told for a day, after a restart, too, and
// until another job has ended.
func TestFailedLately(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, nil)
		r.work.outcome <- Outcome{Status: Failed, Error: "boiler.temp is bad",
			Details: map[string]string{"rolled_back": "true"}}
		r.is("a", "FAILED", "")
		failed := []string{"job_failed", "the job a of the cloud (work) has failed: boiler.temp is bad: what ran before runs"}
		r.well("rolled back", failed...)
		if last := r.worker.Now().Last; last == nil || !last.RolledBack || !last.At.Equal(time.Now()) {
			t.Errorf("last is %+v", last)
		}
		r.stop()
		r.start()
		r.well("after a restart", failed...)
		r.connect()
		time.Sleep(lately)
		r.well("a day later")
		r.create("b", work, nil)
		r.work.outcome <- Fail(errors.New("no space"))
		r.is("b", "FAILED", "")
		r.well("failed", "job_failed", "no space", "give it again")
		r.create("c", work, nil)
		r.work.outcome <- Done(nil)
		r.is("c", "SUCCEEDED", "")
		r.well("the next one has succeeded")
		r.create("d", `{"operation":"shell"}`, nil)
		r.is("d", "REJECTED", "")
		r.well("who gave it is told that it is rejected")
	})
}

// TestStuck: a job that does not move is told, if there is a connection that it could move
// by.
func TestStuck(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		time.Sleep(2 * stuckAfter)
		r.well("without a job")
		r.create("a", work, nil)
		time.Sleep(stuckAfter - time.Minute)
		r.work.last.Progress(50)
		time.Sleep(stuckAfter - time.Minute)
		r.work.last.Progress(50)
		r.well("while it moves")
		time.Sleep(2 * time.Minute)
		r.well("stuck", "job_stuck", `the job a of the cloud (work) does not move on from step "working"`)
		r.disconnect()
		r.well("without a connection")
		time.Sleep(time.Minute)
		r.connect()
		r.well("with a new one")
		r.hearing(func(what string) bool { return what == "a/update" })
		r.work.outcome <- Done(nil)
		time.Sleep(stuckAfter + time.Minute)
		r.well("owed", "job_stuck", "the cloud does not take what became of it")
	})
}
