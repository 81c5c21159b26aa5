//go:build linux

package crashtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// TestUpdateUnit has the gateway take releases as the unit of systemd that is shipped:
// one that ends at once, one that hangs before it says a word, which systemd ends after
// WatchdogSec, and when it was started again after TimeoutStartSec (90 s by default),
// and one that works, to which systemd sees no change of process.
func TestUpdateUnit(t *testing.T) {
	if os.Getenv("FIELDBRIDGE_SOAK") == "" {
		t.Skip("boots a machine: set FIELDBRIDGE_SOAK")
	}
	root := needtest.Debian(t)
	needtest.Program(t, "systemd-nspawn")
	u := newRig(t, "/var/lib/fieldbridge/queue", 0).updates()
	const there = "/srv/gateway" // the machine has a /tmp of its own
	unit, faster := filepath.Join(u.dir, "fieldbridge.service"), filepath.Join(u.dir, "faster.conf")
	text, err := os.ReadFile(u.file())
	if err == nil {
		err = os.WriteFile(u.file(), bytes.ReplaceAll(text, []byte(u.dir), []byte(there)), 0o600)
	}
	if err == nil {
		text, err = os.ReadFile("../../packaging/systemd/fieldbridge.service")
	}
	if err == nil {
		err = os.WriteFile(unit, text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(faster, []byte("[Service]\nWatchdogSec=4\nTimeoutStartSec=8\nRestartSec=100ms\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chmod", "-R", "a+rX", u.dir, filepath.Dir(u.dir)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := boot(t, root, u.dir+":"+there, u.packaged+":/usr/bin/fieldbridge",
		unit+":/etc/systemd/system/fieldbridge.service",
		faster+":/etc/systemd/system/fieldbridge.service.d/faster.conf", u.file()+":/etc/fieldbridge/fieldbridge.yaml")
	m.must("useradd", "--system", "fieldbridge")
	defer func() {
		if t.Failed() {
			t.Log(m.must("journalctl", "-u", "fieldbridge", "--no-pager", "-n", "300"))
		}
	}()
	pid := func() string { return m.must("systemctl", "show", "-P", "MainPID", "fieldbridge") }
	ends := func(job string, want awsjobs.Status, word, runs string) {
		t.Helper()
		var e awsjobs.Execution
		u.eventually(job+" ends", 2*time.Minute, func() bool {
			e = u.service.Executions(job, "")[0]
			return e.Status != awsjobs.InProgress && e.Status != awsjobs.Queued
		})
		if e.Status != want || !strings.Contains(e.Details["error"], word) {
			t.Errorf("%s: %s %v, want %s and %q", job, e.Status, e.Details, want, word)
		}
		if _, version := u.status(); version != runs+"-test" {
			t.Errorf("after %s runs %s", job, version)
		}
	}
	m.must("systemctl", "start", "fieldbridge")
	ends(u.order(pack(t, u.root, u.crashes, "1.101.0-test"), usual), awsjobs.Failed, "started 3 times", "1.100.0")
	ends(u.order(pack(t, u.root, u.hangs, "1.102.0-test"), usual), awsjobs.Failed, "started 3 times", "1.100.0")
	before := pid()
	ends(u.order(u.real("1.103.0"), usual), awsjobs.Succeeded, "", "1.103.0")
	if now := pid(); now != before {
		t.Errorf("process %s has become %s", before, now)
	}
	if state := m.must("systemctl", "show", "-P", "ActiveState", "fieldbridge"); state != "active" {
		t.Errorf("the unit is %s", state)
	}
	says(t, m.must("journalctl", "-u", "fieldbridge", "--no-pager"), "Watchdog timeout (limit 4s)!")
	m.must("systemctl", "stop", "fieldbridge")
	u.oven.died()
	u.judge()
}
