package change

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/configs/tree"
)

// memory is a state in memory.
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
	m.values[key] = append([]byte(nil), value...)
	return nil
}

// bench is a gateway whose parts are told what to say.
type bench struct {
	t     *testing.T
	file  string
	state *memory

	mu      sync.Mutex
	vital   Vital
	applied []string // topics
	fail    error
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, file: filepath.Join(t.TempDir(), "g.yaml"), state: &memory{}}
	b.vital = Vital{Connected: true, Good: map[string]int{"d": 4}}
	return b
}

// text is a right configuration that differs by its topic.
func text(topic string) string {
	return "gateway: g\nwatch: true\nnorthbound: {awsiot: {endpoint: 'x:8883', certificate: g.yaml, " +
		"private_key: g.yaml, topic: " + topic + "}}\n" +
		"southbound: {modbus: {buses: {b: {url: 'tcp://127.0.0.1:1'}}, devices: {d: {bus: b, points: {p: {coil: 1}}}}}}\n"
}

func (b *bench) write(content string) {
	b.t.Helper()
	if err := os.WriteFile(b.file, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) open(string) (bridge.State, error) { return b.state, nil }

// start is a start of the gateway.
func (b *bench) start() (*Changer, Started) {
	b.t.Helper()
	s, err := Start(b.t.Context(), b.file, "", b.open)
	if err != nil {
		b.t.Fatal(err)
	}
	return New(s, Options{File: b.file, State: b.state, Log: slog.New(slog.DiscardHandler),
		Vital: b.now, Apply: b.apply}), s
}

func (b *bench) now() Vital {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.vital
	v.Good = map[string]int{}
	for k, n := range b.vital.Good {
		v.Good[k] = n
	}
	v.Unread = maps.Clone(v.Unread)
	return v
}

func (b *bench) apply(old, new *configs.Config, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, c := range map[string]*configs.Config{"old": old, "new": new} {
		if coil := c.Southbound.Modbus.Devices["d"].Points["p"].Coil; coil == nil || *coil != 1 {
			b.t.Errorf("the %s configuration comes without its points", name)
		}
	}
	if b.fail != nil {
		return b.fail
	}
	b.applied = append(b.applied, new.Northbound.AWSIoT.Topic)
	return nil
}

func (b *bench) set(change func(*Vital)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.vital)
}

// run runs c in a bubble until the test's part ends.
func run(t *testing.T, c *Changer, part func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	part()
	cancel()
	<-done
}

func topic(c *Changer) string { return c.Config().Northbound.AWSIoT.Topic }

func TestReload(t *testing.T) {
	b := newBench(t)
	b.write(text("one"))
	c, _ := b.start()
	if said, err := c.Reload(t.Context(), 0, 1); err != nil || said != "nothing has changed" || len(b.applied) != 0 {
		t.Errorf("the same content: %q %v %v", said, err, b.applied)
	}
	b.write("# a comment\n" + text("one"))
	if said, _ := c.Reload(t.Context(), 0, 1); said != "nothing has changed" {
		t.Errorf("a comment: %q", said)
	}
	b.write(text("two"))
	if _, err := c.Reload(t.Context(), 0, 1); err != nil || topic(c) != "two" || c.Status().Reloaded != 1 {
		t.Errorf("another topic: %v %+v", err, c.Status())
	}
	b.write(text("two") + "colour: red\n")
	var wrong *tree.Error
	if _, err := c.Reload(t.Context(), 0, 1); !errors.As(err, &wrong) || topic(c) != "two" || len(c.Health()) != 1 {
		t.Errorf("a wrong file: %v, %v", err, c.Health())
	}
	b.write(text("three"))
	b.fail = errors.New("no")
	if _, err := c.Reload(t.Context(), 0, 1); err == nil || topic(c) != "two" ||
		!strings.Contains(c.Status().Problem, "not applied: no") {
		t.Errorf("a gateway that refuses: %v %+v", err, c.Status())
	}
	b.fail = nil
	b.write(text("two"))
	if _, err := c.Reload(t.Context(), 0, 1); err != nil || len(c.Health()) != 0 {
		t.Errorf("back to what runs: %v, %v", err, c.Health())
	}
}

