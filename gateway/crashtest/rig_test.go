//go:build linux

// Package crashtest kills whole gateways, and cuts the power of whole gateways: the
// real program between sensors, Modbus devices and a cloud, which all outlive it and
// remember what was promised to them.
package crashtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldbridge/ledger"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/modbus/modbustest"
)

// program is the gateway's, built once for all tests.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fieldbridge-crash")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "fieldbridge")
	if out, err := exec.Command("go", "build", "-o", program, "fieldbridge/cmd/fieldbridge").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v: %s", err, out)
		return 1
	}
	return m.Run()
}

// soak returns how often something is done: FIELDBRIDGE_SOAK, or few.
func soak(few int) int {
	if n, err := strconv.Atoi(os.Getenv("FIELDBRIDGE_SOAK")); err == nil {
		return n
	}
	return few
}

// random returns the chance of a test. FIELDBRIDGE_SEED plays one again, as far as
// several processes can be.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("FIELDBRIDGE_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64() >> 1
	}
	t.Logf("FIELDBRIDGE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// missing skips the test for want of something, and fails it in CI.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// rig is all around a gateway.
type rig struct {
	t       *testing.T
	rnd     *rand.Rand
	dir     string // configuration and certificates
	queue   string
	run     string // see runtime
	sensors []*sensor
	cloud   *awsiottest.Cloud
	modbus  string // address of the simulator
	broker  string // address of the gateway's own
	console string
	device  awsiottest.Identity
	variant int // of the configuration
	process *process
	total   account

	mu      sync.Mutex
	log     *bytes.Buffer   // guarded by mu; each message that arrived, since the last account
	arrived map[string]bool // guarded by mu; "sensor value"
}

// process is one gateway.
type process struct {
	cmd    *exec.Cmd
	stderr *output
	ended  chan struct{}
}

// output keeps what a process says.
type output struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.String()
}

// newRig starts everything but the gateway, whose queue is going to be in the folder.
func newRig(t *testing.T, queue string, sensors int) *rig {
	t.Helper()
	r := &rig{t: t, rnd: random(t), dir: t.TempDir(), queue: queue, log: new(bytes.Buffer), arrived: map[string]bool{}}
	var err error
	r.cloud, err = awsiottest.Start(awsiottest.Options{Dir: filepath.Join(r.dir, "cloud"), OnPublish: r.note})
	if err == nil {
		t.Cleanup(func() { _ = r.cloud.Close() })
		r.device, err = r.cloud.Device("gateway-1")
	}
	if err != nil {
		t.Fatal(err)
	}
	sim := modbustest.New()
	for unit := range byte(3) {
		sim.Unit(unit+1).Set(modbustest.Holding, 0, make([]uint16, 100)...)
	}
	r.modbus = sim.Start(t)
	r.change(sim)
	r.broker, r.console = freePort(t), freePort(t)
	for i := range sensors {
		r.sensors = append(r.sensors, startSensor(t, "s"+strconv.Itoa(i), r.broker))
	}
	r.configure()
	t.Cleanup(func() {
		if r.process != nil {
			r.kill()
		}
	})
	return r
}

