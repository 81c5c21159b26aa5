package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldbridge/gateway/control"
	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/store/folder"
)

const reloadDevices = 50

// reloadRig is a gateway with fifty simulated devices and the stand-in cloud.
type reloadRig struct {
	t       *testing.T
	dir     string
	file    string
	modbus  string // address
	cloud   *awsiottest.Cloud
	gateway *runningGateway
	log     output

	mu    sync.Mutex
	polls map[byte][]time.Time // guarded by mu; by unit
	seqs  map[string][]uint64  // guarded by mu; that arrived, by run
	told  []string             // guarded by mu; type and configuration hash of status messages
	stall time.Duration        // guarded by mu; the longest for which this process did not get to run
}

func newReloadRig(t *testing.T) *reloadRig {
	dir := t.TempDir()
	r := &reloadRig{t: t, dir: dir, file: filepath.Join(dir, "g.yaml"), polls: make(map[byte][]time.Time),
		seqs: make(map[string][]uint64)}
	sim := modbustest.New()
	for i := range byte(reloadDevices) {
		unit := sim.Unit(i + 1)
		unit.Set(modbustest.Holding, 0, 1, 2, 3)
		unit.Only(modbustest.Holding, 0, 3)
		unit.Always(func(q modbustest.Request, _ *modbustest.Answer) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.polls[q.Unit] = append(r.polls[q.Unit], time.Now())
		})
	}
	r.modbus = sim.Start(t)
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs"), OnPublish: r.arrived})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	if _, err := cloud.Device("reload"); err != nil {
		t.Fatal(err)
	}
	r.cloud = cloud
	return r
}

func (r *reloadRig) arrived(m awsiottest.Message) {
	var message struct {
		Run, Type, Config string
		Batches           []struct{ Seq uint64 }
	}
	if json.Unmarshal(m.Payload, &message) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if message.Config != "" {
		r.told = append(r.told, message.Type+" "+message.Config)
	}
	for _, b := range message.Batches {
		r.seqs[message.Run] = append(r.seqs[message.Run], b.Seq)
	}
}

// write writes the configuration; every device but the seventh is the same.
func (r *reloadRig) write(seventh, endpoint string) {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `gateway: reload
northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: certs/reload.pem,
    private_key: certs/reload.key, ca: "%s", topic: t, linger: 100ms, connect_timeout: 3s}}
southbound:
  modbus:
    buses: {sim: {url: "tcp://%s"}}
    devices:
`, endpoint, r.cloud.CA(), r.modbus)
	for i := 1; i <= reloadDevices; i++ {
		points := "a: {holding: 0}"
		if i == 7 {
			points = seventh
		}
		fmt.Fprintf(&b, "      d%d: {bus: sim, unit_id: %d, every: 500ms, points: {%s}}\n", i, i, points)
	}
	if err := os.WriteFile(r.file, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start runs the gateway until the test ends, as `run` does.
func (r *reloadRig) start() {
	r.t.Helper()
	r.gateway = startGateway(r.t, r.file, &r.log)
	eventually(r.t, "all points are good and the cloud acknowledges", time.Minute, func() bool {
		s := r.gateway.Status()
		return s.Link.Connected && s.Queue.Ledger.Acked.Batches > 0 && r.good() == reloadDevices
	})
}

func (r *reloadRig) good() int { return goodPoints(r.gateway.Status()) }

// goodPoints returns how many points are good.
func goodPoints(s control.Status) (n int) {
	for _, d := range s.Devices {
		n += d.Good
	}
	return n
}

// reload runs the command, and returns what it says.
func (r *reloadRig) reload(want int, args ...string) string {
	r.t.Helper()
	code, stdout, stderr := call(r.t, append([]string{"reload", r.file}, args...)...)
	if code != want {
		r.t.Fatalf("reload %v: exit code %d, want %d: %s%s", args, code, want, stdout, stderr)
	}
	return stdout + stderr
}

// polled returns how many polls there were.
func (r *reloadRig) polled() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.polls {
		n += len(times)
	}
	return n
}

