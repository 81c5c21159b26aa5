//go:build linux

package crashtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
)

// installed is a machine on which a package of ours is, in one version or another.
type installed struct {
	*machine
	r *rig
}

// dpkg runs dpkg as from a script: nobody answers questions.
func (m installed) dpkg(words ...string) string {
	m.t.Helper()
	return m.must(append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "dpkg"}, words...)...)
}

func (m installed) install(version string) string {
	m.t.Helper()
	said := m.dpkg("-i", "/srv/debs/fieldbridge_"+version+"_"+runtime.GOARCH+".deb")
	if v := m.must("fieldbridge", "version"); !strings.Contains(v, version) {
		m.t.Errorf("%s was to be installed: %s", version, v)
	}
	return said
}

func (m installed) pid() string { return m.must("systemctl", "show", "-P", "MainPID", "fieldbridge") }

// restarted does what ends the gateway, and waits until another polls.
func (m installed) restarted(what string, end func()) {
	m.t.Helper()
	var before, now string
	m.r.eventually("it runs", time.Minute, func() bool { before = m.pid(); return before != "0" })
	end()
	m.r.eventually("it runs again after "+what, time.Minute, func() bool {
		now = m.pid()
		return now != "0" && now != before
	})
	m.polls()
}

// upgraded installs another version of a gateway that runs.
func (m installed) upgraded(version string) {
	m.t.Helper()
	m.restarted("the installation of "+version, func() { m.install(version) })
	m.r.reloaded++ // it gives up the poll that is under way, and nobody sees when
}

// polls waits until some more polls are answered.
func (m installed) polls() {
	m.t.Helper()
	from := m.r.oven.answered()
	m.r.eventually("devices are polled", time.Minute, func() bool { return m.r.oven.answered() >= from+5 })
}

