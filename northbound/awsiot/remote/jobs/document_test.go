package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// fresh asks for the document of the job that is being done, and returns what comes of it.
func (r *rig) fresh(ctx context.Context) <-chan string {
	r.work.mu.Lock()
	j := r.work.last
	r.work.mu.Unlock()
	said := make(chan string, 1)
	go func() {
		document, err := j.Document(ctx)
		var d struct{ URL string }
		if err == nil {
			err = json.Unmarshal(document, &d)
		}
		said <- fmt.Sprintf("%s %v", d.URL, err)
	}()
	synctest.Wait()
	return said
}

// hearing has the cloud not hear some requests.
func (r *rig) hearing(deaf func(what string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf = deaf
}

func (r *rig) got(said <-chan string, want string) {
	r.Helper()
	select {
	case got := <-said:
		if got != want {
			r.Errorf("got %s, want %s", got, want)
		}
	default:
		r.Errorf("nothing came, want %s", want)
	}
}

// TestDocument: the document of the job under way is had anew as often as it is wanted,
// over the next connection if there is none; not of a job that the cloud has ended.
func TestDocument(t *testing.T) {
	bubble(t, func(r *rig) {
		n := 0
		r.cloud.Presign(func(string, time.Duration) string { n++; return fmt.Sprint("u", n) })
		r.start()
		r.connect()
		r.create("a", `{"operation":"work","url":"${aws:iot:s3-presigned-url:https://s3.x/b/k}"}`, nil)
		r.requests()
		before := n
		r.got(r.fresh(r.Context()), fmt.Sprintf("u%d <nil>", before+1))
		r.got(r.fresh(r.Context()), fmt.Sprintf("u%d <nil>", before+2))
		if got := r.requests(); got != "a/get a/get" {
			t.Errorf("asked %s", got)
		}

		r.disconnect()
		ctx, cancel := context.WithCancelCause(r.Context())
		given := r.fresh(ctx)
		cancel(errors.New("no time"))
		synctest.Wait()
		r.got(given, " no time")
		waits := r.fresh(r.Context())
		r.connect()
		r.got(waits, fmt.Sprintf("u%d <nil>", before+3))

		// A service that does not answer is asked again.
		r.hearing(func(what string) bool { return what == "a/get" })
		waits = r.fresh(r.Context())
		time.Sleep(time.Minute)
		r.hearing(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		r.got(waits, fmt.Sprintf("u%d <nil>", n))

		r.work.said()
		if err := r.cloud.Cancel("a", "", "", true); err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithCancelCause(r.Context())
		given = r.fresh(ctx)
		if got := r.work.said(); got != ErrEnded.Error() { // who does the job is told, and asks no more
			t.Errorf("the operation says %s", got)
		}
		cancel(ErrEnded)
		synctest.Wait()
		r.got(given, " "+ErrEnded.Error())
		r.is("a", jobs.Canceled, "")
	})
}

// TestAgain: who gets no answer asks again at a moment of its own, as others of a
// fleet have got none, either.
func TestAgain(t *testing.T) {
	moments := map[time.Duration]bool{}
	for range 10 {
		bubble(t, func(r *rig) {
			began := time.Now()
			asked := 0
			r.hearing(func(string) bool {
				if asked++; asked == 2 {
					moments[time.Since(began)] = true
				}
				return true
			})
			r.start()
			r.connect()
			time.Sleep(time.Minute)
		})
	}
	if len(moments) < 5 {
		t.Errorf("ten gateways asked again after %v", slices.Collect(maps.Keys(moments)))
	}
}
