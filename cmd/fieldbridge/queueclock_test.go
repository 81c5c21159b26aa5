//go:build linux && amd64

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldbridge/ledger"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/modbus/modbustest"
)

// TestClockIsStepped runs the gateway, as it is shipped, with a wall clock that
// is wrong and is stepped while it runs; testdata/stepclock.c does that to one
// process. Nothing is dropped, the order stays, no poll is skipped or doubled,
// and each reading is marked.
func TestClockIsStepped(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	need(t, "gcc")
	stepclock := filepath.Join(t.TempDir(), "stepclock")
	if out, err := exec.Command("gcc", "-O2", "-o", stepclock, "testdata/stepclock.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	for name, before := range map[string]time.Duration{
		"starts in 1970 and is stepped to today": time.Since(time.Unix(0, 0)) * -1,
		"is set back two hours":                  2 * time.Hour,
		"leaps past max_age":                     -2 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			testStep(t, stepclock, before)
		})
	}
}

// clockRig is a gateway with a clock of its own, a device and the stand-in, which
// have the machine's.
type clockRig struct {
	mu      sync.Mutex
	polls   int       // guarded by mu
	batches []stamped // guarded by mu; in the order of arrival
	lost    []string  // guarded by mu
	ledger  ledger.Ledger
	unread  error
}

type stamped struct {
	Seq uint64
	At  int64
}

func (r *clockRig) arrived(m awsiottest.Message) {
	var message struct {
		Type, Clock string
		Batches     []stamped
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := json.Unmarshal(m.Payload, &message); err != nil {
		return
	}
	if err := r.ledger.Add(m.Payload); err != nil {
		r.unread = err
	}
	r.batches = append(r.batches, message.Batches...)
	if message.Type == "lost" {
		r.lost = append(r.lost, string(m.Payload))
	}
	if len(message.Batches) > 0 && message.Clock != "unsynced" {
		r.unread = fmt.Errorf("a message with readings has no mark: %.200s", m.Payload)
	}
}

func testStep(t *testing.T, stepclock string, before time.Duration) {
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir, r := t.TempDir(), &clockRig{}
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 1)
	sim.Unit(1).Always(func(modbustest.Request, *modbustest.Answer) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.polls++
	})
	device := sim.Start(t)
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs"), OnPublish: r.arrived})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	if _, err := cloud.Device("clock"); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`gateway: clock
northbound: {awsiot: {endpoint: %q, server_name: localhost, certificate: certs/clock.pem,
    private_key: certs/clock.key, ca: certs/ca.pem, topic: t, linger: 100ms}}
store: {dir: queue, max_age: 1h, commit_every: 200ms}
southbound: {modbus: {buses: {b: {url: "tcp://%s", timeout: 10s}}, devices: {d: {bus: b, unit_id: 1, every: 100ms,
    points: {a: {holding: 0}}}}}}
`, cloud.Addr(), device)
	if err := os.WriteFile(filepath.Join(dir, "g.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	offset := filepath.Join(dir, "offset")
	setClock(t, offset, before)
	gateway := spawn(t, dir, stepclock, offset, bin, "run", "g.yaml")
	count := func() (polls, batches int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.polls, len(r.batches)
	}
	eventually(t, "the device is polled", time.Minute, func() bool {
		if strings.Contains(gateway.out.String(), "ptrace") || strings.Contains(gateway.out.String(), "seccomp") {
			missing(t, "ptrace with seccomp", gateway.out.String())
		}
		polls, _ := count()
		return polls >= 30
	})
	from, _ := count()
	setClock(t, offset, 0)
	stepped, _ := count()
	eventually(t, "it is polled after the step, and all is sent", 60*time.Second, func() bool {
		polls, batches := count()
		return polls >= stepped+30 && batches >= polls-5
	})
	gateway.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-gateway.end:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	r.verify(t, before, from, stepped)
}

// setClock makes the gateway's wall clock wrong by offset.
func setClock(t *testing.T, file string, offset time.Duration) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(offset)), 0); err != nil {
		t.Fatal(err)
	}
}

func (r *clockRig) verify(t *testing.T, before time.Duration, from, stepped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.ledger.Report()
	if r.unread != nil || len(r.lost) > 0 || !report.Kept || len(report.Runs) != 1 || len(report.Runs[0].Gaps) > 0 {
		t.Errorf("%v, lost %v, %+v", r.unread, r.lost, report)
	}
	slices.SortFunc(r.batches, func(a, b stamped) int { return int(a.Seq) - int(b.Seq) })
	r.batches = slices.CompactFunc(r.batches, func(a, b stamped) bool { return a.Seq == b.Seq })
	if d := r.polls - len(r.batches); d < 0 || d > 1 { // the last one may have been cut off
		t.Errorf("%d polls, %d batches", r.polls, len(r.batches))
	}
	// In the order of seqs the times go on by a poll each, and by the step once.
	steps := 0
	for i := 1; i < len(r.batches); i++ {
		d := time.Duration(r.batches[i].At-r.batches[i-1].At) * time.Millisecond
		if wrong := d + before; before.Abs() > time.Hour && wrong.Abs() < 10*time.Second {
			steps++
			if i < from-3 || i > stepped+3 {
				t.Errorf("the clock was stepped at poll %d to %d, the readings at %d", from, stepped, i)
			}
			continue
		}
		if d < 0 || d > 10*time.Second {
			t.Errorf("seq %d is %v after the one before", r.batches[i].Seq, d)
		}
	}
	if steps != 1 {
		t.Errorf("%d steps in the readings, want 1", steps)
	}
	first := time.UnixMilli(r.batches[0].At)
	t.Logf("%d polls, %d batches, from %v to %v", r.polls, len(r.batches), first,
		time.UnixMilli(r.batches[len(r.batches)-1].At))
}
