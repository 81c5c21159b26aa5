package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

const (
	tenThousand = 10_000
	// quota is how many reads, and how many writes, of its jobs the devices of an
	// account may send a second (AWS General Reference, "AWS IoT Device Management
	// endpoints and quotas": data plane of Jobs).
	quota = 200
	// mostConnects is half of the CONNECTs that AWS takes of an account in a second ("AWS
	// IoT Core message broker and protocol limits and quotas").
	mostConnects = 250
	onTrial      = 5 * time.Minute
)

// fleet is an account and its gateways: their workers and their ways of coming
// back, without sockets.
type fleet struct {
	*testing.T
	share    int // of the 10,000, and of all quotas: one in so many
	cloud    *jobs.Service
	gateways map[string]*member

	mu       sync.Mutex
	sessions []*flight     // guarded by mu, as all below; those that are up
	connects map[int64]int // by second
	spent    map[call]int
	refused  int // requests over the quota
}

// call is a second's calls of one kind.
type call struct {
	second int64
	kind   string
}

// member is a gateway of the fleet.
type member struct {
	fleet  *fleet
	name   string
	broken string // the configuration that it does not bear
	state  *memory
	stop   context.CancelFunc // ends the process
	all    sync.WaitGroup

	mu      sync.Mutex
	good    string  // guarded by mu, as all below; on its disk
	running string  // what it runs now
	session *flight // nil while there is none
}

// flight is a connection of a member.
type flight struct {
	*member
	ctx  context.Context
	drop context.CancelFunc
	hear func(uplink.Inbound)
}

func newFleet(t *testing.T, share int) *fleet {
	reg := registry.New()
	f := &fleet{T: t, share: share, cloud: jobs.New(reg), gateways: make(map[string]*member),
		connects: make(map[int64]int), spent: make(map[call]int)}
	for i := range tenThousand / share {
		m := &member{fleet: f, name: fmt.Sprintf("g%05d", i), state: &memory{}, good: "old"}
		if i%50 == 7 { // 2 %
			m.broken = "bad"
		}
		f.gateways[m.name] = m
		if err := reg.AddThing(registry.Thing{Name: m.name}); err != nil {
			t.Fatal(err)
		}
	}
	all := registry.Group{Name: "all", Things: slices.Collect(maps.Keys(f.gateways))}
	if err := reg.AddGroup(all); err != nil {
		t.Fatal(err)
	}
	f.cloud.Announce(func(topic string, payload []byte) error {
		if name, what, _ := strings.Cut(strings.TrimPrefix(topic, "$aws/things/"), "/"); what == "jobs/notify-next" {
			m := f.gateways[name]
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.session != nil {
				go m.session.deliver(topic, payload)
			}
		}
		return nil
	})
	return f
}

// start starts a process with what is on the disk: what was on trial is not used.
func (m *member) start(s uplink.Schedule) {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.mu.Lock()
	m.running = m.good
	m.mu.Unlock()
	w := New(Options{Gateway: m.name, Run: "r", Log: slog.New(slog.DiscardHandler), State: m.state,
		Opener: plain{}, Operations: map[string]Operation{"config": m}, Fleet: func() int { return tenThousand }})
	m.all.Go(func() { w.Run(ctx) })
	m.all.Go(func() { m.connect(ctx, w, s) })
}

// connect keeps a session with the cloud, coming back as a gateway does.
func (m *member) connect(ctx context.Context, w *Worker, s uplink.Schedule) {
	backoff := uplink.Backoff{Min: setting.Duration(time.Second), Max: setting.Duration(2 * time.Minute),
		Gateways: tenThousand}
	for ctx.Err() == nil {
		timer := time.NewTimer(s.Next(backoff, m.name, time.Now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		s.Begin(time.Now())
		s.Sent()
		session := m.fleet.admit(ctx, m)
		up := time.Now()
		w.Serve(session.ctx, session, "status", []string{"config"})
		m.mu.Lock()
		m.session = nil
		m.mu.Unlock()
		s.Ended(time.Since(up), true, false, false)
	}
}

// admit takes a CONNECT.
func (f *fleet) admit(ctx context.Context, m *member) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connects[time.Now().Unix()]++
	session := &flight{member: m}
	session.ctx, session.drop = context.WithCancel(ctx)
	f.sessions = append(f.sessions, session)
	m.mu.Lock()
	m.session = session
	m.mu.Unlock()
	return session
}

// drop ends all connections, as when servers of AWS go down.
func (f *fleet) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.connects)
	for _, s := range f.sessions {
		s.drop()
	}
	f.sessions = nil
}