// change lets the values of the devices change.
func (r *rig) change(sim *modbustest.Simulator) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for n := uint16(0); ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				for unit := range byte(3) {
					sim.Unit(unit+1).Set(modbustest.Holding, 0, n, n+1, n+2, n+3)
				}
			}
		}
	}()
	r.t.Cleanup(func() { close(stop); <-stopped })
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// configure writes the configuration; each time another one.
func (r *rig) configure() {
	r.t.Helper()
	r.variant++
	extra := ""
	if r.variant%2 == 0 {
		extra = fmt.Sprintf("      extra-%d: {bus: plc, unit_id: 3, every: 200ms, points: {x: {holding: 2}}}\n", r.variant%3)
	}
	text := fmt.Sprintf(`gateway: gateway-1
labels: {variant: "%d"}
northbound:
  awsiot:
    endpoint: %s
    server_name: localhost
    certificate: %s
    private_key: %s
    ca: %s
    topic: plant/{gateway}
    ack_timeout: 2s
store: {dir: %s, max_size: 16MiB, min_free: 256KiB, when_full: drop-newest, commit_every: 300ms, segment_size: 1MiB}
southbound:
  modbus:
    buses:
      plc: {url: "tcp://%s"}
    devices:
      press: {bus: plc, unit_id: 1, every: 100ms,
        points: {a: {holding: 0}, b: {holding: 1, scale: 0.1}, c: {holding: %d}}}
      oven: {bus: plc, unit_id: 2, every: 100ms, points: {a: {holding: 0, type: uint32}}}
%s  mqtt:
    brokers:
      local: {listen: "%s"}
    sensors:
      hall: {broker: local, topic: "hall/{device}/temperature", point: temperature}
console: {listen: "%s"}
`, r.variant, r.cloud.Addr(), r.device.Certificate, r.device.PrivateKey, r.cloud.CA(), r.queue, r.modbus, 2+r.variant%2,
		extra, r.broker, r.console)
	path := r.file()
	err := os.WriteFile(path+"~", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+"~", path)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) file() string { return filepath.Join(r.dir, "gateway.yaml") }

// reload changes the configuration under a running gateway.
func (r *rig) reload() {
	r.t.Helper()
	r.configure()
	_ = r.process.cmd.Process.Signal(syscall.SIGHUP)
}

// runtime is the folder of what outlives the process and no power cut: on tmpfs, if
// there is one.
func (r *rig) runtime() string {
	if r.run == "" {
		dir, err := os.MkdirTemp("/dev/shm", "fieldbridge-crash")
		if err != nil {
			dir = r.t.TempDir()
		}
		r.t.Cleanup(func() { _ = os.RemoveAll(dir) })
		r.run = dir
	}
	return r.run
}

// start starts the gateway.
func (r *rig) start(wrapped ...string) {
	r.t.Helper()
	if err := os.MkdirAll(r.runtime(), 0o700); err != nil {
		r.t.Fatal(err)
	}
	args := append(wrapped, program, "run", r.file())
	p := &process{cmd: exec.Command(args[0], args[1:]...), stderr: &output{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+r.runtime())
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	r.process = p
}

// kill kills the gateway, which must have been running still.
func (r *rig) kill() {
	r.t.Helper()
	p := r.process
	r.process = nil
	select {
	case <-p.ended:
		r.t.Errorf("the gateway has ended by itself:\n%s", tail(p.stderr.String()))
	default:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
	r.listen(p)
}

// listen looks for what a gateway must never say.
func (r *rig) listen(p *process) {
	r.t.Helper()
	for _, word := range []string{"panic", "DATA RACE", "fatal error"} {
		if said := p.stderr.String(); strings.Contains(said, word) {
			r.t.Errorf("the gateway says %q:\n%s", word, said)
		}
	}
	if r.t.Failed() {
		r.t.Logf("the gateway said:\n%s", tail(p.stderr.String()))
	}
}

func tail(s string) string { return s[max(0, len(s)-6000):] }

// note takes a message that the cloud has got.
func (r *rig) note(m awsiottest.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.log, "%s %s\n", m.Topic, m.Payload)
	if m.Topic != "plant/gateway-1" {
		return
	}
	var message struct {
		Batches []struct {
			Device string
			Points map[string]json.Number
		}
	}
	if err := json.Unmarshal(m.Payload, &message); err != nil {
		r.t.Errorf("a message that cannot be read: %v: %s", err, m.Payload)
	}
	for _, b := range message.Batches {
		if v, ok := b.Points["temperature"]; ok {
			r.arrived[b.Device+" "+v.String()] = true
		}
	}
}

// account is what one or several lives of a gateway come to.
type account struct {
	deaths, lives                                           int // kills or cuts; accounts that were made
	acknowledged, batches, duplicates, uncommitted, runs    int
	slowestStart                                            time.Duration
	reloads, full, starting, twice, namesLost, filesDamaged int
}

// settle brings the cloud back, lets the gateway send everything, stops it and
// compares what was promised with what has arrived.
func (r *rig) settle() {
	r.t.Helper()
	r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{} })
	r.online(true)
	for _, s := range r.sensors {
		s.pause(true)
	}
	r.eventually("every sensor is acknowledged", 30*time.Second, func() bool {
		for _, s := range r.sensors {
			if sent, acked := s.counts(); sent != acked {
				return false
			}
		}
		return true
	})
	r.eventually("the queue is empty", 30*time.Second, func() bool {
		m := r.metrics()
		return m != nil && m["fieldbridge_queue_backlog_readings"] == 0 && m["fieldbridge_queue_waiting_readings"] < 40
	})
	p := r.process
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
		r.t.Errorf("the gateway does not stop")
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	r.process = nil
	r.listen(p)
	r.judge()
	for _, s := range r.sensors {
		s.pause(false)
	}
}

