package orders

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/gateway/change"
	"fieldbridge/minisign"
	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
	"fieldbridge/signed"
)

// cloud does one job after another on a gateway that has a connection all the time.
type cloud struct {
	t       *testing.T
	service *awsjobs.Service
	state   *memory
	hear    func(uplink.Inbound)
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	reg := registry.New()
	if err := reg.AddThing(registry.Thing{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	return &cloud{t: t, service: awsjobs.New(reg), state: &memory{}}
}

// run runs a gateway with these operations until part returns; stop ends it as a stop
// does.
func (c *cloud) run(opener jobs.Opener, operations map[string]jobs.Operation, part func()) {
	c.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := jobs.New(jobs.Options{Gateway: "g", Run: "r", Log: slog.New(slog.DiscardHandler), State: c.state,
		Opener: opener, Operations: operations})
	var all sync.WaitGroup
	all.Go(func() { w.Run(ctx) })
	all.Go(func() { w.Serve(ctx, c, "status", slices.Collect(maps.Keys(operations))) })
	part()
	stop()
	all.Wait()
}

func (c *cloud) create(id string, document any) {
	c.t.Helper()
	text, err := json.Marshal(document)
	if err == nil {
		err = c.service.Create(awsjobs.Job{ID: id, Document: string(text), Things: []string{"g"}})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// became returns the state of a job and what was said of it.
func (c *cloud) became(id string) string {
	e := c.service.Executions(id, "g")[0]
	text, _ := json.Marshal(e.Details)
	return string(e.Status) + " " + string(text)
}

func (c *cloud) Send(m *bridge.Message, _ []byte, done func(error)) {
	c.service.Request(service.Caller{Thing: "g", Unasked: func(topic string, payload []byte) {
		go c.hear(uplink.Inbound{Topic: topic, Payload: payload})
	}}, m.Topic, m.Payload)
	done(nil)
}

func (c *cloud) Subscribe(context.Context, ...string) error   { return nil }
func (c *cloud) HandleBelow(_ string, f func(uplink.Inbound)) { c.hear = f }

type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *memory) Get(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], nil
}

func (m *memory) Put(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[key] = value
	return nil
}

// TestOpen: what changes what runs must be signed by who is trusted.
func TestOpen(t *testing.T) {
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	seal := func(operation string, serial uint64) []byte {
		e, err := signed.Seal(signed.Order{Operation: operation, Targets: signed.Targets{All: true}, Serial: serial,
			NotBefore: time.Unix(0, 0), Expires: time.Now().Add(time.Hour), What: []byte(`{"a":1}`)}, nil, key)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(e)
		return text
	}
	open := func(trust signed.Trust) Opener {
		return Opener{signed.New(signed.Options{Gateway: "g", State: &memory{},
			Trust: func() signed.Trust { return trust }, Synced: func() bool { return true }})}
	}
	trusted := signed.Trust{Keys: []minisign.PublicKey{key.Public()}, Threshold: 1}
	for name, test := range map[string]struct {
		trust    signed.Trust
		document string
		want     string // the operation, or a part of the error
		wrong    bool
	}{
		"unsigned restart":     {trusted, `{"operation":"restart"}`, "restart", false},
		"unsigned config":      {trusted, `{"operation":"config","what":{}}`, "must be signed", true},
		"unsigned update":      {trusted, `{"operation":"update","what":{}}`, "must be signed", true},
		"none that there is":   {trusted, `{"operation":"reboot"}`, "reboot", false}, // the worker refuses it
		"no JSON":              {trusted, `{`, "cannot be read", true},
		"nothing":              {trusted, `{}`, "names no operation", true},
		"unsigned system":      {trusted, `{"operation":"os-update","what":{}}`, "must be signed", true},
		"signed config":        {trusted, string(seal("config", 1)), "config", false},
		"without keys":         {signed.Trust{}, string(seal("config", 2)), "updates.keys", true},
		"a payload of nothing": {trusted, `{"operation":"config","payload":""}`, "", true},
		"an operation outside": {trusted, strings.Replace(string(seal("restart", 3)), "{", `{"operation":"config",`, 1),
			"restart", false},
		"a signature too short": {trusted, strings.Replace(string(seal("config", 4)), `"sig":"`, `"sig":"AAAA`, 1), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			opener := open(test.trust)
			order, err := opener.Open("job", []byte(test.document))
			if _, again := opener.Open("job", []byte(test.document)); (again == nil) != (err == nil) {
				t.Errorf("the same job after a restart: %v, before: %v", again, err)
			}
			switch {
			case test.wrong && (err == nil || !bridge.IsPermanent(err) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %s", err, test.want)
			case !test.wrong && (err != nil || order.Operation != test.want):
				t.Errorf("%v, %v, want %s", order.Operation, err, test.want)
			}
		})
	}
}

// failing is an operation that fails, and does so again.
type failing struct{ done *int }

func (f failing) Do(context.Context, *jobs.Job) jobs.Outcome {
	*f.done++
	return jobs.Fail(errors.New("there is no room"))
}

// TestRetried has the cloud try a signed job again, which is no replay; the same order in
// another job is.
func TestRetried(t *testing.T) {
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		e, err := signed.Seal(signed.Order{Operation: "config", Targets: signed.Targets{All: true}, Serial: 1,
			NotBefore: time.Unix(0, 0), Expires: time.Now().Add(time.Hour)}, nil, key)
		if err != nil {
			t.Fatal(err)
		}
		c, done := newCloud(t), 0
		text, _ := json.Marshal(e)
		for _, id := range []string{"a", "b"} {
			if err := c.service.Create(awsjobs.Job{ID: id, Document: string(text), Things: []string{"g"},
				Retries: map[awsjobs.Status]int{awsjobs.Failed: 2}}); err != nil {
				t.Fatal(err)
			}
		}
		opener := Opener{signed.New(signed.Options{Gateway: "g", State: c.state,
			Trust: func() signed.Trust { return signed.Trust{Keys: []minisign.PublicKey{key.Public()}} }})}
		c.run(opener, map[string]jobs.Operation{"config": failing{&done}}, func() {
			time.Sleep(time.Hour)
			synctest.Wait()
		})
		if got := c.became("a"); done != 3 || !strings.HasPrefix(got, "FAILED") || !strings.Contains(got, "no room") {
			t.Errorf("%s after %d tries, want 3", got, done)
		}
		if got := c.became("b"); !strings.HasPrefix(got, "REJECTED") || !strings.Contains(got, "replayed") {
			t.Errorf("the same order in another job: %s", got)
		}
	})
}

