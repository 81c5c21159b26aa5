package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/minisign"
	"fieldbridge/signed"
)

// cloud has jobs that end at the second look, as their results say.
type cloud struct {
	jobs    map[string]account.Progress
	results map[string]account.Progress // by the stage that the name ends with
	created []account.Job
}

func (c *cloud) CreateJob(_ context.Context, j account.Job) error {
	if _, ok := c.jobs[j.ID]; ok {
		return fmt.Errorf("job %s: %w", j.ID, account.ErrExists)
	}
	c.created = append(c.created, j)
	c.jobs[j.ID] = account.Progress{ID: j.ID, Status: "IN_PROGRESS"}
	return nil
}

func (c *cloud) Job(_ context.Context, id string) (account.Progress, error) {
	p, ok := c.jobs[id]
	if !ok {
		return p, account.ErrNotFound
	}
	if !p.Ended() {
		next := c.results[strings.Split(id, "-")[1]]
		next.ID, next.Completed = id, time.Now()
		c.jobs[id] = next
	}
	return p, nil
}

func (c *cloud) CancelJob(_ context.Context, id, reason string, force bool) error {
	p := c.jobs[id]
	p.Status, p.Reason, p.Canceled = "CANCELED", reason, 1
	c.jobs[id] = p
	return nil
}

func (c *cloud) names() (names []string) {
	for _, j := range c.created {
		names = append(names, j.ID)
	}
	return names
}

func stages() []Stage {
	return []Stage{{Name: "canary", Jobs: []account.Job{{ID: "x-canary"}}},
		{Name: "rest", Jobs: []account.Job{{ID: "x-rest"}}, Tolerated: 10}}
}

func TestRun(t *testing.T) {
	good := account.Progress{Status: "COMPLETED", Succeeded: 2}
	for name, tt := range map[string]struct {
		canary, rest account.Progress
		jobs         int
		stopped      bool
	}{
		"all go well":                 {good, good, 2, false},
		"a canary fails":              {account.Progress{Status: "COMPLETED", Succeeded: 9, Failed: 1}, good, 1, true},
		"the canary's job is stopped": {account.Progress{Status: "CANCELED", Succeeded: 9}, good, 1, true},
		"no canary takes it":          {account.Progress{Status: "COMPLETED", Canceled: 2}, good, 1, true},
		"one in ten is tolerated":     {good, account.Progress{Status: "COMPLETED", Succeeded: 9, Failed: 1}, 2, false},
		"two in ten are not":          {good, account.Progress{Status: "COMPLETED", Succeeded: 8, Failed: 2}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cloud{map[string]account.Progress{}, map[string]account.Progress{"canary": tt.canary, "rest": tt.rest}, nil}
				told := 0
				run := func(again bool) error {
					return Run(t.Context(), c, stages(), again, time.Second, func(Stage, Progress) { told++ })
				}
				if err := run(false); errors.Is(err, ErrStopped) != tt.stopped || len(c.created) != tt.jobs {
					t.Fatalf("%v: %q", err, c.names())
				}
				if told != 2*tt.jobs {
					t.Errorf("%d states were told", told)
				}
				if err := run(false); errors.Is(err, ErrStopped) != tt.stopped || len(c.created) != tt.jobs {
					t.Errorf("the second run: %v: %q", err, c.names())
				}
				time.Sleep(time.Hour)
				if _ = run(false); slices.Contains(c.names(), "x-canary-2") != (tt.jobs == 2) ||
					slices.Contains(c.names(), "x-rest-2") != (tt.rest.Failed == 0 && tt.jobs == 2) {
					t.Errorf("after an hour what went well is done again, and no more: %q", c.names())
				}
				before := len(c.created)
				if _ = run(true); len(c.created) != before+tt.jobs {
					t.Errorf("when told to do it again: %q", c.names())
				}
			})
		})
	}
}

// TestCut: a rollout whose operator went away goes on with the same job.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := account.Progress{Status: "COMPLETED", Succeeded: 2}
		c := &cloud{map[string]account.Progress{}, map[string]account.Progress{"canary": good, "rest": good}, nil}
		ctx, cancel := context.WithCancel(t.Context())
		err := Run(ctx, c, stages(), false, time.Second, func(Stage, Progress) { cancel() })
		if !errors.Is(err, context.Canceled) || len(c.created) != 1 {
			t.Fatalf("%v: %q", err, c.names())
		}
		err = Run(t.Context(), c, stages(), false, time.Second, func(Stage, Progress) {})
		if err != nil || !slices.Equal(c.names(), []string{"x-canary", "x-rest"}) {
			t.Errorf("%v: %q", err, c.names())
		}
	})
}

type memory map[string][]byte

func (m memory) Get(key string) ([]byte, error) { return m[key], nil }
func (m memory) Put(key string, value []byte) error {
	m[key] = value
	return nil
}