// watchStalls keeps how late a timer of this process comes at worst: on a busy
// machine polls are as late, and no reload is to blame.
func (r *reloadRig) watchStalls(ctx context.Context) {
	const beat = 20 * time.Millisecond
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	last := time.Now()
	for ctx.Err() == nil {
		<-ticker.C
		now := time.Now()
		r.mu.Lock()
		r.stall = max(r.stall, now.Sub(last)-beat)
		r.mu.Unlock()
		last = now
	}
}

// missed returns the units that were not polled for two intervals at any time, the
// stalls of the gateway's and the slave's side taken off, and the longest stall; the
// seventh, which changes, may lose the cycle in which it does.
func (r *reloadRig) missed() ([]string, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var units []string
	for unit, times := range r.polls {
		for i := 1; i < len(times); i++ {
			most := time.Second + 2*r.stall
			if unit == 7 {
				most += 500 * time.Millisecond
			}
			if gap := times[i].Sub(times[i-1]); gap >= most {
				units = append(units, fmt.Sprintf("unit %d: %s", unit, gap))
			}
		}
	}
	return units, r.stall
}

func TestReloadUnderLoad(t *testing.T) {
	r := newReloadRig(t)
	r.write("a: {holding: 0}", r.cloud.Addr())
	r.start()
	r.mu.Lock()
	clear(r.polls)
	r.mu.Unlock()
	go r.watchStalls(t.Context())

	if said := r.reload(exitDone); !strings.Contains(said, "nothing has changed") {
		t.Errorf("the same content: %s", said)
	}
	for i := range 5 { // several changes in a row, and a wrong file between them
		r.write(fmt.Sprintf("a: {holding: 0}, b: {holding: 1, scale: %d}", i+1), r.cloud.Addr())
		if said := r.reload(exitDone); !strings.Contains(said, "applied") {
			t.Errorf("change %d: %s", i, said)
		}
		r.write("a: {holdin: 0}", r.cloud.Addr())
		if said := r.reload(exitFailed); !strings.Contains(said, `did you mean "holding"?`) {
			t.Errorf("a wrong file: %s", said)
		}
		if status := r.gateway.Status(); !strings.Contains(status.Change.Problem, "was not applied") {
			t.Errorf("status: %+v", status.Change)
		}
		polled := r.polled()
		eventually(t, "polls go on", 5*time.Second, func() bool { return r.polled() >= polled+reloadDevices })
	}
	eventually(t, "the new point is there", 5*time.Second, func() bool { return r.good() == reloadDevices+1 })
	if missed, stall := r.missed(); len(missed) > 0 {
		t.Errorf("cycles missed: %v, the longest stall of this process: %s", missed, stall)
	}
	if l := r.gateway.Status().Queue.Ledger; !l.Balanced() || l.Dropped.Batches+l.Dead.Batches+l.Damaged.Batches > 0 {
		t.Errorf("ledger: %+v", l)
	}
	accepted := r.gateway.Status().Queue.Ledger.Accepted.Batches
	eventually(t, "every batch arrives", 10*time.Second, func() bool {
		last, gaps := r.runs()
		return len(gaps) == 0 && last[r.gateway.Status().Run] >= accepted
	})
}

// runs returns the last seq of each run at the cloud, and which are missing
// before it.
func (r *reloadRig) runs() (last map[string]uint64, gaps []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last = make(map[string]uint64)
	for run, seqs := range r.seqs {
		have := slices.Compact(slices.Sorted(slices.Values(seqs)))
		last[run] = have[len(have)-1]
		if uint64(len(have)) != last[run] {
			gaps = append(gaps, fmt.Sprintf("run %s: %d of %d", run, len(have), last[run]))
		}
	}
	return last, gaps
}

