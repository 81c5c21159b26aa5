//go:build linux

package crashtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a Debian with systemd in a container, on the network of this one.
type machine struct {
	t     *testing.T
	first string // pid of its systemd
}

// boot starts a throw-away copy of the Debian in root, in which the folders and files
// are where they are here, or where the second half of the pair says.
func boot(t *testing.T, root string, binds ...string) *machine {
	t.Helper()
	// Two would share one control group: one after the other, in whatever process.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "fieldbridge-machine.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		t.Cleanup(func() { _ = lock.Close() }) // after that of the machine: which unlocks it
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", "-x", "-D", root, "--register=no", "--keep-unit", "--console=pipe"}
	for _, b := range binds {
		args = append(args, "--bind="+b)
	}
	cmd := exec.Command("systemd-nspawn", append(args, "-b")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t}
	t.Cleanup(func() {
		if pid, err := strconv.Atoi(m.first); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // a kill of systemd-nspawn would leave it running
		}
		_ = cmd.Wait()
	})
	nspawn := strconv.Itoa(cmd.Process.Pid)
	for deadline := time.Now().Add(busy * 2 * time.Minute); ; time.Sleep(200 * time.Millisecond) { // looks start processes
		children, _ := exec.Command("pgrep", "-P", nspawn).Output()
		m.first, _, _ = strings.Cut(string(bytes.TrimSpace(children)), "\n")
		if m.first != "" {
			if state, _ := m.run("systemctl", "is-system-running"); state == "running" || state == "degraded" {
				return m
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not boot: %s", out)
		}
	}
}

// run runs a command in the machine and returns what it says.
func (m *machine) run(words ...string) (string, error) {
	out, err := exec.Command("nsenter", append([]string{"-t", m.first, "-m", "-u", "-i", "-n", "-p", "--"}, words...)...).
		CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// must runs a command that must succeed.
func (m *machine) must(words ...string) string {
	m.t.Helper()
	out, err := m.run(words...)
	if err != nil {
		m.t.Fatalf("%v: %v: %s", words, err, out)
	}
	return out
}

// TestKilledUnit kills the gateway as a unit of systemd, which starts it again, now and
// then once more as soon as it is there: DynamicUser and RuntimeDirectoryPreserve leave it
// its journal, and each poll that was answered arrives. FIELDBRIDGE_ROOT is a Debian, made by
//
//	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm ROOT MIRROR
func TestKilledUnit(t *testing.T) {
	root := os.Getenv("FIELDBRIDGE_ROOT")
	if root == "" {
		t.Skip("FIELDBRIDGE_ROOT is not set to a Debian with systemd")
	}
	r := newRig(t, "/var/lib/fieldbridge/queue", 0)
	r.exact, r.quiet = true, true
	r.configure()
	const there = "/srv/gateway" // the machine has a /tmp of its own
	unit := filepath.Join(r.dir, "fieldbridge.service")
	for from, to := range map[string]string{r.file(): r.file(), "testdata/fieldbridge.service": unit} {
		text, err := os.ReadFile(from)
		if err == nil {
			text = bytes.ReplaceAll(text, []byte("CONFIGURATION"), []byte(r.file()))
			err = os.WriteFile(to, bytes.ReplaceAll(text, []byte(r.dir), []byte(there)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chmod", "-R", "a+rX", r.dir, filepath.Dir(r.dir)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := boot(t, root, r.dir+":"+there, program+":/usr/bin/fieldbridge", unit+":/etc/systemd/system/fieldbridge.service")
	m.must("systemctl", "start", "fieldbridge")
	pid := func() string { return m.must("systemctl", "show", "-P", "MainPID", "fieldbridge") }
	kill := func() {
		before := pid()
		r.eventually("it runs", 20*time.Second, func() bool { before = pid(); return before != "0" })
		m.must("systemctl", "kill", "-s", "KILL", "fieldbridge")
		r.oven.died()
		r.total.deaths++
		r.eventually("systemd starts it again", 20*time.Second, func() bool { p := pid(); return p != "0" && p != before })
	}
	said := func() string { return m.must("journalctl", "-u", "fieldbridge", "--no-pager", "-n", "2000") }
	defer func() {
		if t.Failed() {
			t.Log(said())
		}
	}()
	for want := soak(4); r.total.deaths < want && !t.Failed(); {
		r.online(r.rnd.IntN(4) == 0)
		from := r.oven.answered()
		r.eventually("devices are polled", 30*time.Second, func() bool {
			return r.oven.answered() >= from+1+r.rnd.IntN(6)
		})
		kill()
		if r.rnd.IntN(2) == 0 {
			kill() // while it restores
		}
	}
	if log := said(); !strings.Contains(log, "left in the journal is restored") {
		t.Errorf("nothing was restored:\n%s", log)
	}
	r.online(true)
	now := time.Now()
	r.eventually("a poll of now arrives", 30*time.Second, func() bool { return r.polled(now, now.Add(time.Hour)) > 0 })
	r.eventually("the queue is empty", 30*time.Second, func() bool {
		n := r.metrics()
		return n != nil && n["fieldbridge_queue_backlog_readings"] == 0 && n["fieldbridge_queue_waiting_readings"] < 40
	})
	m.must("systemctl", "stop", "fieldbridge")
	r.oven.died()
	r.judge()
	t.Log(&r.total)
}
