//go:build linux

package crashtest

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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fieldbridge/gateway/control"
	"fieldbridge/gateway/orders"
	"fieldbridge/minisign"
	"fieldbridge/northbound/awsiot/awsiottest"
	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
	"fieldbridge/release"
	"fieldbridge/setting"
	"fieldbridge/signed"
)

// build builds a program of this module, or of one file, with flags that no other test has.
func build(out, what string, flags ...string) error {
	words := append(append([]string{"build"}, flags...), "-o", out, what)
	cmd := exec.Command("go", words...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w: %s", words, err, said)
	}
	return nil
}

// programs are those of which releases are made. They are built once.
type programs struct {
	root     minisign.SecretKey // signs releases
	packaged string             // the path of the gateway that knows root, version 1.100.0-test
	crashes  []byte             // ends at once
	hangs    []byte             // does nothing, for ever
}

var buildPrograms = sync.OnceValues(func() (p programs, err error) {
	if p.root, err = minisign.NewSecretKey(); err != nil {
		return p, err
	}
	dir := filepath.Dir(program)
	p.packaged = filepath.Join(dir, "packaged")
	if err := build(p.packaged, gatewayProgram, "-ldflags=-s -w -X main.version=1.100.0-test "+
		"-X main.roots="+p.root.Public().String()); err != nil {
		return p, err
	}
	tiny := func(name, does string) ([]byte, error) {
		source, path := filepath.Join(dir, name+".go"), filepath.Join(dir, name)
		text := "package main\n\nimport (\n\t\"os\"\n\t\"time\"\n)\n\nfunc main() {\n\t" + does +
			"\n\tos.Exit(1)\n}\n"
		if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
			return nil, err
		}
		if err := build(path, source, "-ldflags=-s -w"); err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	}
	if p.crashes, err = tiny("crashes", `_ = time.Hour; panic("this release is bad")`); err != nil {
		return p, err
	}
	p.hangs, err = tiny("hangs", `time.Sleep(time.Hour)`)
	return p, err
})

// packed is a release.
type packed struct {
	program, manifest, signature []byte
}

// pack makes a release of a program.
func pack(t *testing.T, key minisign.SecretKey, program []byte, version string,
	change ...func(*release.Manifest)) packed {
	t.Helper()
	sum := sha256.Sum256(program)
	m := release.Manifest{Version: version, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Size: int64(len(program)), SHA256: hex.EncodeToString(sum[:])}
	for _, do := range change {
		do(&m)
	}
	manifest, err := json.Marshal(m)
	signature, err2 := key.Sign(manifest, version)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return packed{program, manifest, []byte(signature)}
}

// folder lays a release in a folder, as a person has it.
func (p packed) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string][]byte{release.Program: p.program, release.ManifestFile: p.manifest,
		release.SignatureFile: p.signature} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// usual is how long a release that works has to prove itself: a fifth of it is needed,
// and the rest is for a machine that is busy.
const usual = 30 * time.Second

// updater has a gateway take releases.
type updater struct {
	*rig
	programs
	service *awsjobs.Service
	streams *streams.Service
	key     minisign.SecretKey // signs orders
	state   string             // $STATE_DIRECTORY
	serial  uint64
	last    *signed.Envelope // that was sent
}

