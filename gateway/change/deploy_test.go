package change

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/configs"
)

// deployment lays a configuration down to be deployed.
func (b *bench) deployment(topic string) Deployment {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "deployed.yaml")
	content := strings.ReplaceAll(text(topic), "g.yaml", b.file) // paths are whole ones
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	l, err := configs.Load(b.t.Context(), file)
	if err != nil {
		b.t.Fatal(err)
	}
	return Deployment{File: file, Hash: l.Hash, Confirm: time.Minute}
}

// TestDeploy: a deployment is on trial, and then used after restarts and reloads, until
// the gateway's own file is edited.
func TestDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.write(text("one"))
		c, _ := b.start()
		d := b.deployment("two")
		run(t, c, func() {
			began := time.Now()
			if err := c.Deploy(t.Context(), d); err != nil || topic(c) != "two" {
				t.Fatalf("%v, runs %s", err, topic(c))
			}
			if took := time.Since(began); took < time.Minute {
				t.Errorf("it was on trial for %v", took)
			}
			if err := c.Deploy(t.Context(), d); err != nil || time.Since(began) > 2*time.Minute {
				t.Errorf("the same again: %v", err)
			}
			if text, err := c.Reload(t.Context(), 0, 1); err != nil || text != Unchanged {
				t.Errorf("a reload: %s %v", text, err)
			}
		})
		c, started := b.start()
		if topic(c) != "two" || started.FellBack != "" {
			t.Errorf("after a restart: %s, %q", topic(c), started.FellBack)
		}
		run(t, c, func() {
			b.write(text("three"))
			time.Sleep(2 * watchEvery)
			if topic(c) != "three" {
				t.Errorf("an edited file is not used: %s", topic(c))
			}
			if err := c.Deploy(t.Context(), b.deployment("four")); !errors.Is(err, ErrEdited) || topic(c) != "three" {
				t.Errorf("over an edited file: %v, %s", err, topic(c))
			}
			over := b.deployment("four")
			over.Overwrite = true
			if err := c.Deploy(t.Context(), over); err != nil || topic(c) != "four" {
				t.Errorf("by force: %v, %s", err, topic(c))
			}
		})
		if c, _ = b.start(); topic(c) != "four" {
			t.Errorf("after the last restart: %s", topic(c))
		}
	})
}

// TestDeployTakenBack: what does not work is taken back, and does not come back with
// a restart.
func TestDeployTakenBack(t *testing.T) {
	alarm := condition.Condition{Code: "x", Severity: condition.Alarm, Subject: "device d", Text: "it burns"}
	for name, test := range map[string]struct {
		before, change func(*Vital)
		why            string
	}{
		"points":  {nil, func(v *Vital) { v.Good["d"] = 3 }, "only 3 of 4 points are good, not d (3 of 4)"},
		"no link": {nil, func(v *Vital) { v.Connected = false }, "the link is not up"},
		"alarm":   {nil, func(v *Vital) { v.Conditions = append(v.Conditions, alarm) }, "new alarm: device d: it burns"},
		"an old alarm": {func(v *Vital) { v.Conditions = append(v.Conditions, alarm) },
			func(*Vital) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.write(text("one"))
				if test.before != nil {
					b.set(test.before)
				}
				c, _ := b.start()
				want := "one"
				run(t, c, func() {
					time.AfterFunc(time.Second, func() { b.set(test.change) })
					err := c.Deploy(t.Context(), b.deployment("two"))
					if test.why == "" {
						if want = "two"; err != nil {
							t.Error(err)
						}
						return
					}
					var back *RolledBack
					if !errors.As(err, &back) || !strings.Contains(back.Why, test.why) {
						t.Errorf("error %v", err)
					}
					synctest.Wait()
				})
				if topic(c) != want {
					t.Errorf("it runs %s", topic(c))
				}
				if c, _ = b.start(); topic(c) != want {
					t.Errorf("after a restart it runs %s", topic(c))
				}
			})
		})
	}
}

// TestDeployCut: a gateway that ends while a deployment is on trial starts with what
// ran before, and one that stops tells so.
func TestDeployCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.write(text("one"))
		c, _ := b.start()
		outcome := make(chan error, 1)
		d := b.deployment("two")
		run(t, c, func() {
			go func() { outcome <- c.Deploy(context.Background(), d) }()
			time.Sleep(10 * time.Second)
			if topic(c) != "two" {
				t.Errorf("on trial is %s", topic(c))
			}
			if cut, _ := b.start(); topic(cut) != "one" { // as after a kill
				t.Errorf("after a kill it runs %s", topic(cut))
			}
		})
		if err := <-outcome; !errors.Is(err, ErrStopped) {
			t.Errorf("it said %v", err)
		}
	})
}

// TestDeployRefused: what cannot be right changes nothing, and what was not begun, too.
func TestDeployRefused(t *testing.T) {
	b := newBench(t)
	b.write(text("one"))
	c, _ := b.start()
	unreachable := errors.New("nobody there")
	c.o.Prove = func(context.Context, *configs.Config, *configs.Config) error { return unreachable }
	d := b.deployment("two")
	if err := c.Deploy(t.Context(), d); !errors.Is(err, unreachable) || bridge.IsPermanent(err) {
		t.Errorf("an endpoint that is not there: %v", err)
	}
	c.o.Prove = nil
	unsaved := errors.New("no disk")
	d.Begin = func(string) error { return unsaved }
	if err := c.Deploy(t.Context(), d); !errors.Is(err, unsaved) {
		t.Errorf("not begun: %v", err)
	}
	d.Hash = "0123456789abcdef"
	if err := c.Deploy(t.Context(), d); !bridge.IsPermanent(err) {
		t.Errorf("another hash: %v", err)
	}
	if err := os.WriteFile(d.File, []byte("gateway: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Deploy(t.Context(), d); !bridge.IsPermanent(err) {
		t.Errorf("no YAML: %v", err)
	}
	if topic(c) != "one" || len(b.applied) != 0 {
		t.Errorf("it runs %s, %v was applied", topic(c), b.applied)
	}
}
