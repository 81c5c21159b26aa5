//go:build linux

package crashtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// appliance is a machine on which the unit is as a package installs it.
type appliance struct {
	*machine
	r *rig
}

// install boots a machine with the unit, for a gateway whose devices and cloud are here.
func install(t *testing.T, hanging string) *appliance {
	t.Helper()
	root := needtest.Debian(t)
	needtest.Program(t, "systemd-nspawn")
	r := newRig(t, "/var/lib/fieldbridge/queue", 0)
	const there = "/srv/gateway" // the machine has a /tmp of its own
	text, err := os.ReadFile(r.file())
	if err == nil {
		text = bytes.Replace(text, []byte("    topic:"), []byte("    jobs: [restart]\n    topic:"), 1)
		err = os.WriteFile(r.file(), bytes.ReplaceAll(text, []byte(r.dir), []byte(there)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chmod", "-R", "a+rX", r.dir, filepath.Dir(r.dir)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	units, err := filepath.Abs("../../packaging/systemd")
	if err != nil {
		t.Fatal(err)
	}
	binds := []string{r.dir + ":" + there, program + ":/usr/bin/fieldbridge", hanging + ":/usr/bin/fieldbridge-hang",
		r.file() + ":/etc/fieldbridge/fieldbridge.yaml", units + "/fieldbridge.sysusers:/usr/lib/sysusers.d/fieldbridge.conf"}
	for _, unit := range []string{"fieldbridge.service", "fieldbridge-power-fail.service"} {
		binds = append(binds, units+"/"+unit+":/usr/lib/systemd/system/"+unit)
	}
	a := &appliance{boot(t, root, binds...), r}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(a.said())
		}
	})
	a.must("systemd-sysusers")
	a.must("systemctl", "enable", "fieldbridge-power-fail")
	a.must("systemctl", "daemon-reload")
	return a
}

func (a *appliance) said() string {
	text, _ := a.run("journalctl", "-u", "fieldbridge", "--no-pager", "-o", "short-precise", "-n", "2000")
	return text
}

func (a *appliance) show(property string) string {
	return a.must("systemctl", "show", "-P", property, "fieldbridge")
}

