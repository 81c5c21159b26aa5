package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/configs/change"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/modbus/modbustest"
)

const reloadDevices = 50

// reloadRig is a gateway with fifty simulated devices and the stand-in cloud.
type reloadRig struct {
	t       *testing.T
	dir     string
	file    string
	modbus  string // address
	cloud   *awsiottest.Cloud
	gateway *gateway

	mu    sync.Mutex
	polls map[byte][]time.Time // guarded by mu; by unit
	seqs  map[uint64]bool      // guarded by mu; that arrived
}

func newReloadRig(t *testing.T) *reloadRig {
	dir := t.TempDir()
	r := &reloadRig{t: t, dir: dir, file: filepath.Join(dir, "g.yaml"), polls: make(map[byte][]time.Time), seqs: make(map[uint64]bool)}
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
		Batches []struct{ Seq uint64 }
	}
	if json.Unmarshal(m.Payload, &message) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range message.Batches {
		r.seqs[b.Seq] = true
	}
}

// write writes the configuration; every device but the seventh is the same.
func (r *reloadRig) write(seventh, endpoint string) {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `gateway: reload
northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: certs/reload.pem, private_key: certs/reload.key, ca: "%s", topic: t, linger: 100ms, connect_timeout: 1s}}
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
	started, err := change.Start(r.file, "", openState)
	if err != nil {
		r.t.Fatal(err)
	}
	config, hash := started.Config, started.Hash
	g, err := newGateway(&config, hash, slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := g.follow(r.file, "", started); err != nil {
		r.t.Fatal(err)
	}
	r.gateway = g
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := g.run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	r.t.Cleanup(func() { cancel(); <-done })
	eventually(r.t, "all points are good and the cloud acknowledges", 20*time.Second, func() bool {
		v := g.vital()
		return v.Connected && v.Acked > 0 && r.good() == reloadDevices
	})
}

func (r *reloadRig) good() int {
	n := 0
	for _, good := range r.gateway.vital().Good {
		n += good
	}
	return n
}

// reload runs the command, and returns what it says.
func (r *reloadRig) reload(want int, args ...string) string {
	r.t.Helper()
	var out bytes.Buffer
	if code := runReload(r.t.Context(), append([]string{r.file}, args...), &out, &out); code != want {
		r.t.Fatalf("reload %v: exit code %d, want %d: %s", args, code, want, out.String())
	}
	return out.String()
}

// missed returns the units that were not polled for two intervals at any time.
func (r *reloadRig) missed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var units []string
	for unit, times := range r.polls {
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap >= time.Second {
				units = append(units, fmt.Sprintf("unit %d: %s", unit, gap))
			}
		}
	}
	return units
}

func TestReloadUnderLoad(t *testing.T) {
	r := newReloadRig(t)
	r.write("a: {holding: 0}", r.cloud.Addr())
	r.start()
	r.mu.Lock()
	clear(r.polls)
	r.mu.Unlock()

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
		if status := r.gateway.status(); !strings.Contains(status.Change.Problem, "was not applied") {
			t.Errorf("status: %+v", status.Change)
		}
		time.Sleep(500 * time.Millisecond) // let polls and messages go on meanwhile
	}
	eventually(t, "the new point is there", 5*time.Second, func() bool { return r.good() == reloadDevices+1 })
	if missed := r.missed(); len(missed) > 0 {
		t.Errorf("cycles missed: %v", missed)
	}
	if l := r.gateway.queue.Ledger(); !l.Balanced() || l.Dropped.Batches+l.Dead.Batches+l.Damaged.Batches > 0 {
		t.Errorf("ledger: %+v", l)
	}
	accepted := r.gateway.queue.Ledger().Accepted.Batches
	eventually(t, "every batch arrives", 10*time.Second, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for seq := uint64(1); seq <= accepted; seq++ {
			if !r.seqs[seq] {
				return false
			}
		}
		return true
	})
}

func TestReloadTakenBack(t *testing.T) {
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
			return strings.Contains(r.gateway.change.Status().Problem, why)
		})
		eventually(t, "all is as before "+what, 20*time.Second, func() bool {
			return r.gateway.vital().Connected && r.good() == reloadDevices
		})
	}
	before := r.gateway.change.Status().Hash
	r.write("a: {holding: 0}", "127.0.0.1:1")
	trial("another endpoint", "was taken back: the link is not up")
	r.write("a: {holding: 1000}", r.cloud.Addr())
	trial("another register map", "was taken back: only 49 of 50 points are good")
	if hash := r.gateway.change.Status().Hash; hash != before {
		t.Errorf("hash %s, want %s", hash, before)
	}
	if text := r.gateway.view.Conditions(); len(text) == 0 || !strings.Contains(fmt.Sprint(text), "taken back") {
		t.Errorf("health says nothing: %v", text)
	}

	r.write("a: {holding: 1}", r.cloud.Addr())
	r.reload(exitDone, "--confirm", "2s")
	eventually(t, "a good change is confirmed", 10*time.Second, func() bool {
		s := r.gateway.change.Status()
		return s.OnTrial.IsZero() && s.Problem == "" && s.Hash != before
	})

	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file, append(text, "console: {listen: '127.0.0.1:0'}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := r.reload(exitFailed); !strings.Contains(said, "console changes only with a restart") {
		t.Errorf("a change that can't be: %s", said)
	}
}