// TestReloadOfARelativeFile: what is named by "g.yaml" and not by its whole path tells
// what changed, and nothing else.
func TestReloadOfARelativeFile(t *testing.T) {
	b := newBench(t)
	t.Chdir(filepath.Dir(b.file))
	b.file = filepath.Base(b.file)
	b.write(text("one"))
	c, _ := b.start()
	b.write(text("two"))
	said, err := c.Reload(t.Context(), 0, 1)
	_, lines, _ := strings.Cut(said, "\n")
	if want := "  northbound.awsiot.topic one -> two"; err != nil || lines != want {
		t.Errorf("told %q, %v, want %q", said, err, want)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.write(text("one"))
		c, _ := b.start()
		run(t, c, func() {
			time.Sleep(10 * watchEvery)
			b.write(text("two-2"))
			time.Sleep(2 * watchEvery)
			if topic(c) != "two-2" {
				t.Error("the change was not seen")
			}
			b.write("not: right\n")
			time.Sleep(2 * watchEvery)
			if topic(c) != "two-2" || len(c.Health()) != 1 {
				t.Errorf("a wrong file: %s %v", topic(c), c.Health())
			}
		})
		if len(b.applied) != 1 {
			t.Errorf("applied %v", b.applied)
		}
	})
}

// A reload that takes long, as brokers and a disk may, keeps nobody waiting who
// asks how the gateway is; a second reload waits as long as its context lasts.
func TestSlowReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.write(text("one"))
		c, _ := b.start()
		applying, goOn := make(chan struct{}), make(chan struct{})
		c.o.Apply = func(old, new *configs.Config, hash string) error {
			close(applying)
			<-goOn
			return b.apply(old, new, hash)
		}
		b.write(text("two"))
		var first error
		reloaded := make(chan struct{})
		go func() { defer close(reloaded); _, first = c.Reload(t.Context(), 0, 1) }()
		<-applying
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			if topic(c) != "one" || c.Status().Reloaded != 0 || len(c.Health()) != 0 {
				t.Errorf("during a reload: %+v %v", c.Status(), c.Health())
			}
		}()
		select {
		case <-asked:
		case <-time.After(time.Second):
			t.Error("the status waits for a reload")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Reload(ctx, 0, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second reload: %v", err)
		}
		close(goOn)
		<-reloaded
		if first != nil || topic(c) != "two" {
			t.Errorf("the first reload: %v, %s", first, topic(c))
		}
		<-asked
	})
}

// A trial ends well or is taken back, for each of the reasons.
func TestConfirm(t *testing.T) {
	tests := map[string]struct {
		share  float64
		change func(*Vital)
		why    string // "" if it is confirmed
	}{
		"fine":                 {1, func(v *Vital) { v.Acked++ }, ""},
		"nothing to send":      {1, func(*Vital) {}, ""},
		"no link":              {1, func(v *Vital) { v.Connected = false }, "the link is not up"},
		"no acknowledgements":  {1, func(v *Vital) { v.Waiting = 5 }, "the cloud acknowledges nothing"},
		"fewer points":         {1, func(v *Vital) { v.Acked++; v.Good["d"] = 3 }, "only 3 of 4 points are good"},
		"few enough":           {0.7, func(v *Vital) { v.Acked++; v.Good["d"] = 3 }, ""},
		"taken out on purpose": {1, func(v *Vital) { v.Acked++; delete(v.Good, "d") }, ""},
		"others do not make up": {1, func(v *Vital) { v.Acked++; v.Good["d"], v.Good["e"] = 0, 9 },
			"only 0 of 4 points are good, not d (0 of 4)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.write(text("one"))
				c, _ := b.start()
				run(t, c, func() {
					b.write(text("two"))
					if _, err := c.Reload(t.Context(), time.Minute, test.share); err != nil {
						t.Fatal(err)
					}
					if _, err := c.Reload(t.Context(), time.Minute, 1); !errors.Is(err, ErrOnTrial) {
						t.Errorf("a second trial: %v", err)
					}
					b.set(test.change)
					time.Sleep(time.Minute - watchEvery)
					if topic(c) != "two" || c.Status().OnTrial.IsZero() {
						t.Errorf("too early: %+v", c.Status())
					}
					time.Sleep(2 * watchEvery)
				})
				s := c.Status()
				if test.why == "" {
					if topic(c) != "two" || s.Problem != "" || !s.OnTrial.IsZero() {
						t.Errorf("not confirmed: %+v", s)
					}
					return
				}
				if topic(c) != "one" || !strings.Contains(s.Problem, "was taken back: "+test.why) || len(b.applied) != 2 {
					t.Errorf("not taken back: %+v %v", s, b.applied)
				}
				// The file still has it, and is not used by itself any more.
				again, started := b.start()
				if topic(again) != "one" || !strings.Contains(started.FellBack, test.why) || len(again.Health()) != 1 {
					t.Errorf("after a restart: %s, %q", topic(again), started.FellBack)
				}
			})
		})
	}
}