func (a *appliance) restarts() int {
	n, err := strconv.Atoi(a.show("NRestarts"))
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// again waits until systemd has started the gateway again and it is ready.
func (a *appliance) again(before int) {
	a.t.Helper()
	a.r.eventually("systemd starts it again", 2*time.Minute, func() bool {
		return a.restarts() > before && a.show("ActiveState") == "active"
	})
}

// arrives waits until a poll of now does.
func (a *appliance) arrives() {
	a.t.Helper()
	now := time.Now()
	a.r.eventually("a poll of now arrives", time.Minute, func() bool { return a.r.polled(now, now.Add(time.Hour)) > 0 })
}

// restartByJob: the gateway starts again once, and systemd sees nothing of it but what the
// gateway says; the job has succeeded once.
func restartByJob(t *testing.T, a *appliance, jobs *awsjobs.Service) {
	starts := func() int { return strings.Count(a.said(), "gateway started") }
	pid, restarts, before := a.show("MainPID"), a.restarts(), starts()
	err := jobs.Create(awsjobs.Job{ID: "again", Document: `{"operation":"restart"}`, Things: []string{"gateway-1"}})
	if err != nil {
		t.Fatal(err)
	}
	a.r.eventually("the job has succeeded", time.Minute, func() bool {
		return jobs.Executions("again", "")[0].Status == awsjobs.Succeeded
	})
	a.arrives()
	ends := 0
	for _, e := range jobs.Record() {
		if e.Status == awsjobs.Succeeded {
			ends++
		}
	}
	if n := starts() - before; n != 1 || ends != 1 {
		t.Errorf("started %d times, the job has succeeded %d times", n, ends)
	}
	if now := a.show("MainPID"); now != pid || a.restarts() != restarts || a.show("ActiveState") != "active" {
		t.Errorf("process %s has become %s, which is %s; systemd has restarted it %d times", pid, now, a.show("ActiveState"),
			a.restarts()-restarts)
	}
}

// TestUnit boots a Debian with the unit as it is shipped: ready, its sentence, how exposed
// it is, restarts after an abort and by the watchdog, what the power does to it.
func TestUnit(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	a := install(t, hanging(t))
	jobs := awsjobs.New(a.r.cloud.Registry())
	a.r.cloud.Serve(jobs)

	a.r.online(false) // the uplink is no condition
	a.must("systemctl", "start", "fieldbridge")
	a.r.eventually("the status has a sentence", time.Minute, func() bool {
		return strings.Contains(a.show("StatusText"), "not connected to the cloud")
	})
	a.r.online(true)
	a.arrives()
	a.r.eventually("the sentence is kept current", time.Minute, func() bool {
		return strings.Contains(a.show("StatusText"), ", connected to the cloud; all is well")
	})
	status := a.must("systemctl", "status", "--no-pager", "fieldbridge")
	for _, want := range []string{"Active: active (running)", `Status: "all of 2 devices have good readings, connected`} {
		if !strings.Contains(status, want) {
			t.Errorf("status does not say %q:\n%s", want, status)
		}
	}

	t.Run("exposed", func(t *testing.T) {
		text := a.must("systemd-analyze", "--no-pager", "security", "fieldbridge.service")
		m := regexp.MustCompile(`Overall exposure level for fieldbridge.service: ([\d.]+)`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no level:\n%s", text)
		}
		t.Log(m[0])
		if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2.0 {
			t.Errorf("%s:\n%s", m[1], text)
		}
	})
	t.Run("priorities", func(t *testing.T) {
		for level, many := range map[string]bool{"info": true, "err": false} {
			text := a.must("journalctl", "-q", "--no-pager", "-u", "fieldbridge", "_COMM=fieldbridge", "-p",
				level+".."+level)
			if strings.Contains(text, "gateway started") != many || strings.Contains(text, "<6>") {
				t.Errorf("lines of priority %s:\n%s", level, text)
			}
		}
	})
	t.Run("clock", func(t *testing.T) {
		marked := a.r.told(`"clock":"unsynced"`)
		if synced := new(bridge.Clock).Synced(); marked == synced {
			t.Errorf("the clock is synced: %v, and messages say that it is not: %v", synced, marked)
		}
	})
	t.Run("power", func(t *testing.T) {
		a.must("sh", "-c", "kill -PWR 1")
		a.r.eventually("the status says so", time.Minute, func() bool {
			return strings.Contains(a.show("StatusText"), "the power is about to fail")
		})
		a.must("systemctl", "kill", "--kill-who=main", "-s", "SIGUSR1", "fieldbridge")
		a.r.eventually("it is back", time.Minute, func() bool {
			return strings.Contains(a.show("StatusText"), "all is well")
		})
	})
	t.Run("reload", func(t *testing.T) {
		a.must("systemctl", "reload", "fieldbridge")
		a.r.eventually("it is active", time.Minute, func() bool { return a.show("ActiveState") == "active" })
		a.arrives()
	})
	t.Run("restart by a job", func(t *testing.T) { restartByJob(t, a, jobs) })
	t.Run("abort", func(t *testing.T) {
		kept := func() bool { return strings.Contains(a.said(), "left in the journal is restored") }
		for range 6 { // one that comes right after a commit leaves nothing
			before := a.restarts()
			a.must("systemctl", "kill", "--kill-who=main", "-s", "ABRT", "fieldbridge")
			a.r.oven.died()
			a.again(before)
			a.arrives()
			if kept() {
				break
			}
		}
		if !kept() {
			t.Error("the runtime directory did not keep the journal")
		}
		if !strings.Contains(a.said(), "goroutine ") {
			t.Error("no stacks in the journal")
		}
	})
	t.Run("hang", func(t *testing.T) {
		a.must("sh", "-c", `mkdir -p /run/systemd/system/fieldbridge.service.d
			cat >/run/systemd/system/fieldbridge.service.d/hang.conf <<-END
			[Service]
			ExecStart=
			ExecStart=/usr/bin/fieldbridge-hang run /etc/fieldbridge/fieldbridge.yaml
			Environment=FIELDBRIDGE_HANG=/var/lib/fieldbridge/hang
			WatchdogSec=10
			END
			systemctl daemon-reload && systemctl restart fieldbridge`)
		a.arrives()
		before := a.restarts()
		a.must("sh", "-c", "echo bus plc >/var/lib/fieldbridge/hang")
		a.r.eventually("it says who hangs", time.Minute, func() bool {
			return strings.Contains(a.said(), `does not move any more" part="bus plc"`)
		})
		a.must("rm", "/var/lib/fieldbridge/hang")
		a.r.oven.died()
		a.again(before)
		if !strings.Contains(a.said(), "Watchdog timeout") {
			t.Error("it was not the watchdog")
		}
		a.arrives()
	})
	t.Run("wrong file", func(t *testing.T) {
		a.must("systemctl", "stop", "fieldbridge")
		a.must("sh", "-c",
			"echo nonsense: 1 >/tmp/wrong.yaml && mount --bind /tmp/wrong.yaml /etc/fieldbridge/fieldbridge.yaml")
		_, _ = a.run("systemctl", "start", "fieldbridge")
		a.r.eventually("it is not started again", time.Minute, func() bool {
			return a.show("ActiveState") == "failed" && a.show("ExecMainStatus") == "2"
		})
	})
}

// told reports whether a message that arrived has that text.
func (r *rig) told(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Contains(r.log.Bytes(), []byte(text))
}