// plainOpener takes what nobody has signed.
type plainOpener struct{}

func (plainOpener) Open(_ string, document []byte) (o jobs.Order, err error) {
	return o, json.Unmarshal(document, &o)
}

// TestRestartQuiet: a restart waits for the command that is under way, and cut or
// cancelled meanwhile it has not begun.
func TestRestartQuiet(t *testing.T) {
	for name, test := range map[string]struct {
		force    bool // the cloud takes it back while it waits
		restarts int
		want     string
	}{
		"waits":            {restarts: 1, want: "SUCCEEDED "},
		"cancelled before": {force: true, want: "CANCELED "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, h, restarts := newCloud(t), &hush{ends: make(chan struct{})}, 0
				operations := map[string]jobs.Operation{"restart": Restart{Again: func() { restarts++ }, Quiet: h.hold}}
				c.create("a", jobs.Order{Operation: "restart"})
				c.run(plainOpener{}, operations, synctest.Wait) // this process ends while it waits
				c.run(plainOpener{}, operations, func() {
					synctest.Wait()
					if restarts != 0 || h.asked.Load() != 2 {
						t.Errorf("%d restarts though a command is under way, asked %d times", restarts, h.asked.Load())
					}
					if test.force {
						if err := c.service.CancelExecution("a", "g", true); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Minute)
					} else {
						close(h.ends)
					}
					synctest.Wait()
				})
				c.run(plainOpener{}, operations, synctest.Wait)
				if got := c.became("a"); !strings.HasPrefix(got, test.want) || restarts != test.restarts {
					t.Errorf("%s, %d restarts", got, restarts)
				}
			})
		})
	}
}

