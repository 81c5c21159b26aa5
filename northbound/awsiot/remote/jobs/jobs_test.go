package jobs

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

const work = `{"operation":"work"}`

// TestJob: a job is taken, told of, done, and its outcome told twice: to Jobs and on
// the status topic.
func TestJob(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		if got := r.requests(); got != "$next/get" {
			t.Errorf("asked %s", got)
		}
		r.create("a", work, nil)
		if got := r.work.said(); got != "a " {
			t.Errorf("did %q", got)
		}
		r.is("a", jobs.InProgress, `{"step":"working"}`)
		if got := r.requests(); got != "$next/get start-next a/update" {
			t.Errorf("asked %s", got)
		}
		r.work.last.Progress(40)
		time.Sleep(tellEvery + time.Second)
		r.is("a", jobs.InProgress, `{"percent":"40","step":"working"}`)
		if now := r.worker.Now(); now.ID != "a" || now.Operation != "work" || now.Step != "working" || now.Percent != 40 {
			t.Errorf("now %+v", now)
		}
		r.work.outcome <- Done(map[string]string{"from": "1", "to": "2"})
		r.is("a", jobs.Succeeded, `{"from":"1","step":"working","to":"2"}`)
		want := `"type":"job",`
		if len(r.told) != 1 || !strings.Contains(r.told[0], want) || !strings.Contains(r.told[0],
			`"id":"a","operation":"work","status":"SUCCEEDED","details":{"from":"1","step":"working","to":"2"}`) {
			t.Errorf("told %s", r.told)
		}
		if now := r.worker.Now(); now.ID != "" || now.Last == nil || now.Last.Status != Succeeded {
			t.Errorf("then %+v", now)
		}
	})
}

// TestOneAtATime: what waits is begun when the cloud has the outcome of the one before.
func TestOneAtATime(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.create("a", work, nil)
		r.create("b", work, nil)
		r.connect()
		r.is("b", jobs.Queued, "")
		r.work.outcome <- Fail(errors.New("no\nluck"))
		r.is("a", jobs.Failed, `{"error":"no luck","step":"working"}`)
		r.is("b", jobs.InProgress, "")
		if got := r.work.said(); got != "a , b " {
			t.Errorf("did %q", got)
		}
	})
}

