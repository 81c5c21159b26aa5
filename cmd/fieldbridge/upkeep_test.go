package main

import (
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

	"fieldbridge/southbound/modbus/modbustest"
)

// writeLog is what was written to a simulated unit.
type writeLog struct {
	mu   sync.Mutex
	all  []string // function, address, value
	when []time.Time
}

func (l *writeLog) note(r modbustest.Request, a *modbustest.Answer) {
	if !slices.Contains([]byte{5, 6, 15, 16, 22}, r.Function) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all, l.when = append(l.all, fmt.Sprintf("% x", a.PDU)), append(l.when, time.Now())
}

// since returns what was written since a time, and the longest time between two.
func (l *writeLog) since(begin time.Time) (all []string, longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := begin
	for i, at := range l.when {
		if at.Before(begin) {
			continue
		}
		all, longest, last = append(all, l.all[i]), max(longest, at.Sub(last)), at
	}
	return all, longest
}

// TestUpkeepOfAGateway: the real program, without any cloud, writes what it is to
// write by itself, and what of it goes over the wire at a kill, a start, a stop and
// with commands off. Commands that only look write nothing.
func TestUpkeepOfAGateway(t *testing.T) {
	t.Parallel()
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	sim, log := modbustest.New(), &writeLog{}
	sim.Unit(1).Always(log.note)
	address := sim.Start(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	for _, name := range []string{"a.pem", "a.key"} { // there is no cloud to show them
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(`
gateway: kept
northbound:
  awsiot: {endpoint: "127.0.0.1:1", certificate: a.pem, private_key: a.key, topic: t}
store: {dir: queue}
southbound:
  modbus:
    buses: {line: {url: "tcp://`+address+`", timeout: 200ms, retries: 0}}
    devices:
      battery:
        bus: line
        every: 100ms
        on_connect: [{holding: 0x600, value: 6868}]
        points:
          alive: {holding: 40608, keep: {value: 1, every: 500ms, stop: 0}}
          state: {holding: 40601}
      dead: {bus: line, unit_id: 9, points: {x: {holding: 0}}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	const greeting, on, off = "06 06 00 1a d4", "06 9e a0 00 01", "06 9e a0 00 00"
	look := func(when string, args ...string) {
		t.Helper()
		cmd := exec.Command(bin, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); err != nil && code != 1 {
			t.Errorf("%s: %v: exit code %d: %s", when, args, code, out)
		}
	}
	// begins fails the test unless what is written begins with the greeting, once for each
	// connection: a busy machine answers late, and then the gateway connects again.
	begins := func(when string, since time.Time) {
		t.Helper()
		var got []string
		eventually(t, "it writes "+when, 20*time.Second, func() bool {
			got, _ = log.since(since)
			return len(got) > 3 && slices.Contains(got, on)
		})
		if got[0] != greeting || slices.Compact(got)[1] != on {
			t.Errorf("%s it wrote %q", when, got)
		}
	}
	looks := func(when string) {
		t.Helper()
		for _, args := range [][]string{{"check", file}, {"test", file}, {"modbus", "read", file, "battery"},
			{"modbus", "scan", "tcp://" + address, "--units", "1-1"}, {"modbus", "decode", "tcp://" + address, "holding:100"},
			{"values", "battery", file}, {"status", file}, {"init", filepath.Join(dir, when+".yaml"), "--gateway", "x",
				"--endpoint", "a1b2c3d4-ats.iot.eu-central-1.amazonaws.com", "--modbus", address}} {
			look(when, args...)
		}
	}
	begin := time.Now()
	if _, stdout, _ := call(t, "check", file); !strings.Contains(stdout, "the gateway writes to battery by itself\n"+
		"    on each connection: holding 1536 = 6868\n    each 500ms: alive = 1; at the end 0\n") {
		t.Errorf("check says\n%s", stdout)
	}
	looks("stopped")
	if got, _ := log.since(begin); got != nil {
		t.Errorf("commands that look wrote %q", got)
	}

	begin = time.Now()
	run := spawn(t, dir, bin, "run", file)
	begins("at the start", begin)
	steady, connections := time.Now(), sim.Accepted()
	eventually(t, "it keeps", time.Minute, func() bool { got, _ := log.since(steady); return len(got) >= 10 })
	got, longest := log.since(steady)
	t.Logf("%d keeps of 500ms in %v beside a dead unit, %v apart at most", len(got), time.Since(steady), longest)
	again := slices.DeleteFunc(got, func(s string) bool { return s == on })
	if len(again) > sim.Accepted()-connections ||
		slices.ContainsFunc(again, func(s string) bool { return s != greeting }) {
		t.Errorf("it wrote %q, over %d new connections", again, sim.Accepted()-connections)
	}
	looks("running")

	look("off", "commands", "off", file)
	eventually(t, "the stop value", 20*time.Second,
		func() bool { got, _ := log.since(steady); return got[len(got)-1] == off })
	silent := time.Now()
	eventually(t, "it is silent", 20*time.Second, func() bool { // a stop value that is answered late is written again
		if got, _ := log.since(silent); got != nil {
			silent = time.Now()
		}
		return time.Since(silent) > 2*time.Second
	})
	run.signal(syscall.SIGKILL, 5*time.Second)
	polled := sim.Unit(1).Count()
	run = spawn(t, dir, bin, "run", file)
	eventually(t, "it polls again", 20*time.Second, func() bool { return sim.Unit(1).Count() > polled })
	time.Sleep(time.Second)
	if got, _ := log.since(silent); got != nil {
		t.Errorf("with commands off, over a kill, it wrote %q", got)
	}
	begin = time.Now()
	look("on", "commands", "on", file)
	eventually(t, "it writes again", 10*time.Second, func() bool { got, _ := log.since(begin); return len(got) > 2 })

	run.signal(syscall.SIGKILL, 5*time.Second)
	killed := time.Now()
	time.Sleep(time.Second)
	if got, _ := log.since(killed); got != nil {
		t.Errorf("after a kill %q was written", got)
	}
	begin = time.Now()
	run = spawn(t, dir, bin, "run", file)
	begins("after a kill", begin)
	run.signal(syscall.SIGTERM, 10*time.Second)
	stopped := time.Now()
	if got, _ := log.since(begin); got[len(got)-1] != off {
		t.Errorf("at the stop it wrote %q, want the stop value last", got[len(got)-3:])
	}
	time.Sleep(time.Second)
	if got, _ := log.since(stopped); got != nil {
		t.Errorf("after the stop %q was written", got)
	}
	all, _ := log.since(begin)
	greetings := len(slices.DeleteFunc(all, func(s string) bool { return s != greeting }))
	if strings.Contains(run.out.String(), "WARN point not written") && greetings == 1 {
		t.Error(run.out.String())
	}
}