// TestRestart: a restart has succeeded when the next process runs, and is not done twice.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, restarts := newCloud(t), 0
		operations := map[string]jobs.Operation{"restart": Restart{Again: func() { restarts++ }}}
		c.create("a", jobs.Order{Operation: "restart"})
		c.run(plainOpener{}, operations, func() {
			synctest.Wait()
			if got := c.became("a"); got != `IN_PROGRESS {"step":"restarting"}` || restarts != 1 {
				t.Errorf("%s, %d restarts", got, restarts)
			}
		})
		c.run(plainOpener{}, operations, func() {
			synctest.Wait()
			if got := c.became("a"); got != `SUCCEEDED {"step":"restarting"}` || restarts != 1 {
				t.Errorf("%s, %d restarts", got, restarts)
			}
		})
	})
}

// uplinked is an identity that is scripted.
type uplinked struct {
	id      string
	outcome chan error
	next    string
	asked   int
}

func (u *uplinked) Rotate(ctx context.Context) error {
	u.asked++
	select {
	case err := <-u.outcome:
		if err == nil {
			u.id = u.next
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *uplinked) Link() bridge.LinkStatus {
	return bridge.LinkStatus{Connected: true, Identity: &bridge.IdentityStatus{ID: u.id}}
}

// TestRotate: a rotation is done once, though a restart cuts it.
func TestRotate(t *testing.T) {
	for name, test := range map[string]struct {
		cut   bool // before the outcome, which comes all the same
		fails error
		want  string
	}{
		"done":   {false, nil, `SUCCEEDED {"from":"one","step":"rotating","to":"two"}`},
		"cut":    {true, nil, `SUCCEEDED {"from":"one","step":"rotating","to":"two"}`},
		"failed": {false, errors.New("throttled"), `FAILED {"error":"throttled","step":"rotating"}`},
		"never": {false, bridge.Permanent(errors.New("no template")),
			`REJECTED {"error":"no template","step":"rotating"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, u := newCloud(t), &uplinked{id: "one", next: "two", outcome: make(chan error, 1)}
				operations := map[string]jobs.Operation{"rotate": Rotate{Identity: u}}
				c.create("a", jobs.Order{Operation: "rotate"})
				if test.cut {
					c.run(plainOpener{}, operations, synctest.Wait)
					u.id = "two"
				} else {
					u.outcome <- test.fails
				}
				c.run(plainOpener{}, operations, synctest.Wait)
				if got := c.became("a"); got != test.want || u.asked != 1 {
					t.Errorf("%s after %d rotations, want %s", got, u.asked, test.want)
				}
			})
		})
	}
}

// changer is a scripted [Changer].
type changer struct {
	status   change.Status
	err      error
	deployed []change.Deployment
}

func (c *changer) Status() change.Status { return c.status }

func (c *changer) Deploy(_ context.Context, d change.Deployment) error {
	if d.Begin != nil {
		if err := d.Begin(d.Hash); err != nil {
			return err
		}
	}
	c.deployed = append(c.deployed, d)
	if c.err == nil {
		c.status.Hash = d.Hash
	}
	return c.err
}

func packed(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.Bytes()
}

// TestConfig: a configuration is deployed once; each end is told as what it is.
func TestConfig(t *testing.T) {
	const hash = "0123456789abcdef"
	right := Deploy{Hash: hash, YAML: packed("gateway: g\n")}
	for name, test := range map[string]struct {
		what any
		runs string // hash
		err  error
		cut  bool // the gateway stops in the trial
		want string
		none bool // nothing is deployed
	}{
		"done":         {right, "old", nil, false, `SUCCEEDED {"from":"old","step":"trial","to":"` + hash + `"}`, false},
		"the same":     {right, hash, nil, false, `SUCCEEDED {"from":"` + hash + `","to":"` + hash + `"}`, true},
		"no hash":      {Deploy{Hash: "x"}, "old", nil, false, "REJECTED", true},
		"path as hash": {Deploy{Hash: "../../etc/passwd"}, "old", nil, false, "REJECTED", true},
		"too short": {Deploy{Hash: hash, YAML: right.YAML, Confirm: 1}, "old", nil, false,
			`REJECTED {"error":"confirm is`, true},
		"too long": {Deploy{Hash: hash, YAML: right.YAML, Confirm: setting.Duration(61 * time.Minute)}, "old", nil, false,
			`REJECTED {"error":"confirm is`, true},
		"not packed": {Deploy{Hash: hash, YAML: []byte("x")}, "old", nil, false, "REJECTED", true},
		"nothing":    {Deploy{Hash: hash}, "old", nil, false, "REJECTED", true},
		"too large": {Deploy{Hash: hash, YAML: packed(strings.Repeat("#", maxYAML+1))}, "old", nil, false,
			"REJECTED", true},
		"taken back": {right, "old", &change.RolledBack{Why: "d is bad"}, false,
			`FAILED {"error":"taken back: d is bad","from":"old","rolled_back":"true","step":"trial","to":"` +
				hash + `"}`, false},
		"wrong":  {right, "old", bridge.Permanent(errors.New("line 1")), false, "REJECTED", false},
		"edited": {right, "old", change.ErrEdited, false, "FAILED", false},
		"cut": {right, "old", change.ErrStopped, true,
			`FAILED {"error":"the gateway ended while the configuration was on trial","from":"old","rolled_back":"true",` +
				`"step":"trial","to":"` + hash + `"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old := filepath.Join(dir, "fedcba9876543210")
			if err := os.Mkdir(old, 0o700); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				c, ch := newCloud(t), &changer{status: change.Status{Hash: test.runs}, err: test.err}
				operations := map[string]jobs.Operation{"config": Config{Dir: dir, Changer: ch, Layer: Files{}, Usual: closed}}
				what, _ := json.Marshal(test.what)
				c.create("a", jobs.Order{Operation: "config", What: what})
				if test.cut {
					step := Config{Dir: dir, Changer: ch, Layer: Files{}, Usual: closed}
					c.run(plainOpener{}, map[string]jobs.Operation{"config": cutting{step}}, synctest.Wait)
				}
				c.run(plainOpener{}, operations, synctest.Wait)
				if got := c.became("a"); !strings.HasPrefix(got, test.want) {
					t.Errorf("%s\nwant %s", got, test.want)
				}
				if n := len(ch.deployed); n > 1 || (n == 0) != test.none {
					t.Errorf("deployed %d times", n)
				}
				if test.err == nil && !test.none {
					text, err := os.ReadFile(ch.deployed[0].File)
					if string(text) != "gateway: g\n" || ch.deployed[0].Confirm != usualConfirm {
						t.Errorf("deployed %q %v, %v", text, err, ch.deployed[0].Confirm)
					}
					if _, err := os.Stat(old); err == nil {
						t.Error("what was deployed before is kept for ever")
					}
				}
			})
		})
	}
}

// TestConfigAwaitsUsual: on a gateway that has just started nothing goes on trial.
func TestConfigAwaitsUsual(t *testing.T) {
	const hash = "0123456789abcdef"
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c, ch, usual := newCloud(t), &changer{status: change.Status{Hash: "old"}}, make(chan struct{})
		step := Config{Dir: dir, Changer: ch, Layer: Files{}, Usual: usual}
		what, _ := json.Marshal(Deploy{Hash: hash, YAML: packed("gateway: g\n")})
		c.create("a", jobs.Order{Operation: "config", What: what})
		c.run(plainOpener{}, map[string]jobs.Operation{"config": step}, synctest.Wait)
		if got := c.became("a"); len(ch.deployed) > 0 || !strings.HasPrefix(got, "IN_PROGRESS") {
			t.Errorf("it went on trial: %s", got)
		}
		close(usual)
		c.run(plainOpener{}, map[string]jobs.Operation{"config": step}, synctest.Wait)
		if got := c.became("a"); !strings.HasPrefix(got, "SUCCEEDED") {
			t.Errorf("then it is %s", got)
		}
	})
}

// cutting is an operation that stays undone until the gateway stops.
type cutting struct{ Config }

func (c cutting) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	if o := c.Config.Do(ctx, j); o.Status != "" {
		return o
	}
	<-ctx.Done()
	return jobs.Outcome{}
}

func TestDiagnose(t *testing.T) {
	problems := []string{"one", "two"}
	d := Diagnose{Look: func() (string, string, string, string, []string) {
		return "all is well", "1.0", "abc", "r", problems
	}}
	want := map[string]string{"sentence": "all is well", "version": "1.0", "config": "abc", "run": "r", "problem_1": "one",
		"problem_2": "two"}
	if got := d.Do(t.Context(), nil); got.Status != jobs.Succeeded || !maps.Equal(got.Details, want) {
		t.Errorf("%+v", got)
	}
	problems = make([]string, 7)
	if got := d.Do(t.Context(), nil); len(got.Details) != 9 || got.Details["more"] != "3 more, see the status topic" {
		t.Errorf("%+v", got)
	}
}