func TestReloadTakenBack(t *testing.T) {
	t.Parallel()
	r := newReloadRig(t)
	r.write("a: {holding: 0}", r.cloud.Addr())
	r.start()
	trial := func(what, why string) {
		t.Helper()
		if said := r.reload(exitDone, "--confirm", "2s"); !strings.Contains(said, "on trial for 2s") {
			t.Fatalf("%s: %s", what, said)
		}
		if said := r.reload(exitFailed); !strings.Contains(said, "on trial") {
			t.Errorf("%s, a second: %s", what, said)
		}
		eventually(t, what+" is taken back", 15*time.Second, func() bool {
			return strings.Contains(r.gateway.Status().Change.Problem, why)
		})
		eventually(t, "all is as before "+what, 20*time.Second, func() bool {
			return r.gateway.Status().Link.Connected && r.good() == reloadDevices
		})
	}
	before := r.gateway.Status().Change.Hash
	r.write("a: {holding: 0}", "127.0.0.1:1")
	trial("another endpoint", "was taken back: the link is not up")
	r.write("a: {holding: 1000}", r.cloud.Addr())
	trial("another register map", "was taken back: only 49 of 50 points are good")
	if hash := r.gateway.Status().Change.Hash; hash != before {
		t.Errorf("hash %s, want %s", hash, before)
	}
	if text := r.gateway.Status().Conditions; len(text) == 0 || !strings.Contains(fmt.Sprint(text), "taken back") {
		t.Errorf("health says nothing: %v", text)
	}

	r.write("a: {holding: 1000}", r.cloud.Addr())
	if said := r.reload(exitFailed, "--confirm", "2s", "--wait"); !strings.Contains(said, "holding 0 -> 1000") ||
		!strings.Contains(said, "only 49 of 50 points are good, not d7.a") {
		t.Errorf("waited for what does not work: %s", said)
	}
	r.reload(exitUsage, "--wait")

	r.write("a: {holding: 1}", r.cloud.Addr())
	// It is judged at the end of its time, by when a busy machine has to have polled all.
	if said := r.reload(exitDone, "--confirm", "10s", "--wait"); !strings.Contains(said, "confirmed") {
		t.Errorf("waited for a good change: %s", said)
	}
	eventually(t, "a good change is confirmed", 10*time.Second, func() bool {
		s := r.gateway.Status().Change
		return s.OnTrial.IsZero() && s.Problem == "" && s.Hash != before
	})

	r.add("store: {dir: other}")
	if _, _, said := call(t, "reload",
		filepath.Join(r.dir, "queue")); !strings.Contains(said, "store.dir changes only with a restart") {
		t.Errorf("a change that cannot be: %s", said)
	}
}

// TestReloadTellsTheCloud: birth and catalogue carry the hash of what is applied
// now, also after a change is taken back.
func TestReloadTellsTheCloud(t *testing.T) {
	t.Parallel()
	r := newReloadRig(t)
	r.write("a: {holding: 0}", r.cloud.Addr())
	r.start()
	told := func(kind string) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Contains(r.told, kind+" "+r.gateway.Status().Change.Hash)
	}
	forget := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = nil
	}
	eventually(t, "the first birth and catalogue", 20*time.Second,
		func() bool { return told("online") && told("catalog") })
	before := r.gateway.Status().Change.Hash
	r.write("a: {holding: 0}, b: {holding: 1}", r.cloud.Addr())
	r.reload(exitDone)
	if r.gateway.Status().Change.Hash == before {
		t.Fatal("the hash is the same")
	}
	eventually(t, "birth and catalogue of the change", 20*time.Second,
		func() bool { return told("online") && told("catalog") })
	forget()
	r.cloud.Drop("reload")
	eventually(t, "the next connection's birth", 20*time.Second, func() bool { return told("online") })
	good := r.gateway.Status().Change.Hash
	r.write("a: {holding: 1000}", r.cloud.Addr())
	r.reload(exitDone, "--confirm", "1s")
	// If that was quick the cloud was never told of the other hash.
	lastTold := func() (last string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, s := range r.told {
			if hash, ok := strings.CutPrefix(s, "online "); ok {
				last = hash
			}
		}
		return last
	}
	eventually(t, "it is taken back and told", 30*time.Second, func() bool {
		return r.gateway.Status().Change.Hash == good && lastTold() == good
	})
}

