package main

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/signed"
)

// elf returns a program that nothing runs, for amd64 (62) or arm64 (183).
func elf(machine uint16, text string) string {
	head := []byte("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 13))
	binary.LittleEndian.PutUint16(head[18:], machine)
	return string(head) + text
}

// releases makes the folders of a version for both processors.
func (a *fleetAccount) releases(version string) []string {
	a.Helper()
	args := []string{"release", a.write("amd64", elf(62, version)), a.write("arm64", elf(183, version)), "--version",
		version, "--key", filepath.Join(a.dir, "root.key"), "--out", filepath.Join(a.dir, version)}
	code, out, _ := a.run(args...)
	if folders := strings.Fields(out); code == exitDone && len(folders) == 2 {
		return folders
	}
	a.Fatal("no releases were made")
	return nil
}

// update calls the command.
func (a *fleetAccount) update(releases []string, more ...string) (code int, stdout, stderr string) {
	a.Helper()
	return a.run(slices.Concat([]string{"update", a.file}, releases, []string{"--group", "canary", "--then", "rest",
		"--bucket", "files", "--key", filepath.Join(a.dir, "signing.key")}, more)...)
}

// TestUpdate brings a version to a fleet of two kinds of processors: each gateway gets
// that for its own, those that run it already nothing, and the canary stops a bad one.
func TestUpdate(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	a.is("g1", func(r *running) { r.Platform = "linux/amd64" })
	a.is("g2", func(r *running) { r.Platform = "linux/arm64" })
	a.is("g3", func(r *running) {})
	folders := a.releases("1.1.0")
	if code, _, told := a.update(folders, "--plan"); code != exitDone || !strings.Contains(told,
		"canary: 1 gateways, 1 to change") || !strings.Contains(told, "rest: 2 gateways, 1 to change") ||
		!strings.Contains(told, "1 have a processor that nothing is for") || len(a.Jobs.All()) != 0 {
		t.Error("the plan is wrong, or more than a plan")
	}
	a.gateways()
	if code, _, told := a.update(folders); code != exitDone || !strings.Contains(told, "rest: 1 of 1 done") {
		t.Fatal("the version was not rolled out")
	}
	if code, _, _ := a.update(folders, "--assume", "linux/arm64", "--trial", "10m"); code != exitDone ||
		len(a.Jobs.All()) != 3 || a.things["g3"].Version != "1.1.0" || a.things["g1"].Version != "1.1.0" {
		t.Errorf("%d jobs, %+v", len(a.Jobs.All()), a.things["g3"])
	}
	if code, _, _ := a.update(folders); code != exitDone || len(a.Jobs.All()) != 3 {
		t.Error("what runs already was brought again")
	}
	if code, _, _ := a.update(a.releases("1.2.0"), "--apart", "-1h"); code != exitUsage {
		t.Error("a negative time is taken")
	}
	a.spoil = func(thing string) bool { return true }
	if code, _, told := a.update(a.releases("1.2.0"), "--apart", "24h"); code != exitStopped || len(a.Jobs.All()) != 4 ||
		!strings.Contains(told, "boiler.temp") {
		t.Error("the canary did not stop it, or nobody knows why")
	}
	var e signed.Envelope
	if err := json.Unmarshal([]byte(a.Jobs.All()[0].Document), &e); err != nil ||
		!strings.Contains(string(e.Payload), `"apart":"1d"`) {
		t.Errorf("what is signed: %s, %v", e.Payload, err)
	}
}

// TestStreamMended: a stream that was made with the wrong role gets the right one, and
// one that is right is left alone, as its version would end downloads.
func TestStreamMended(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	a.gateways()
	folder := a.releases("1.1.0")[:1]
	p, err := loadRelease(folder[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, role := range []string{"wrong", "right", "right"} {
		for _, name := range []string{"g1", "g2", "g3"} {
			a.is(name, func(r *running) { r.Version, r.Platform = "1.0.0", "linux/amd64" })
		}
		if code, _, _ := a.update(folder, "--again", "--role", role); code != exitDone {
			t.Errorf("exit %d", code)
		}
		st, ok := a.Streams.Get("fieldbridge-" + p.SHA256[:16])
		if !ok || st.Role != "arn:aws:iam::123456789012:role/"+role || st.Version != min(i, 1) {
			t.Errorf("step %d: %+v", i, st)
		}
	}
}

// TestReleaseRefused: what is no release of one version for each processor is refused
// before anything is begun.
func TestReleaseRefused(t *testing.T) {
	a := newAccount(t)
	one, two := a.releases("1.1.0"), a.releases("1.2.0")
	changed := filepath.Join(two[1], "fieldbridge")
	for name, folders := range map[string][]string{"two versions": {one[0], two[1]},
		"one processor twice": {one[0], one[0]}, "no release": {a.dir}} {
		if code, _, _ := a.update(folders, "--plan"); code != exitUsage {
			t.Errorf("%s: exit %d", name, code)
		}
	}
	if err := os.WriteFile(changed, []byte(elf(183, "other")), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := a.update(two, "--plan"); code != exitUsage {
		t.Error("a changed program is taken")
	}
	for name, args := range map[string][]string{
		"no version":      {"release", a.write("p0", elf(62, ""))},
		"no program":      {"release", a.write("p1", "#!/bin/sh\nexec something-else\n"), "--version", "1.2.3"},
		"a wrong version": {"release", a.write("p2", elf(62, "")), "--version", "next"},
		"a floor above":   {"release", a.write("p3", elf(62, "")), "--version", "1.2.3", "--floor", "1.3.0"},
	} {
		if code, _, _ := a.run(append(args, "--key", filepath.Join(a.dir, "root.key"), "--out", t.TempDir())...); code !=
			exitUsage {
			t.Errorf("%s: exit %d", name, code)
		}
	}
}