// up counts the gateways with a session.
func (f *fleet) up() (n int) {
	for _, m := range f.gateways {
		m.mu.Lock()
		if m.session != nil {
			n++
		}
		m.mu.Unlock()
	}
	return n
}

// spend takes a call out of the quota of its second, if it fits.
func (f *fleet) spend(topic string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := call{time.Now().Unix(), "write"}
	if strings.HasSuffix(topic, "/get") {
		c.kind = "read"
	}
	if f.spent[c] == quota/f.share {
		f.refused++
		return false
	}
	f.spent[c]++
	return true
}

func (s *flight) deliver(topic string, payload []byte) {
	if s.ctx.Err() == nil {
		s.hear(uplink.Inbound{Topic: topic, Payload: payload})
	}
}

func (s *flight) Subscribe(context.Context, ...string) error { return nil }

func (s *flight) HandleBelow(_ string, f func(uplink.Inbound)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear = f
}

func (s *flight) Send(m *bridge.Message, _ []byte, done func(error)) {
	answer := func(topic string, payload []byte) { go s.deliver(topic, payload) }
	switch {
	case s.ctx.Err() != nil:
		done(errors.New("lost"))
		return
	case m.Topic == "status":
	case s.fleet.spend(m.Topic):
		s.fleet.cloud.Request(service.Caller{Thing: s.name, Unasked: answer}, m.Topic, m.Payload)
	default:
		var asked struct {
			Token string `json:"clientToken"`
		}
		if err := json.Unmarshal(m.Payload, &asked); err != nil {
			s.fleet.Error(err)
		}
		answer(m.Topic+"/rejected", fmt.Appendf(nil, `{"code":"RequestThrottled","clientToken":%q}`, asked.Token))
	}
	done(nil)
}

// Do applies a configuration on trial.
func (m *member) Do(ctx context.Context, j *Job) Outcome {
	if step, _ := j.Noted(); step != "" {
		return m.back("it was on trial when the gateway ended")
	}
	var wanted string
	if err := json.Unmarshal(j.What, &wanted); err != nil {
		return Refuse(err)
	}
	if err := j.Note("trial", wanted); err != nil {
		return Fail(err)
	}
	m.mu.Lock()
	m.running = wanted
	m.mu.Unlock()
	trial := time.NewTimer(onTrial)
	defer trial.Stop()
	for ended := ctx.Done(); ; {
		select {
		case <-ended:
			if !errors.Is(context.Cause(ctx), ErrEnded) {
				return Outcome{}
			}
			ended = nil // a trial goes on to its end
			continue
		case <-trial.C:
		}
		if wanted == m.broken {
			return m.back("only 3 of 9 points are good")
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.good = wanted
		return Done(nil)
	}
}

// back returns to the configuration before.
func (m *member) back(why string) Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = m.good
	return Outcome{Status: Failed, Error: why, Details: map[string]string{"rolled_back": m.good}}
}

// check compares what the cloud knows of a job with what runs: who has succeeded
// runs the new one, everybody else the one before. It counts the executions by status.
func (f *fleet) check(job, after string, before func(*member) string) map[jobs.Status]int {
	f.Helper()
	counts, statuses := map[jobs.Status]int{}, map[string]jobs.Status{}
	for _, e := range f.cloud.Executions(job, "") {
		statuses[e.Thing] = e.Status
	}
	for _, m := range f.gateways {
		status := statuses[m.name] // "" if it has none
		counts[status]++
		want := before(m)
		if status == jobs.Succeeded {
			want = after
		}
		if m.mu.Lock(); m.running != want || m.good != want {
			f.Errorf("%s is %s on %s and runs %s, its disk has %s", job, status, m.name, m.running, m.good)
		}
		m.mu.Unlock()
	}
	return counts
}

