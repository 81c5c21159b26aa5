package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

// machine is a scripted [Machine] with the slots A and B.
type machine struct {
	slot, next string // that runs, and that is started next
	boot       int
	calls      []string
	install    func(ctx context.Context) error
	may, mark  error
	stays      bool // it does not restart when it is asked to
	file       string
}

func (m *machine) say(format string, args ...any) {
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
}
func (m *machine) Slot(context.Context) (string, error) { return m.slot, nil }
func (m *machine) MayRestart(context.Context) error     { return m.may }
func (m *machine) Close()                               {}

func (m *machine) Install(ctx context.Context, source string, resumed bool, tell func(int)) error {
	m.say("install %t", resumed)
	_, err := os.Stat(source)
	if m.file = source; err != nil && !strings.HasPrefix(source, "https://") {
		return err
	}
	tell(50)
	if m.install != nil {
		return m.install(ctx)
	}
	m.next = "B"
	return nil
}

func (m *machine) Mark(_ context.Context, state string) error {
	m.say("%s", state)
	switch state {
	case "bad":
		m.next = map[string]string{"A": "B", "B": "A"}[m.slot]
	case "active":
		m.next = m.slot
	}
	return m.mark
}

func (m *machine) Restart(context.Context) error {
	m.say("restart")
	if !m.stays {
		m.slot, m.boot = m.next, m.boot+1
	}
	return nil
}

// given is a [Fetcher] whose file is there.
type given string

func (g given) Fetch(_ context.Context, want fetch.File, _ fetch.Source, _ func(int)) (string, error) {
	path := filepath.Join(string(g), want.SHA256)
	return path, os.WriteFile(path, []byte("bundle"), 0o600)
}

