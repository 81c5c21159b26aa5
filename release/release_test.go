package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"fieldbridge/minisign"
	"fieldbridge/needtest"
)

// The test's own program is the packaged one, and every release: what it does is told
// by act, and which it is by its path.
const (
	act    = "RELEASE_TEST_ACT"
	folder = "RELEASE_TEST_FOLDER"
	roots  = "RELEASE_TEST_ROOTS"
)

func TestMain(m *testing.M) {
	if os.Getenv(act) == "" {
		os.Exit(m.Run())
	}
	keys, err := ParseRoots(os.Getenv(roots))
	if err != nil {
		panic(err)
	}
	f := Folder{Dir: os.Getenv(folder), Packaged: "1.0.0", Roots: keys}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	switch os.Getenv(act) {
	case "launch":
		if packaged, by := Launched(); by == "" {
			err = f.Launch(self, os.Args, os.Environ())
			fmt.Println("packaged", err)
		} else {
			fmt.Println("release", filepath.Base(filepath.Dir(self)), "of", packaged, by)
		}
	case "stage": // what lies beside the folder, as the rig put it there
		runtime.LockOSThread() // a kill at the nth call finds the same one each time
		_, err = f.Stage(given("manifest"), string(given("signature")), bytes.NewReader(given("program")))
		if err == nil {
			err = f.Begin("1.1.0", nil)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

func given(name string) []byte {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv(folder)), name))
	if err != nil {
		panic(err)
	}
	return text
}

// rig is a folder of releases, and who signs them.
type rig struct {
	*Folder
	t       *testing.T
	key     minisign.SecretKey
	program []byte
}

func newRig(t *testing.T) *rig {
	t.Helper()
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(needtest.Self(t))
	if err != nil {
		t.Fatal(err)
	}
	f := &Folder{Dir: filepath.Join(t.TempDir(), "releases"), Packaged: "1.0.0", Roots: Roots{key.Public()}}
	return &rig{f, t, key, program}
}