// judge has the ledger's tool judge what arrived, and asks each sensor.
func (r *rig) judge() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	file := filepath.Join(r.dir, "arrived")
	if err := os.WriteFile(file, r.log.Bytes(), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.log.Reset()
	lost, acknowledged := 0, 0
	for _, s := range r.sensors {
		_, acked := s.counts()
		acknowledged += acked
		for value := range acked {
			if key := s.name + " " + strconv.Itoa(value); !r.arrived[key] {
				if lost++; lost < 5 {
					r.t.Errorf("%s was acknowledged and never arrived", key)
				}
			}
		}
	}
	if lost > 0 {
		r.t.Errorf("%d acknowledged messages are lost", lost)
	}
	r.total.acknowledged = acknowledged
	r.total.lives++
	out, err := exec.Command(program, "ledger", "--json", file).Output()
	var report ledger.Report
	if e := json.Unmarshal(out, &report); e != nil {
		r.t.Fatalf("fieldbridge ledger: %v, %v: %s", err, e, out)
	}
	for _, run := range report.Runs {
		r.total.runs++
		r.total.batches += int(run.Batches)
		r.total.duplicates += int(run.Duplicates)
		r.total.uncommitted += int(run.Missing()[ledger.Uncommitted])
	}
	if err != nil || !report.Kept || report.Unread > 0 {
		text, e := exec.Command(program, "ledger", file).Output()
		r.t.Errorf("fieldbridge ledger: %v (%v):\n%s", err, e, text)
	}
	if r.t.Failed() {
		kept, err := os.MkdirTemp("", "fieldbridge-crash-failed-")
		if err == nil {
			err = os.CopyFS(kept, os.DirFS(r.dir))
		}
		r.t.Logf("what arrived is kept in %s (%v)", kept, err)
	}
}

// acknowledged returns how many messages were.
func (r *rig) acknowledged() (n int) {
	for _, s := range r.sensors {
		_, acked := s.counts()
		n += acked
	}
	return n
}

// online brings the cloud to the state.
func (r *rig) online(on bool) {
	if !on {
		r.cloud.Offline()
	} else if err := r.cloud.Online(); err != nil {
		r.t.Error(err)
	}
}

// metrics reads those of the gateway; nil if there is no answer.
func (r *rig) metrics() map[string]float64 {
	res, err := http.Get("http://" + r.console + "/metrics")
	if err != nil {
		return nil
	}
	defer func() { _ = res.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return nil
	}
	metrics := map[string]float64{}
	for line := range strings.Lines(text.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			metrics[name] = v
		}
	}
	return metrics
}

// eventually waits until ok, and is fatal after the time.
func (r *rig) eventually(what string, within time.Duration, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		if time.Now().After(deadline) {
			said := "no gateway"
			if r.process != nil {
				said = tail(r.process.stderr.String())
			}
			r.t.Fatalf("not within %v: %s; the gateway says:\n%s", within, what, said)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process
	}
}

// listening reports whether the gateway's broker takes connections.
func (r *rig) listening() bool {
	conn, err := net.DialTimeout("tcp", r.broker, time.Second)
	return err == nil && errors.Join(conn.Close()) == nil
}