func (f *fleet) create(id, configuration string, perMinute int) {
	f.Helper()
	err := f.cloud.Create(jobs.Job{ID: id, Groups: []string{"all"}, Rollout: jobs.Rollout{PerMinute: perMinute / f.share},
		Abort:    []jobs.Abort{{Failure: "FAILED", Threshold: 1, Least: 100 / f.share}},
		Document: fmt.Sprintf(`{"operation":"config","what":%q}`, configuration)})
	if err != nil {
		f.Fatal(err)
	}
}

// TestTenThousandGateways: a configuration that 2 % do not bear goes to 10,000
// gateways; under way all lose their connection, and every 100th its power. AWS
// takes no more calls than its quota. Without FIELDBRIDGE_SOAK it is a tenth of
// them, with a tenth of the quotas.
func TestTenThousandGatewaysSoak(t *testing.T) {
	share := 10
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		share = 1
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, share)
		defer func() {
			for _, m := range f.gateways {
				m.stop()
				m.all.Wait()
			}
		}()
		var lost uplink.Schedule
		lost.Ended(time.Hour, true, false, false)
		for _, m := range f.gateways {
			m.start(lost)
		}
		time.Sleep(2 * time.Minute)
		if n := f.up(); n != len(f.gateways) {
			t.Fatalf("%d gateways are connected", n)
		}
		f.create("bad", "bad", 500)
		time.Sleep(3*time.Minute + 10*time.Second)
		f.comeBack()
		cut := 0
		for _, m := range f.gateways {
			if strings.HasSuffix(m.name, "00") {
				m.stop()
				m.all.Wait()
				m.start(uplink.Schedule{})
				cut++
			}
		}
		time.Sleep(time.Hour)
		old := func(*member) string { return "old" }
		counts := f.check("bad", "bad", old)
		j, _ := f.cloud.Get("bad")
		t.Logf("bad: %s %s after %v, %d power cuts: %v", j.Status, j.Reason, j.Completed.Sub(j.Created), cut, counts)
		if j.Status != jobs.Canceled || j.Reason != "ABORT_CRITERIA_MET" {
			t.Errorf("the rollout is %s %s", j.Status, j.Reason)
		}
		if counts[""] < len(f.gateways)/2 || counts[jobs.Failed] == 0 || counts[jobs.InProgress] != 0 {
			t.Errorf("executions of the bad one: %v", counts)
		}
		before := map[string]string{}
		for name, m := range f.gateways {
			before[name] = m.good
		}
		f.create("good", "good", 1000)
		// They begin within 10 minutes, and each trial takes 5 more. Asking again in step
		// takes two hours.
		time.Sleep(40 * time.Minute)
		counts = f.check("good", "good", func(m *member) string { return before[m.name] })
		j, _ = f.cloud.Get("good")
		t.Logf("good: %s after %v: %v", j.Status, j.Completed.Sub(j.Created), counts)
		if j.Status != jobs.Completed || counts[jobs.Succeeded] != len(f.gateways) {
			t.Errorf("the good one is %s: %v", j.Status, counts)
		}
		f.within()
	})
}

// within checks that AWS had to refuse nothing.
func (f *fleet) within() {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	spent, most := 0, 0
	if f.share > 1 {
		most = 100 // chance has more to say of fewer
	}
	for _, n := range f.spent {
		spent += n
	}
	f.Logf("%d requests of jobs, %d were over the quota", spent, f.refused)
	if f.refused > most {
		f.Error("AWS had to refuse requests")
	}
}

// comeBack ends all connections and sees that all are back in time.
func (f *fleet) comeBack() {
	f.Helper()
	f.drop()
	time.Sleep(45 * time.Second)
	if n := f.up(); n != len(f.gateways) {
		f.Errorf("%d gateways are back after 45 s", n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	peak := slices.Max(slices.Collect(maps.Values(f.connects)))
	f.Logf("all are back within 45 s: at most %d CONNECTs in a second", peak)
	most := mostConnects / f.share
	if f.share > 1 {
		most += 3 // one more or less is a larger part of fewer
	}
	if peak >= most {
		f.Errorf("%d CONNECTs in a second", peak)
	}
}