// updates makes the gateway one that takes releases, by hand and by jobs.
func (r *rig) updates() *updater {
	r.t.Helper()
	u := &updater{rig: r, service: awsjobs.New(r.cloud.Registry()), streams: streams.New(), state: r.t.TempDir()}
	r.cloud.Serve(u.service)
	r.cloud.Serve(u.streams)
	var err error
	if u.programs, err = buildPrograms(); err != nil {
		r.t.Fatal(err)
	}
	r.program = u.packaged
	if u.key, err = minisign.NewSecretKey(); err != nil {
		r.t.Fatal(err)
	}
	text, err := os.ReadFile(r.file())
	if err == nil {
		// A machine that is busy must not lose its connection all the time: it has 11 MB to
		// fetch.
		patient := strings.ReplaceAll(string(text), "_timeout: "+ackTimeout.String(), "_timeout: 15s")
		changed := strings.Replace(patient, "    topic:", "    jobs: [update]\n    rate: {bytes: 0}\n    topic:", 1) +
			fmt.Sprintf("updates: {keys: [%q]}\n", u.key.Public())
		err = os.WriteFile(r.file(), []byte(changed), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

func (u *updater) start(more ...string) {
	u.t.Helper()
	u.rig.start(append([]string{"env", "STATE_DIRECTORY=" + u.state}, more...)...)
}

// endWithin is how long a job may take to its end. On a machine with many times more work
// than cores, whose readings are always late, its file waits for minutes.
const endWithin = 20 * time.Minute

// manager starts the gateway again whenever it ends, as a service manager does, until
// done holds.
func (u *updater) manager(what string, done func() bool) {
	u.t.Helper()
	u.eventually(what, endWithin, func() bool {
		select {
		case <-u.process.ended:
			state := u.process.cmd.ProcessState
			u.t.Logf("the gateway has ended, and is started again: %v: %s", state, tail(u.process.stderr.String()))
			if state.ExitCode() == 2 {
				u.t.Fatal("a service manager does not start it again: 2 is that of a wrong file")
			}
			u.start()
		default:
		}
		return done()
	})
}

// real returns the program of the gateway as another version, of as many characters.
func (u *updater) real(version string) packed {
	u.t.Helper()
	program, err := os.ReadFile(u.packaged)
	if err != nil {
		u.t.Fatal(err)
	}
	if version += "-test"; len(version) != len("1.100.0-test") {
		u.t.Fatalf("%s has another length than what it replaces", version)
	}
	return pack(u.t, u.root, bytes.ReplaceAll(program, []byte("1.100.0-test"), []byte(version)), version)
}

// order creates a job for a release, of which the cloud has the program, and returns it.
func (u *updater) order(p packed, trial time.Duration, change ...func(*signed.Order)) (job string) {
	u.t.Helper()
	u.serial++
	job = fmt.Sprint("update-", u.serial)
	what, _ := json.Marshal(orders.Upgrade{Manifest: p.manifest, Signature: p.signature,
		Trial: setting.Duration(trial)})
	o := signed.Order{Operation: "update", Targets: signed.Targets{Gateways: []string{"gateway-1"}}, Serial: u.serial,
		NotBefore: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour), What: what}
	for _, do := range change {
		do(&o)
	}
	e, err := signed.Seal(o, nil, u.key)
	if err == nil {
		err = u.streams.Put(streams.Stream{ID: job, Files: map[int]streams.Object{0: streams.Bytes(p.program)}})
	}
	if err != nil {
		u.t.Fatal(err)
	}
	u.create(job, e)
	return job
}

// create creates a job with an envelope and the stream of the job's name.
func (u *updater) create(job string, e *signed.Envelope) {
	u.t.Helper()
	u.last = e
	document, _ := json.Marshal(struct {
		*signed.Envelope
		File map[string]any `json:"file"`
	}{e, map[string]any{"stream": job, "file": 0}})
	err := u.service.Create(awsjobs.Job{ID: job, Document: string(document), Things: []string{"gateway-1"}})
	if err != nil {
		u.t.Fatal(err)
	}
}

// became waits for the end of a job, and makes sure of what became of it.
func (u *updater) became(job string, want awsjobs.Status, word string) map[string]string {
	u.t.Helper()
	var e awsjobs.Execution
	u.manager(job+" ends", func() bool {
		e = u.service.Executions(job, "")[0]
		return e.Status != awsjobs.InProgress && e.Status != awsjobs.Queued
	})
	if e.Status != want || !strings.Contains(e.Details["error"], word) {
		u.t.Errorf("%s: %s %v, want %s and %q\n%s", job, e.Status, e.Details, want, word, tail(u.process.stderr.String()))
	}
	return e.Details
}

// update has a person at the machine take a step.
func (u *updater) update(words ...string) (answer control.Releases, err error) {
	words = append(append([]string{"update"}, words...), u.file(), "--json")
	out, err := exec.Command(u.packaged, words...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("update %v: %w: %s", words, err, exit.Stderr)
	}
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	return answer, err
}

// runs makes sure that a version runs, or comes to: its program says so.
func (u *updater) runs(version string) {
	u.t.Helper()
	u.manager("release "+version+" runs", func() bool {
		_, running := u.status()
		return running == version+"-test"
	})
}

// TestUpdate has a gateway take another release by a job, and go back by another job,
// before which it was offline for a while. Then, still offline, a person has it take a
// third one, and go back: each version reads the queue of the other. It is one process
// all the time, and the ledger is exact.
func TestUpdate(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	t.Parallel() // it mostly waits for other processes
	r := newRig(t, filepath.Join(t.TempDir(), "queue"), 1)
	u := r.updates()
	waiting := func() float64 { return r.metrics()["fieldbridge_queue_waiting_readings"] }
	backlog := func(least float64) {
		t.Helper()
		u.eventually("readings wait", time.Minute, func() bool { return waiting() > least })
	}
	u.start()
	u.runs("1.100.0")
	pid := r.process.cmd.Process.Pid
	job := u.order(u.real("1.101.0"), usual)
	u.runs("1.101.0")
	if d := u.became(job, awsjobs.Succeeded, ""); d["from"] != "1.100.0-test" || d["to"] != "1.101.0-test" {
		t.Errorf("%v", d)
	}
	u.became(u.order(u.real("1.101.0"), 0), awsjobs.Succeeded, "") // it runs: nothing is to be done
	gets := u.streams.Counts().Gets
	r.online(false)
	backlog(100)
	job = u.order(u.real("1.100.0"), usual)
	r.online(true)
	u.became(job, awsjobs.Succeeded, "")
	u.runs("1.100.0")
	if now := u.streams.Counts().Gets; now != gets {
		t.Errorf("%d requests for a release that is on the disk", now-gets)
	}

	r.online(false)
	backlog(100)
	for _, step := range []struct {
		words []string
		then  string
	}{
		{[]string{"install", u.real("1.102.0").folder(t)}, "1.102.0"}, {[]string{"rollback"}, "1.100.0"},
	} {
		before := waiting()
		if _, err := u.update(step.words...); err != nil {
			t.Fatal(err)
		}
		u.runs(step.then)
		if now := waiting(); now < before {
			t.Errorf("%.0f readings wait with %s, and %.0f before it", now, step.then, before)
		}
	}
	if r.process.cmd.Process.Pid != pid {
		t.Error("the process has changed")
	}
	r.settle()
}

// TestBadUpdates gives a gateway what it must refuse, and what it must come back from.
func TestBadUpdates(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	t.Parallel() // it mostly waits for other processes
	u := newRig(t, filepath.Join(t.TempDir(), "queue"), 1).updates()
	u.start()
	u.runs("1.100.0")
	const short = 5 * time.Second
	crashes := pack(t, u.root, u.crashes, "1.101.0-test")
	stranger, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []struct {
		what packed
		word string
		say  func(o *signed.Order)
	}{
		{pack(t, stranger, u.crashes, "1.101.0-test"), "not signed by a root key", nil},
		{pack(t, u.root, u.crashes, "1.101.0-test", func(m *release.Manifest) { m.Arch = "mips" }), "is for linux/mips",
			nil},
		{pack(t, u.root, u.crashes, "0.9.0"), "older than the packaged program", nil},
		{crashes, "for others", func(o *signed.Order) { o.Targets.Gateways[0] = "gateway-2" }},
	} {
		say := refused.say
		if say == nil {
			say = func(*signed.Order) {}
		}
		u.became(u.order(refused.what, short, say), awsjobs.Rejected, refused.word)
	}
	mine := u.key
	u.key = stranger
	u.became(u.order(crashes, short), awsjobs.Rejected, "keys that this gateway trusts")
	u.key = mine
	other := crashes
	other.program = u.hangs
	u.became(u.order(other, short), awsjobs.Failed, "another file")
	u.runs("1.100.0")

	back := func(job, word string) {
		t.Helper()
		if d := u.became(job, awsjobs.Failed, word); d["rolled_back"] != "true" {
			t.Errorf("%v", d)
		}
		u.runs("1.100.0")
	}
	back(u.order(crashes, short), "it was started 3 times")
	u.create("replayed", u.last)
	u.became("replayed", awsjobs.Rejected, "was replayed")
	u.became(u.order(crashes, short), awsjobs.Rejected, "has failed here")

	hangs := u.order(pack(t, u.root, u.hangs, "1.102.0-test"), short)
	for range 3 { // it feeds no watchdog, which kills it
		u.manager("the release that hangs is started", func() bool {
			path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", u.process.cmd.Process.Pid))
			return err == nil && strings.Contains(path, "1.102.0-test")
		})
		u.kill()
		u.start()
	}
	back(hangs, "it was started 3 times")

	var refuse atomic.Bool // who connects; who is connected stays so
	u.cloud.ScriptConnect(func(string) awsiottest.ConnectVerdict {
		return awsiottest.ConnectVerdict{Close: refuse.Load()}
	})
	refuse.Store(true)
	alone := u.order(u.real("1.103.0"), short)
	told := false
	u.manager("it is given up", func() bool {
		answer, err := u.update("status")
		if p := answer.Proving; p != nil && len(p.Missing) == 1 && p.Missing[0] == "the link is not up" && !p.Until.IsZero() {
			told = true
		}
		_, bad := answer.IsBad("1.103.0-test")
		return err == nil && bad
	})
	if !told {
		t.Error("'update status' does not tell what the trial waits for")
	}
	refuse.Store(false)
	back(alone, "the link is not up")
	u.settle()
}