// says fails the test unless text has all words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// TestPackage takes the package of Debian through its life, on a machine that is booted:
// it is installed, upgraded in the middle of an outage, taken back a version, killed,
// removed and purged, and every poll that was answered arrives.
func TestPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel() // it mostly waits for other processes
	root := needtest.Debian(t)
	needtest.Program(t, "systemd-nspawn")
	debs := t.TempDir()
	for _, version := range []string{"0.1.0", "0.2.0"} {
		out := filepath.Join(debs, version)
		release := exec.Command("go", "run", "./packaging/release", "--only", runtime.GOARCH, "--kinds", "deb",
			"--as", version, out)
		release.Dir = filepath.Join("..", "..")
		release.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795906800")
		if said, err := release.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		name := "fieldbridge_" + version + "_" + runtime.GOARCH + ".deb"
		if err := os.Rename(filepath.Join(out, name), filepath.Join(debs, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, "/var/lib/fieldbridge/queue", 0)
	r.exact, r.quiet = true, true
	const there = "/srv/gateway" // the machine has a /tmp of its own
	m := installed{boot(t, root, r.dir+":"+there, debs+":/srv/debs"), r}
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := m.run("journalctl", "--no-pager", "-n", "200")
			t.Log(said)
		}
	})

	said := m.install("0.1.0")
	says(t, said, "installed and does not run yet", "fieldbridge init", "systemctl enable --now fieldbridge")
	if said, _ := m.run("systemctl", "is-active", "fieldbridge"); said != "inactive" {
		t.Errorf("after the first install it is %s", said)
	}
	if said, _ := m.run("systemctl", "is-enabled", "fieldbridge"); said != "disabled" {
		t.Errorf("after the first install it is %s", said)
	}
	says(t, m.dpkg("-s", "fieldbridge"), "Conffiles:\n /etc/fieldbridge/fieldbridge.yaml ")
	if said := m.dpkg("--verify", "fieldbridge"); said != "" {
		t.Errorf("not as it was packed:\n%s", said)
	}
	if said, err := m.run("fieldbridge", "check", "/etc/fieldbridge/fieldbridge.yaml"); err == nil {
		t.Errorf("a file with comments alone is a configuration:\n%s", said)
	}

	// write writes the next variant of the configuration there.
	write := func() {
		r.configure()
		text, err := os.ReadFile(r.file())
		if err != nil {
			t.Fatal(err)
		}
		moved := strings.ReplaceAll(string(text), r.dir, there)
		if err := os.WriteFile(filepath.Join(r.dir, "moved"), []byte(moved), 0o644); err != nil {
			t.Fatal(err)
		}
		m.must("cp", there+"/moved", "/etc/fieldbridge/fieldbridge.yaml")
	}
	write()
	if out, err := exec.Command("chmod", "-R", "a+rX", r.dir, filepath.Dir(r.dir)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Root may make the queue's folder before the gateway does.
	m.must("fieldbridge", "identity", "csr", "/etc/fieldbridge/fieldbridge.yaml")
	m.must("systemctl", "enable", "--now", "fieldbridge")
	m.polls()
	kill := func() {
		m.must("systemctl", "kill", "-s", "KILL", "fieldbridge")
		r.oven.died()
		r.total.deaths++
	}
	m.restarted("a kill", kill)

	r.online(false)
	m.polls()
	m.upgraded("0.2.0")
	m.restarted("a kill after the upgrade", kill)
	m.upgraded("0.1.0")
	m.upgraded("0.2.0")
	r.online(true)
	now := time.Now()
	r.eventually("a poll of now arrives", time.Minute, func() bool { return r.polled(now, now.Add(time.Hour)) > 0 })

	// stays has an upgrade leave the gateway alone, and says why.
	stays := func(version string, why ...string) {
		t.Helper()
		before := m.pid()
		says(t, m.install(version), append(why, "still runs as it was before")...)
		if after := m.pid(); after != before {
			t.Errorf("it was restarted: process %s, then %s", before, after)
		}
	}
	write()
	says(t, m.must("fieldbridge", "reload", "/etc/fieldbridge/fieldbridge.yaml", "--confirm", "20m"), "labels")
	r.reloaded++
	stays("0.1.0", "on trial")
	m.must("sh", "-c", "echo nonsense: 1 >>/etc/fieldbridge/fieldbridge.yaml")
	stays("0.2.0", "refuses its configuration", "fieldbridge check")
	m.must("cp", there+"/moved", "/etc/fieldbridge/fieldbridge.yaml")

	r.eventually("the queue is empty", time.Minute, func() bool {
		n := r.metrics()
		return n != nil && n["fieldbridge_queue_backlog_readings"] == 0 && n["fieldbridge_queue_waiting_readings"] < 40
	})
	m.dpkg("--remove", "fieldbridge")
	r.oven.died()
	r.judge()
	t.Log(&r.total)

	kept := func() bool { _, err := m.run("ls", "/var/lib/fieldbridge/queue"); return err == nil }
	if _, err := m.run("pgrep", "-x", "fieldbridge"); err == nil || !kept() {
		t.Errorf("after a removal it runs: %v; its queue is there: %v", err == nil, kept())
	}
	says(t, m.install("0.2.0"), "fieldbridge is not running. 'systemctl start fieldbridge' starts it.")
	m.must("systemctl", "start", "fieldbridge")
	m.polls()
	says(t, m.dpkg("--purge", "fieldbridge"), "/var/lib/fieldbridge is kept")
	if _, err := m.run("ls", "/etc/systemd/system/multi-user.target.wants/fieldbridge.service"); err == nil || !kept() {
		t.Errorf("after a purge it is enabled: %v; its queue is there: %v", err == nil, kept())
	}
	for _, name := range []string{"gateway-2", "gateway-1"} {
		m.install("0.2.0")
		m.must("sh", "-c", "echo fieldbridge fieldbridge/delete string "+name+" | debconf-set-selections")
		said := m.dpkg("--purge", "fieldbridge")
		if kept() != (name == "gateway-2") {
			t.Errorf("a purge that is told the name %s keeps the queue: %v\n%s", name, kept(), said)
		}
	}
}