// TestDocument: a gateway opens what is signed here, though a file's place stands
// beside it, and no other gateway does.
func TestDocument(t *testing.T) {
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	s := &Signer{Keys: []minisign.SecretKey{key}, For: time.Hour}
	order, err := s.Order("config", signed.Targets{Gateways: []string{"a"}}, Content{"00ff", 3}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := Document(order, &File{Stream: "s", URL: "u"})
	if err != nil {
		t.Fatal(err)
	}
	guard := func(name string) *signed.Guard {
		return signed.New(signed.Options{Gateway: name, State: memory{}, Synced: func() bool { return true },
			Trust: func() signed.Trust { return signed.Trust{Keys: []minisign.PublicKey{key.Public()}} }})
	}
	o, err := guard("a").Open("1", []byte(text))
	if err != nil || o.Operation != "config" || string(o.What) != `{"sha256":"00ff","size":3}` {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := guard("b").Open("1", []byte(text)); err == nil {
		t.Error("another gateway took it")
	}
	var around struct{ File File }
	if err := json.Unmarshal([]byte(text), &around); err != nil || around.File != (File{"s", "u"}) {
		t.Errorf("%+v, %v", around, err)
	}
	many := signed.Targets{}
	for i := range 1000 {
		many.Gateways = append(many.Gateways, fmt.Sprintf("gateway-with-a-long-name-%d", i))
	}
	large, err := s.Order("config", many, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Document(large, nil); err == nil {
		t.Error("a document that AWS does not take was made")
	}
}

// TestManyJobs: the jobs of a stage are under way side by side, at most twenty; the
// first failure of a canary cancels the others, and one that was not for all gateways
// is not the end of it.
func TestManyJobs(t *testing.T) {
	many := func(n int) (s Stage) {
		s = Stage{Name: "many", Tolerated: 2}
		for i := range n {
			s.Jobs = append(s.Jobs, account.Job{ID: fmt.Sprintf("x-many-%d", i), Things: []string{fmt.Sprint(i)}})
		}
		return s
	}
	good := account.Progress{Status: "COMPLETED", Succeeded: 1}
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{map[string]account.Progress{}, map[string]account.Progress{"many": good}, nil}
		most := 0
		begun := time.Now()
		err := Run(t.Context(), c, []Stage{many(50)}, false, time.Second, func(_ Stage, p Progress) {
			under := 0
			for _, j := range p.Jobs {
				if !j.Ended() {
					under++
				}
			}
			most = max(most, under)
		})
		if err != nil || len(c.created) != 50 || most != atOnce || time.Since(begun) > 4*time.Second {
			t.Errorf("%v: %d jobs, %d at once, in %v", err, len(c.created), most, time.Since(begun))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		bad := account.Progress{Status: "COMPLETED", Failed: 1}
		c := &cloud{map[string]account.Progress{}, map[string]account.Progress{"many": bad}, nil}
		s := many(3)
		s.Tolerated = 0
		c.jobs["x-many-1"] = account.Progress{ID: "x-many-1", Status: "COMPLETED", Failed: 1}
		err := Run(t.Context(), c, []Stage{s}, false, time.Second, func(Stage, Progress) {})
		if !errors.Is(err, ErrStopped) || len(c.created) != 1 || c.jobs["x-many-0"].Reason != "STOPPED" {
			t.Errorf("%v: %q, %+v", err, c.names(), c.jobs)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		was := good
		was.ID, was.Completed, was.Things = "x-many-0", time.Now(), []string{"0"}
		c := &cloud{map[string]account.Progress{"x-many-0": was}, map[string]account.Progress{"many": good}, nil}
		s := many(1)
		for _, things := range [][]string{{"0"}, {"0", "1"}} {
			s.Jobs[0].Things = things
			if err := Run(t.Context(), c, []Stage{s}, false, time.Second, func(Stage, Progress) {}); err != nil ||
				len(c.created) != len(things)-1 {
				t.Errorf("for %q: %v, %q", things, err, c.names())
			}
		}
	})
}

// TestFill: a job gets its document when it is created, after the stage before has
// ended, and one that is found gets none.
func TestFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := account.Progress{Status: "COMPLETED", Succeeded: 2}
		c := &cloud{map[string]account.Progress{}, map[string]account.Progress{"canary": good, "rest": good}, nil}
		all, begun, filled := stages(), time.Now(), map[string]time.Duration{}
		for i := range all {
			all[i].Fill = func(name string, j *account.Job) error {
				filled[name] = time.Since(begun)
				j.Document = "of " + name
				return nil
			}
		}
		for range 2 {
			if err := Run(t.Context(), c, all, false, time.Second, func(Stage, Progress) {}); err != nil {
				t.Fatal(err)
			}
		}
		if len(filled) != 2 || filled["x-canary"] >= filled["x-rest"] || c.created[1].Document != "of x-rest" {
			t.Errorf("%v, %+v", filled, c.created)
		}
		if err := Run(t.Context(), c, all[:1], true, time.Second, func(Stage, Progress) {}); err != nil ||
			c.created[2].ID != "x-canary-2" || c.created[2].Document != "of x-canary" {
			t.Errorf("%v, %+v", err, c.created)
		}
		wrong := errors.New("wrong")
		all[1].Jobs[0].ID = "y-rest"
		all[1].Fill = func(string, *account.Job) error { return wrong }
		if err := Run(t.Context(), c, all[1:], false, time.Second, func(Stage, Progress) {}); !errors.Is(err, wrong) ||
			len(c.created) != 3 {
			t.Errorf("%v, %d jobs", err, len(c.created))
		}
	})
}