// TestConfirmBeforeAllIsRead: what was not read yet, at the start or since the change
// before, is compared as it is once it was read.
func TestConfirmBeforeAllIsRead(t *testing.T) {
	tests := map[string]struct {
		before, after map[string]int // good points
		unread        map[string]int // when the second change comes
		read          map[string]int // good points five seconds later, nil if nothing is read
		want          string
	}{
		"the change before began it anew": {map[string]int{"d": 4}, map[string]int{"d": 0}, map[string]int{"d": 4}, nil,
			"only 0 of 4 points are good, not d (0 of 4)"},
		"in part": {map[string]int{"d": 4}, map[string]int{"d": 3}, map[string]int{"d": 2}, nil, "only 3 of 4 points"},
		"it has fewer points now": {map[string]int{"d": 4}, map[string]int{"d": 1}, map[string]int{"d": 1}, nil,
			"only 1 of 2 points"},
		"it was never good": {map[string]int{"d": 0}, map[string]int{"d": 0}, map[string]int{"d": 4}, nil, ""},
		"it is new": {map[string]int{}, map[string]int{"d": 0}, map[string]int{"d": 4}, map[string]int{"d": 4},
			"only 0 of 4"},
		"it is new and dead": {map[string]int{}, map[string]int{"d": 0}, map[string]int{"d": 4}, map[string]int{"d": 0}, ""},
		"it is never read":   {map[string]int{}, map[string]int{"d": 0}, map[string]int{"d": 4}, nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.set(func(v *Vital) { v.Good = test.before })
				b.write(text("one"))
				c, _ := b.start()
				run(t, c, func() {
					b.write(text("two"))
					if _, err := c.Reload(t.Context(), 0, 1); err != nil {
						t.Fatal(err)
					}
					b.set(func(v *Vital) { v.Good, v.Unread = test.after, test.unread })
					if test.read != nil {
						time.AfterFunc(5*time.Second+time.Millisecond, func() {
							b.set(func(v *Vital) { v.Good, v.Unread = test.read, nil })
						})
					}
					b.write(text("three"))
					began := time.Now()
					if _, err := c.Reload(t.Context(), time.Minute, 1); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(began); took > readWithin+readEvery || test.read != nil && took < 5*time.Second {
						t.Errorf("waited %s for the first readings", took)
					}
					b.set(func(v *Vital) { v.Good, v.Unread = test.after, nil })
					time.Sleep(time.Minute + 2*watchEvery)
				})
				if s := c.Status(); test.want == "" && (topic(c) != "three" || s.Problem != "") ||
					test.want != "" && (topic(c) != "two" || !strings.Contains(s.Problem, "was taken back: "+test.want)) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestStopBeforeAllIsRead: who waits for the first readings does not hold up a stop, and
// has changed nothing.
func TestStopBeforeAllIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.set(func(v *Vital) { v.Good, v.Unread = map[string]int{"d": 0}, map[string]int{"d": 4} })
		b.write(text("one"))
		c, _ := b.start()
		b.write(text("two"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.Reload(ctx, time.Minute, 1)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		if s := c.Status(); topic(c) != "one" || len(b.applied) != 0 || s.Problem != "" || !s.OnTrial.IsZero() {
			t.Errorf("%+v %v", s, b.applied)
		}
	})
}

// A crash during a trial, and a configuration that crashes the gateway again and
// again.
func TestFallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.write(text("one"))
		c, _ := b.start()
		run(t, c, func() { time.Sleep(goodAfter + 2*watchEvery) })

		b.write(text("two"))
		if _, err := c.Reload(t.Context(), time.Minute, 1); err != nil {
			t.Fatal(err)
		}
		c, s := b.start() // it was killed
		if topic(c) != "one" || s.FellBack != "it was on trial when the gateway ended" {
			t.Errorf("killed on trial: %s, %q", topic(c), s.FellBack)
		}

		b.write(text("three"))
		for i := range mostStarts {
			if c, s = b.start(); topic(c) != "three" {
				t.Fatalf("start %d: %s, %q", i+1, topic(c), s.FellBack)
			}
		}
		if c, s = b.start(); topic(c) != "one" || !strings.Contains(s.FellBack, "was started 3 times") {
			t.Errorf("a reboot loop: %s, %q", topic(c), s.FellBack)
		}

		b.write(text("four"))
		for range 2 * mostStarts { // stopped on purpose
			c, s = b.start()
			run(t, c, func() { time.Sleep(watchEvery) })
		}
		if topic(c) != "four" {
			t.Errorf("stops are not crashes: %s, %q", topic(c), s.FellBack)
		}
		run(t, c, func() { time.Sleep(goodAfter + 2*watchEvery) })

		b.write(text("four") + "colour: red\n")
		if c, s = b.start(); topic(c) != "four" || !strings.Contains(s.FellBack, `unknown key "colour"`) {
			t.Errorf("a wrong file: %s, %q", topic(c), s.FellBack)
		}
	})
}

