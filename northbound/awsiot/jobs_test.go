package awsiot

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

type plainJobs struct{}

func (plainJobs) Open(_ string, document []byte) (o jobs.Order, err error) {
	return o, json.Unmarshal(document, &o)
}

// doneAt succeeds after a minute.
type doneAt struct{}

func (doneAt) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	if err := j.Note("waiting", nil); err != nil {
		return jobs.Fail(err)
	}
	select {
	case <-time.After(time.Minute):
		return jobs.Done(nil)
	case <-ctx.Done():
		return jobs.Outcome{}
	}
}

// TestJobs: jobs come over the session, those alone that the configuration names, and
// what became of them is on the status topic.
func TestJobs(t *testing.T) {
	bubble(t, func(cfg *Config, o *Options) {
		cfg.Jobs = []string{"restart"}
		o.Opener, o.Operations = plainJobs{}, map[string]jobs.Operation{"restart": doneAt{}, "rotate": doneAt{}}
	}, func(r *rig) {
		service := awsjobs.New(r.cloud.Registry())
		r.cloud.Serve(service)
		r.start()
		<-r.links
		for _, operation := range []string{"restart", "rotate"} {
			if err := service.Create(awsjobs.Job{ID: operation, Document: `{"operation":"` + operation + `"}`,
				Things: []string{"gateway-1"}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if now := r.sink.Jobs(); now.ID != "restart" || now.Step != "waiting" {
			t.Errorf("now %+v", now)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for job, want := range map[string]awsjobs.Status{"restart": awsjobs.Succeeded, "rotate": awsjobs.Rejected} {
			if e := service.Executions(job, ""); e[0].Status != want {
				t.Errorf("%s is %s %v, want %s", job, e[0].Status, e[0].Details, want)
			}
		}
		told := 0
		for _, s := range r.statuses() {
			if s["type"] == "job" {
				told++
			}
		}
		if told != 2 {
			t.Errorf("told %d outcomes: %v", told, r.types())
		}
	})
}

// TestNoJobs: without jobs the gateway listens for none, as a policy may end the
// connection of one that does.
func TestNoJobs(t *testing.T) {
	bubble(t, func(_ *Config, o *Options) {
		o.Opener, o.Operations = plainJobs{}, map[string]jobs.Operation{"restart": doneAt{}}
	}, func(r *rig) {
		service := awsjobs.New(r.cloud.Registry())
		r.cloud.Serve(service)
		r.start()
		<-r.links
		if err := service.Create(awsjobs.Job{ID: "a", Document: `{"operation":"restart"}`,
			Things: []string{"gateway-1"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if e := service.Executions("a", ""); e[0].Status != awsjobs.Queued {
			t.Errorf("it is %s", e[0].Status)
		}
	})
}