// TestSystem: an order for another system ends in a state that is true, whatever comes
// between: what did not prove itself is not started again.
func TestSystem(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	right := `{"sha256":"` + strings.Repeat("a", 64) + `","size":6}`
	good, absent := []string{""}, bridge.Permanent(errors.New("no RAUC"))
	wait := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
	for name, test := range map[string]struct {
		what    string
		machine machine
		judge   []string // in each process that judges; "cut" is that it ends before
		dial    error
		runs    int                           // processes
		between func(process int, m *machine) // after it has ended
		during  func()                        // before it ends
		want    string
		calls   string
	}{
		"good": {right, machine{}, good, nil, 2, nil, nil,
			`SUCCEEDED {"from":"A","step":"trial","to":"B"}`, "install false, restart, good"},
		"by url": {`{"url":"https://updates.example/os.raucb","trial":"10m"}`, machine{}, good, nil, 2, nil, nil,
			`SUCCEEDED {"from":"A","step":"trial","to":"B"}`, "install false, restart, good"},
		"does not work there": {right, machine{}, []string{"the link is not up"}, nil, 3, nil, nil,
			`FAILED {"error":"the link is not up","from":"A","rolled_back":"true","step":"return","to":"B"}`,
			"install false, restart, bad, restart"},
		"is not started": {right, machine{}, nil, nil, 2, func(_ int, m *machine) { m.slot = "A" }, nil,
			`FAILED {"error":"the machine was started from A again: the boot loader says why","from":"A",` +
				`"rolled_back":"true","step":"reboot"}`, "install false, restart"},
		"power cut in the trial": {right, machine{}, []string{"cut", "cut", ""}, nil, 4,
			func(process int, m *machine) { m.boot += process }, nil, // it is started from B again
			`SUCCEEDED {"from":"A","step":"trial","to":"B"}`, "install false, restart, good"},
		"hangs in the trial": {right, machine{}, []string{"cut"}, nil, 3, func(process int, m *machine) {
			if process == 2 {
				m.slot, m.boot = "A", m.boot+1 // the boot loader counts
			}
		}, nil, `FAILED {"error":"the machine was started from A again: the boot loader says why","from":"A",` +
			`"rolled_back":"true","step":"trial","to":"B"}`, "install false, restart"},
		"process ends before the machine": {right, machine{stays: true}, good, nil, 3,
			func(_ int, m *machine) { m.stays = false }, nil,
			`SUCCEEDED {"from":"A","step":"trial","to":"B"}`, "install false, restart, restart, good"},
		"never restarts": {right, machine{stays: true}, nil, nil, 1, nil,
			func() { time.Sleep(time.Hour) },
			`FAILED {"error":"the machine was not restarted within 10m0s","from":"A","step":"reboot"}`,
			"install false, restart, active"},
		"cannot be marked": {right, machine{mark: errors.New("no variable")}, good, nil, 3, nil, nil,
			`FAILED {"error":"no variable","from":"A","rolled_back":"true","step":"return","to":"B"}`,
			"install false, restart, good, bad, restart"},
		"started again though bad": {right, machine{}, []string{"no point is good"}, nil, 3,
			func(process int, m *machine) {
				if process == 2 {
					m.slot = "B"
				}
			}, nil, `FAILED {"error":"the system has failed (no point is good), and was started again","from":"A",` +
				`"step":"return","to":"B"}`, "install false, restart, bad, restart"},
		"not installed": {right, machine{install: func(context.Context) error { return errors.New("compatible mismatch") }},
			nil, nil, 1, nil, nil, `FAILED {"error":"compatible mismatch","from":"A","step":"install"}`,
			"install false, active"},
		"cut while it is installed": {right, machine{install: wait}, good, nil, 3,
			func(_ int, m *machine) { m.install = nil }, nil,
			`SUCCEEDED {"from":"A","step":"trial","to":"B"}`, "install false, install true, restart, good"},
		"may not restart": {right, machine{may: errors.New("polkit")}, nil, nil, 1, nil, nil,
			`FAILED {"error":"polkit"}`, ""},
		"no RAUC":       {right, machine{}, nil, absent, 1, nil, nil, `REJECTED {"error":"no RAUC"}`, ""},
		"nothing named": {`{}`, machine{}, nil, nil, 1, nil, nil, "REJECTED", ""},
		"both named": {`{"url":"https://a/b","sha256":"` + strings.Repeat("a", 64) + `"}`, machine{}, nil, nil, 1, nil, nil,
			"REJECTED", ""},
		"not https":     {`{"url":"http://a/b"}`, machine{}, nil, nil, 1, nil, nil, "REJECTED", ""},
		"a file":        {`{"url":"/etc/passwd"}`, machine{}, nil, nil, 1, nil, nil, "REJECTED", ""},
		"trial of days": {`{"url":"https://a/b","trial":"2d"}`, machine{}, nil, nil, 1, nil, nil, "REJECTED", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c, m, judged := newCloud(t), test.machine, 0
				m.slot, m.next = "A", "A"
				system := System{Fetcher: given(dir), Hold: func() string { return "" }, Ready: ready,
					Boot:   func() (string, error) { return fmt.Sprint("boot ", m.boot), nil },
					Before: func(within time.Duration) (json.RawMessage, error) { return json.Marshal(within) },
					Dial:   func(context.Context) (Machine, error) { return &m, test.dial },
					Judge: func(ctx context.Context, before json.RawMessage) string {
						if long := strings.Contains(test.what, "trial"); (string(before) == "0") == long {
							t.Errorf("the trial is for %s", before)
						}
						judged++
						if why := test.judge[judged-1]; why != "cut" {
							return why
						}
						<-ctx.Done()
						return ""
					}}
				c.create("a", jobs.Order{Operation: "os-update", What: json.RawMessage(test.what), Around: json.RawMessage("{}")})
				for process := 1; process <= test.runs; process++ {
					c.run(plainOpener{}, map[string]jobs.Operation{"os-update": system}, func() {
						synctest.Wait()
						if test.during != nil {
							test.during()
						}
					})
					if test.between != nil {
						test.between(process, &m)
					}
				}
				if got := c.became("a"); !strings.HasPrefix(got, test.want) {
					t.Errorf("%s\nwant %s", got, test.want)
				}
				if got := strings.Join(m.calls, ", "); got != test.calls {
					t.Errorf("%s, want %s", got, test.calls)
				}
				if left, _ := os.ReadDir(dir); len(left) > 0 {
					t.Errorf("%s is left", left[0].Name())
				}
			})
		})
	}
}

// TestSystemCancelled: an order that the cloud takes back while it is installed is not
// started.
func TestSystemCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		close(ready)
		c, m := newCloud(t), machine{slot: "A", next: "A"}
		m.install = func(context.Context) error {
			time.Sleep(3 * time.Hour)
			m.next = "B"
			return nil
		}
		system := System{Hold: func() string { return "" }, Ready: ready,
			Dial: func(context.Context) (Machine, error) { return &m, nil }}
		c.create("a", jobs.Order{Operation: "os-update", What: json.RawMessage(`{"url":"https://a/b"}`)})
		c.run(plainOpener{}, map[string]jobs.Operation{"os-update": system}, func() {
			synctest.Wait()
			if err := c.service.Cancel("a", "", "", true); err != nil {
				t.Fatal(err)
			}
			time.Sleep(4 * time.Hour)
		})
		if got := strings.Join(m.calls, ", "); got != "install false, active" || m.next != "A" {
			t.Errorf("%s, next is %s", got, m.next)
		}
	})
}