// TestRejected: what will never be done is not begun.
func TestRejected(t *testing.T) {
	for name, c := range map[string]struct{ document, want string }{
		"unknown":   {`{"operation":"shell"}`, `the operation \"shell\": northbound.awsiot.jobs names work`},
		"no sense":  {`{"x":1}`, "no operation"},
		"a command": {`{"operation":"commands on"}`, "does not take"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.start()
				r.connect()
				r.create("a", c.document, nil)
				r.is("a", jobs.Rejected, "")
				if got := r.cloud.Executions("a", "g")[0].Details["error"]; !strings.Contains(`"`+got,
					strings.ReplaceAll(c.want, `\`, "")) {
					t.Errorf("error %s", got)
				}
				if got := r.work.said(); got != "" {
					t.Errorf("did %s", got)
				}
			})
		})
	}
}

// TestRestart: the next process goes on where the one before was, and does not ask
// for another job first.
func TestRestart(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, nil)
		r.create("b", work, nil)
		if got := r.work.said(); got != "a " {
			t.Fatal(got)
		}
		r.stop()
		r.requests()
		r.work.said()
		r.start()
		if got := r.work.said(); got != "a working7" {
			t.Errorf("without a connection: %q", got)
		}
		r.connect()
		if got := r.requests(); got != "a/get a/update" {
			t.Errorf("asked %s", got)
		}
		r.work.outcome <- Done(nil)
		r.is("a", jobs.Succeeded, `{"step":"working"}`)
		r.is("b", jobs.InProgress, "")
	})
}

// TestOutcomeWaits: what became of a job without a connection is told by the next
// process, before another job is taken; the operation is not called again.
func TestOutcomeWaits(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, nil)
		r.create("b", work, nil)
		r.disconnect()
		r.work.outcome <- Done(nil)
		synctest.Wait()
		if now := r.worker.Now(); !now.Owed {
			t.Errorf("now %+v", now)
		}
		r.stop()
		r.requests()
		r.start()
		r.connect()
		if got := r.requests(); !strings.HasPrefix(got, "a/update $next/get start-next") {
			t.Errorf("asked %s", got)
		}
		r.is("a", jobs.Succeeded, "")
		if got := r.work.said(); got != "a , b " {
			t.Errorf("did %q", got)
		}
	})
}

// TestAnswerLost: an outcome whose answer is lost is told again, and taken as told.
func TestAnswerLost(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, nil)
		lost := 0
		r.mu.Lock()
		r.deaf = func(what string) bool { lost++; return what == "a/update" && lost <= 2 }
		r.mu.Unlock()
		r.work.outcome <- Done(nil)
		time.Sleep(time.Minute)
		r.is("a", jobs.Succeeded, "")
		if lost < 3 {
			t.Error("nothing was lost")
		}
	})
}

// TestVersion: when somebody else has changed the execution, its version is taken
// over, and the same is sent once more.
func TestVersion(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, nil)
		r.worker.mu.Lock()
		r.worker.record.version = 77
		r.worker.mu.Unlock()
		r.requests()
		r.work.outcome <- Done(nil)
		r.is("a", jobs.Succeeded, "")
		if got := r.requests(); !strings.HasPrefix(got, "a/update a/update $next/get") {
			t.Errorf("asked %s", got)
		}
	})
}

// TestCancelled: who does a job is told that the cloud has ended it, at once or with
// the next connection, and what became of it is told on the status topic.
func TestCancelled(t *testing.T) {
	for _, away := range []bool{false, true} {
		bubble(t, func(r *rig) {
			r.start()
			r.connect()
			r.create("a", work, nil)
			if away {
				r.disconnect()
			}
			if err := r.cloud.Cancel("a", "", "", true); err != nil {
				t.Fatal(err)
			}
			if away {
				r.connect()
			}
			synctest.Wait()
			if got := r.work.said(); got != "a , the cloud has ended the job" {
				t.Errorf("did %q", got)
			}
			r.is("a", jobs.Canceled, "")
			if len(r.told) != 1 || !strings.Contains(r.told[0], `"status":"FAILED","details":{"error":"taken back"`) {
				t.Errorf("told %s", r.told)
			}
			r.create("b", work, nil)
			r.is("b", jobs.InProgress, "")
		})
	}
}

// TestCommitted: an outcome that comes after the cloud has ended the job stays what it
// is: no report undoes it.
func TestCommitted(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, nil)
		r.disconnect()
		if err := r.cloud.Cancel("a", "", "", true); err != nil {
			t.Fatal(err)
		}
		r.work.outcome <- Done(nil)
		synctest.Wait()
		r.connect()
		if len(r.told) != 1 || !strings.Contains(r.told[0], `"status":"SUCCEEDED"`) {
			t.Errorf("told %s", r.told)
		}
		if now := r.worker.Now(); now.ID != "" {
			t.Errorf("it is still told: %+v", now)
		}
	})
}

// TestStepTimer: a job that goes on is not timed out by the cloud, one whose gateway
// is gone is.
func TestStepTimer(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, nil)
		time.Sleep(3 * time.Hour)
		r.is("a", jobs.InProgress, "")
		r.disconnect()
		time.Sleep(31 * time.Minute)
		r.is("a", jobs.TimedOut, "")
		r.connect()
		if got := r.work.said(); got != "a , the cloud has ended the job" {
			t.Errorf("did %q", got)
		}
	})
}

// TestTriedAgain: a job that failed and is to be repeated is another execution.
func TestTriedAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.create("a", work, func(j *jobs.Job) { j.Retries = map[jobs.Status]int{jobs.Failed: 1} })
		r.work.outcome <- Fail(errors.New("once"))
		synctest.Wait()
		r.work.outcome <- Done(nil)
		r.is("a", jobs.Succeeded, "")
		if got := r.work.said(); got != "a , a " {
			t.Errorf("did %q", got)
		}
	})
}

// TestDisk: without a disk nothing is begun, and a job whose record is lost is begun
// again as one that was begun.
func TestDisk(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.state.fail(true)
		r.create("a", work, nil)
		r.is("a", jobs.Failed, `{"error":"the job's state cannot be saved: disk full"}`)
		if got := r.work.said(); got != "" {
			t.Errorf("did %q", got)
		}
		r.state.fail(false)
		r.create("b", work, nil)
		r.stop()
		r.work.said()
		r.state.values = nil
		r.start()
		r.connect()
		if got := r.work.said(); got != "b  again" {
			t.Errorf("did %q", got)
		}
	})
}

// TestNoNotification: a notification that is lost delays a job for an hour at most.
func TestNoNotification(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.connect()
		r.mu.Lock()
		s := r.session
		r.session = nil
		r.mu.Unlock()
		r.create("a", work, nil)
		r.mu.Lock()
		r.session = s
		r.mu.Unlock()
		r.is("a", jobs.Queued, "")
		time.Sleep(lookEvery + time.Second)
		r.is("a", jobs.InProgress, "")
	})
}