// Log, console and store change without a restart too.
func TestReloadOfTheRest(t *testing.T) {
	t.Parallel()
	r := newReloadRig(t)
	r.write("a: {holding: 0}", r.cloud.Addr())
	r.start()
	addr := needtest.Address(t)
	answers := func() bool {
		answer, err := http.Get("http://" + addr + "/healthz")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	}

	r.add(fmt.Sprintf("console: {listen: %q}\nlog: {level: debug, format: json}\nstore: {commit_every: 1s, max_size: "+
		"64MiB}", addr))
	r.reload(exitDone)
	eventually(t, "the console listens", 5*time.Second, answers)
	r.gateway.logging.Logger.With("part", "test").Debug("so it is")
	if !strings.Contains(r.log.String(), `"msg":"so it is","part":"test"`) {
		t.Errorf("log: %q", r.log.String())
	}
	var report folder.Report
	_, said, _ := call(t, "queue", "inspect", r.file, "--json")
	if err := json.Unmarshal([]byte(said), &report); err != nil || report.MaxSize != 64<<20 {
		t.Errorf("max_size is %d: %v", report.MaxSize, err)
	}

	r.write("a: {holding: 0}", r.cloud.Addr())
	r.reload(exitDone)
	eventually(t, "the console listens no more", 5*time.Second, func() bool { return !answers() })
	r.gateway.logging.Logger.Debug("no more")
	if strings.Contains(r.log.String(), "no more") {
		t.Errorf("log: %q", r.log.String())
	}
	if l := r.gateway.Status().Queue.Ledger; !l.Balanced() || l.Dropped.Batches > 0 {
		t.Errorf("ledger: %+v", l)
	}
}

// add adds lines to the configuration.
func (r *reloadRig) add(lines string) {
	r.t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.file, append(text, lines+"\n"...), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// Changes, right and wrong, with kill -9 among them, 30 of them and a hundred with
// FIELDBRIDGE_SOAK: the gateway always comes back, and nothing that a run numbered is
// missing before the last that arrived.
func TestReloadsAndKills(t *testing.T) {
	t.Parallel()
	r := newReloadRig(t)
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r.write("a: {holding: 0}", r.cloud.Addr())
	start := func() *process {
		p := spawn(t, r.dir, bin, "run", r.file)
		eventually(t, "the gateway answers", 20*time.Second, func() bool { return r.status() != nil })
		return p
	}
	p := start()
	changes, kills := 30, 0
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		changes = 100
	}
	for n := range changes {
		wrong := random.IntN(3) == 0
		if wrong {
			r.write("a: {holdin: 0}", r.cloud.Addr())
		} else {
			r.write(fmt.Sprintf("a: {holding: %d, scale: %d}", random.IntN(3), 1+random.IntN(100)), r.cloud.Addr())
		}
		if n%15 != 9 && random.IntN(15) > 0 { // two kills at the least
			r.reload(map[bool]int{false: exitDone, true: exitFailed}[wrong])
			continue
		}
		kills++
		p.cmd.Process.Signal(syscall.SIGHUP) // and in the middle of it ...
		p.signal(syscall.SIGKILL, 5*time.Second)
		if wrong { // nothing was good for long enough to fall back to
			r.write("a: {holding: 0}", r.cloud.Addr())
		}
		p = start()
	}
	before := r.status().Config
	r.write("a: {holding: 2, unit: hangup}", r.cloud.Addr())
	p.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "SIGHUP reloads", 5*time.Second, func() bool { return r.status().Config != before })
	eventually(t, "the cloud has the last run", 20*time.Second, func() bool {
		s := r.status()
		last, gaps := r.runs()
		return s != nil && s.Link.Connected && last[s.Run] > reloadDevices && len(gaps) == 0
	})
	if l := r.status().Queue.Ledger; !l.Balanced() || l.Dropped.Batches+l.Dead.Batches+l.Damaged.Batches > 0 {
		t.Errorf("ledger: %+v", l)
	}
	t.Logf("%d kills", kills)
	p.signal(syscall.SIGTERM, 6*time.Second)
}

// status asks the gateway's process; nil if there is none.
func (r *reloadRig) status() *control.Status {
	data, err := control.Get(r.t.Context(), filepath.Join(r.dir, "queue"), "/status")
	if err != nil {
		return nil
	}
	s := new(control.Status)
	if err := json.Unmarshal(data, s); err != nil {
		r.t.Fatal(err)
	}
	return s
}