// signed returns the manifest of the rig's program as that version, and its signature.
func (r *rig) signed(version string, change ...func(*Manifest)) (manifest []byte, signature string) {
	r.t.Helper()
	sum := sha256.Sum256(r.program)
	m := Manifest{Version: version, OS: runtime.GOOS, Arch: runtime.GOARCH, Size: int64(len(r.program)),
		SHA256: hex.EncodeToString(sum[:])}
	for _, do := range change {
		do(&m)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		r.t.Fatal(err)
	}
	signature, err = r.key.Sign(manifest, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return manifest, signature
}

func (r *rig) stage(version string, change ...func(*Manifest)) error {
	manifest, signature := r.signed(version, change...)
	_, err := r.Stage(manifest, signature, bytes.NewReader(r.program))
	return err
}

// begin puts a version on trial.
func (r *rig) begin(version string, change ...func(*Manifest)) {
	r.t.Helper()
	if err := errors.Join(r.stage(version, change...), r.Begin(version, nil)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) command(what string, before ...string) *exec.Cmd {
	words := append(before, needtest.Self(r.t))
	c := exec.Command(words[0], words[1:]...)
	c.Env = append(os.Environ(), act+"="+what, folder+"="+r.Dir, roots+"="+r.Roots[0].String())
	return c
}

// launch starts the packaged program and returns what ran: a version, or packaged.
func (r *rig) launch(before ...string) string {
	r.t.Helper()
	out, err := r.command("launch", before...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	if words := strings.Fields(string(out)); words[0] == "release" {
		return words[1]
	}
	return strings.TrimSpace(string(out))
}

// runs makes sure that the next start runs that.
func (r *rig) runs(want string) {
	r.t.Helper()
	if got := r.launch(); !strings.HasPrefix(got, want) {
		r.t.Errorf("%q runs, want %q", got, want)
	}
}

func (r *rig) slots() Slots {
	r.t.Helper()
	s, err := r.Slots()
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func TestLaunch(t *testing.T) {
	r := newRig(t)
	r.runs("packaged")
	r.begin("1.1.0")
	r.runs("1.1.0")
	if err := r.Commit("1.1.0"); err != nil {
		t.Fatal(err)
	}
	for range mostAttempts + 1 { // a committed release is started as often as it may be
		r.runs("1.1.0")
	}
	r.begin("1.2.0")
	r.runs("1.2.0")
	if err := r.Reject("1.2.0", "it did not connect"); err != nil {
		t.Fatal(err)
	}
	r.runs("1.1.0")
	if s := r.slots(); s.Last.Committed || s.Last.Why != "it did not connect" || s.Current != "1.1.0" {
		t.Errorf("%+v", s)
	}
	// A package upgrade is not shadowed by an old release.
	r.Packaged = "1.1.0"
	if err := r.Launch("/nowhere", nil, nil); err != nil {
		t.Errorf("the packaged program of the same version: %v", err)
	}
}

// TestCrashes lets a trial end each time before it proves itself.
func TestCrashes(t *testing.T) {
	r := newRig(t)
	r.begin("1.1.0")
	for range mostAttempts {
		r.runs("1.1.0")
	}
	r.runs("packaged release 1.1.0 was given up: it was started 3 times")
	r.runs("packaged")
	var refused *RefusedError
	if err := r.stage("1.1.0"); !errors.As(err, &refused) || !strings.Contains(err.Error(), "is not tried again") {
		t.Errorf("a bad version again: %v", err)
	}
	if err := r.Begin("1.1.0", nil); err == nil {
		t.Error("a bad version is tried again")
	}
}

func TestRollback(t *testing.T) {
	r := newRig(t)
	if _, err := r.Rollback("by hand"); err == nil {
		t.Error("the packaged program was rolled back")
	}
	for _, v := range []string{"1.1.0", "1.2.0"} {
		r.begin(v)
		if err := r.Commit(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ left, then string }{{"1.2.0", "1.1.0"}, {"1.1.0", "packaged"}} {
		if left, err := r.Rollback("by hand"); err != nil || left != tt.left {
			t.Errorf("%s was left, %v; want %s", left, err, tt.left)
		}
		r.runs(tt.then)
		if _, bad := ptr(r.slots()).IsBad(tt.left); !bad {
			t.Errorf("%s may be tried again", tt.left)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestRefused(t *testing.T) {
	r := newRig(t)
	stranger := newRig(t)
	other := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00 for arm64")
	if runtime.GOARCH == "arm64" {
		other[18] = 62
	}
	r.begin("1.1.0", func(m *Manifest) { m.Floor = "1.1.0" })
	if err := r.Commit("1.1.0"); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		version string
		from    *rig
		program []byte
		change  func(*Manifest)
		want    string
	}{
		"stranger":        {"1.2.0", stranger, nil, nil, "not signed by a root key"},
		"below the floor": {"1.0.9", r, nil, nil, "older than 1.1.0, the oldest that may run"},
		"named other":     {"1.2.0", r, nil, func(m *Manifest) { m.Arch = "mips" }, "is for linux/mips"},
		"is other":        {"1.2.0", r, other, nil, "another processor"},
		"no program":      {"1.2.0", r, []byte("#!/bin/sh\necho a script is none\n"), nil, "no program of Linux"},
		"other bytes":     {"1.2.0", r, nil, func(m *Manifest) { m.SHA256 = strings.Repeat("0", 64) }, "another SHA-256"},
		"longer":          {"1.2.0", r, nil, func(m *Manifest) { m.Size-- }, "has not the"},
		"shorter":         {"1.2.0", r, nil, func(m *Manifest) { m.Size++ }, "has not the"},
		"huge":            {"1.2.0", r, nil, func(m *Manifest) { m.Size = maxProgram + 1 }, "is not taken"},
		"a path":          {"../../1.2.0", r, nil, nil, "is no version"},
		"floor above":     {"1.2.0", r, nil, func(m *Manifest) { m.Floor = "1.3.0" }, "above the version"},
	} {
		t.Run(name, func(t *testing.T) {
			from := *tt.from
			if tt.program != nil {
				from.program = tt.program
			}
			change := tt.change
			if change == nil {
				change = func(*Manifest) {}
			}
			manifest, signature := from.signed(tt.version, change)
			_, err := r.Stage(manifest, signature, bytes.NewReader(from.program))
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	r.Packaged = "1.3.0"
	if err := r.stage("1.2.0"); err == nil || !strings.Contains(err.Error(), "older than the packaged") {
		t.Errorf("older than the package: %v", err)
	}
	r.Packaged = "dev"
	if err := r.stage("1.4.0"); err == nil || !strings.Contains(err.Error(), "is of no release") {
		t.Errorf("a program of no release: %v", err)
	}
	r.Packaged, r.Roots = "1.0.0", nil
	if err := r.stage("1.4.0"); err == nil || err.Error() != ErrNoRoots.Error() {
		t.Errorf("without keys: %v", err)
	}
}

// TestTampered changes what lies in the folder after it was committed.
func TestTampered(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, r *rig) error{
		"program": func(_ *testing.T, r *rig) error {
			path := r.path("1.1.0", Program)
			r.program[len(r.program)/2] ^= 1
			return errors.Join(os.Remove(path), os.WriteFile(path, r.program, 0o500))
		},
		"manifest": func(t *testing.T, r *rig) error {
			manifest, _ := r.signed("1.1.0", func(m *Manifest) { m.Floor = "1.0.0" })
			path := r.path("1.1.0", ManifestFile)
			return errors.Join(os.Remove(path), os.WriteFile(path, manifest, 0o400))
		},
		"another release": func(t *testing.T, r *rig) error {
			if err := r.stage("1.2.0"); err != nil {
				return err
			}
			return errors.Join(os.RemoveAll(r.path("1.1.0")), os.Rename(r.path("1.2.0"), r.path("1.1.0")))
		},
		"others may write": func(_ *testing.T, r *rig) error { return os.Chmod(r.path("1.1.0", Program), 0o722) },
		"others may write the folder": func(_ *testing.T, r *rig) error {
			return os.Chmod(r.path("1.1.0"), 0o770)
		},
		"a link": func(_ *testing.T, r *rig) error {
			return errors.Join(os.Rename(r.path("1.1.0"), r.Dir+"-else"), os.Symlink(r.Dir+"-else", r.path("1.1.0")))
		},
		"gone":    func(_ *testing.T, r *rig) error { return os.RemoveAll(r.path("1.1.0")) },
		"garbage": func(_ *testing.T, r *rig) error { return os.WriteFile(r.path("slots.json"), []byte("{]"), 0o600) },
		"a path in slots": func(_ *testing.T, r *rig) error {
			return os.WriteFile(r.path("slots.json"), []byte(`{"current":"../1.1.0"}`), 0o600)
		},
		"endless slots": func(_ *testing.T, r *rig) error {
			return os.WriteFile(r.path("slots.json"), make([]byte, maxSlots+1), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.begin("1.1.0")
			if err := r.Commit("1.1.0"); err != nil {
				t.Fatal(err)
			}
			r.runs("1.1.0")
			if err := change(t, r); err != nil {
				t.Fatal(err)
			}
			if got := r.launch(); !strings.HasPrefix(got, "packaged") || got == "packaged <nil>" {
				t.Errorf("%q runs, want the packaged program, and why", got)
			}
		})
	}
}

// TestAnothersFile makes sure that root runs nothing of another user.
func TestAnothersFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	r := newRig(t)
	r.begin("1.1.0")
	if err := os.Chown(r.path("1.1.0", Program), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	r.runs("packaged release 1.1.0 was given up")
}

func TestKept(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		v := fmt.Sprintf("1.%d.0", i+1)
		r.begin(v)
		if err := r.Commit(v); err != nil {
			t.Fatal(err)
		}
	}
	all, err := os.ReadDir(r.Dir)
	if err != nil || len(all) != kept+1 { // and slots.json
		t.Errorf("%v, %v", all, err)
	}
}

// TestNoexec stages on, and launches from, a file system from which nothing runs.
func TestNoexec(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	unshare := needtest.Program(t, "unshare")
	r := newRig(t)
	r.begin("1.1.0")
	manifest, signature := r.signed("1.2.0")
	for name, text := range map[string][]byte{"manifest": manifest, "signature": []byte(signature)} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(r.Dir), name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := `mount --bind "$0" "$0" && mount -o remount,bind,noexec "$0" && exec "$@"`
	within := []string{unshare, "-m", "sh", "-c", script, r.Dir}
	if out, err := exec.Command(unshare, "-m", "sh", "-c", script, r.Dir, "true").CombinedOutput(); err != nil {
		needtest.Missing(t, "no mount can be made here: %v: %s", err, out)
	}
	if got := r.launch(within...); !strings.HasPrefix(got, "packaged release 1.1.0 was given up") ||
		!strings.Contains(got, "permission denied") {
		t.Errorf("%q runs", got)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(r.Dir), "program"), r.program, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.command("stage", within...).CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "noexec") {
		t.Errorf("staged: %v: %s", err, out)
	}
}

// TestKilled kills a program that stages a release and puts it on trial at each system
// call that changes a file. What is left always starts, and the same again goes well.
// A program is written by pieces, and one that lacks a piece is like one that lacks two:
// of these calls those are tried after which half as much is missing, and the last four.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	strace := needtest.Program(t, "strace")
	r := newRig(t)
	manifest, signature := r.signed("1.1.0")
	for name, text := range map[string][]byte{"manifest": manifest, "signature": []byte(signature),
		"program": r.program} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(r.Dir), name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const calls = "openat,write,fsync,renameat,renameat2,rename,unlinkat,fchmod,mkdirat,mkdir,flock,copy_file_range"
	const piece = 32 << 10 // of io.Copy
	tried, within, whole := 0, 0, 0
	for n := 1; ; n++ {
		if err := os.RemoveAll(r.Dir); err != nil {
			t.Fatal(err)
		}
		// strace counts the calls of each thread apart: they are all of one (TestMain).
		killed := r.command("stage", strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls, "-e",
			fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, n)).Run()
		left := len(r.program) - r.written() // to be written still
		got := r.launch()
		if got != "1.1.0" && got != "packaged <nil>" {
			t.Errorf("killed at call %d: %q runs", n, got)
		}
		if killed == nil {
			if tried < 20 || within < 4 || whole == 0 || got != "1.1.0" {
				t.Errorf("only %d calls were seen, %d of them within the program, then %s ran", tried, within, got)
			}
			t.Logf("killed at %d system calls of %d, %d of them within the program", tried, n-1, within)
			return
		}
		tried++
		if out, err := r.command("stage").CombinedOutput(); err != nil && got != "1.1.0" {
			t.Errorf("killed at call %d, the same again: %v: %s", n, err, out)
		}
		if got := r.launch(); got != "1.1.0" {
			t.Errorf("killed at call %d, the same again: %q runs", n, got)
		}
		switch {
		case left == 0:
			whole++
		case left < len(r.program):
			within++
			if pieces := left / piece; pieces > 4 && os.Getenv("FIELDBRIDGE_SOAK") == "" {
				n += pieces/2 - 1
			}
		}
	}
}

// written returns how much of a program lies in the folder, whole or not.
func (r *rig) written() int {
	r.t.Helper()
	most := int64(0)
	for _, pattern := range []string{".new-*", "1.*"} {
		files, err := filepath.Glob(r.path(pattern, Program))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, name := range files {
			info, err := os.Stat(name)
			if err != nil {
				r.t.Fatal(err)
			}
			most = max(most, info.Size())
		}
	}
	return int(most)
}