func TestStartWithoutAnythingGood(t *testing.T) {
	b := newBench(t)
	for _, content := range []string{"gateway: [", "colour: red\n"} {
		b.write(content)
		if _, err := Start(t.Context(), b.file, "", b.open); err == nil {
			t.Errorf("%q starts", content)
		}
	}
	b.write(text("one"))
	b.state.Put(goodKey, []byte("rubbish"))
	b.state.Put(trialKey, []byte("{"))
	if c, _ := b.start(); topic(c) != "one" {
		t.Error("a damaged state is in the way")
	}
	noState := func(string) (bridge.State, error) { return nil, fmt.Errorf("no disk") }
	if _, err := Start(t.Context(), b.file, "", noState); err != nil {
		t.Errorf("without a state: %v", err)
	}
}

// TestAbsentFiles: a gateway starts without the files of its certificate and may be
// changed while it waits for them; a change that names other files which are not
// there is refused.
func TestAbsentFiles(t *testing.T) {
	b := newBench(t)
	without := func(topic, certificate string) string {
		return strings.Replace(text(topic), "certificate: g.yaml", "certificate: "+certificate, 1)
	}
	b.write(without("a", "later.pem"))
	c, s := b.start()
	if len(s.Absent) != 1 || !strings.Contains(s.Absent[0].String(), "later.pem does not exist") {
		t.Errorf("absent: %v", s.Absent)
	}
	b.write(without("b", "later.pem"))
	if _, err := c.Reload(t.Context(), 0, 1); err != nil {
		t.Errorf("the same file is absent: %v", err)
	}
	b.write(without("c", "typo.pem"))
	if _, err := c.Reload(t.Context(), 0, 1); err == nil || !strings.Contains(err.Error(), "typo.pem does not exist") {
		t.Errorf("another file is absent: %v", err)
	}
	if got := strings.Join(b.applied, " "); got != "b" {
		t.Errorf("applied %s", got)
	}
}
