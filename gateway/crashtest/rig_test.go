//go:build linux

// Package crashtest kills whole gateways, and cuts the power of whole gateways: the
// real program between sensors, Modbus devices and a cloud, which all outlive it and
// remember what was promised to them.
package crashtest

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/modbus/modbustest"
)

// program is the gateway's, built once for all tests.
var program string

const gatewayProgram = "fieldbridge/cmd/fieldbridge"

// sideBySide is how many tests wait side by side.
const sideBySide = 8

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < sideBySide {
		_ = flag.Set("test.parallel", strconv.Itoa(sideBySide)) // they mostly wait for other processes
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fieldbridge-crash")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "fieldbridge")
	if err := needtest.Build(program, gatewayProgram); err != nil {
		fmt.Fprintln(os.Stderr, err)
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
	sensors []*sensor
	cloud   *awsiottest.Cloud // nil with a cloud of a test's own
	server  string            // address of the cloud
	ca      string            // its authority's file
	modbus  string            // address of the simulator
	broker  string            // address of the gateway's own
	console string
	device  awsiottest.Identity
	claim   string // the folder of a claim; "" is that the gateway has device's files
	variant int    // of the configuration
	process *process
	total   account

	program string  // of the gateway; "" is the one that is shipped
	runtime string  // the folder of what outlives the process and no power cut
	exact   bool    // nothing may be missing at all: there is a journal
	quiet   bool    // no sensors, and hardly a commit: the journal alone keeps polls
	killed  []death // of quiet gateways that had polled for a while

	oven     meter  // what the device oven answered
	press    asked  // when the device press was asked
	reloaded int    // so often in this life
	refusing bool   // in this life the queue was full and took no new readings
	older    []byte // a journal as an earlier death left it

	mu      sync.Mutex
	log     *bytes.Buffer   // guarded by mu; each message that arrived, since the last account
	arrived map[string]bool // guarded by mu; "sensor value"
	polls   map[int64]bool  // guarded by mu; when the device press was polled
	late    time.Duration   // guarded by mu; how long after a poll of press it came, at most; see latest
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
	r := emptyRig(t, queue)
	r.rnd = random(t)
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(r.dir, "cloud"), Listen: needtest.Address(t),
		OnPublish: func(m awsiottest.Message) { r.note(m.Topic, m.Payload) }})
	if err == nil {
		t.Cleanup(func() { _ = cloud.Close() })
		r.device, err = cloud.Device("gateway-1")
	}
	if err != nil {
		t.Fatal(err)
	}
	r.cloud, r.server, r.ca = cloud, cloud.Addr(), cloud.CA()
	r.furnish(sensors)
	return r
}

func emptyRig(t *testing.T, queue string) *rig {
	r := &rig{t: t, dir: t.TempDir(), queue: queue, log: new(bytes.Buffer), arrived: map[string]bool{},
		polls: map[int64]bool{}}
	r.runtime = filepath.Join(r.dir, "run")
	return r
}

// furnish starts devices and sensors, and writes the configuration.
func (r *rig) furnish(sensors int) {
	t := r.t
	t.Helper()
	sim := modbustest.New()
	for unit := range byte(3) {
		sim.Unit(unit+1).Set(modbustest.Holding, 0, make([]uint16, 100)...)
	}
	sim.Unit(ovenUnit).Always(r.oven.count)
	sim.Unit(pressUnit).Always(r.press.note)
	r.modbus = sim.Start(t)
	r.change(sim)
	r.broker, r.console = needtest.Address(t), needtest.Address(t)
	for i := range sensors {
		r.sensors = append(r.sensors, startSensor(t, "s"+strconv.Itoa(i), r.broker))
	}
	r.configure()
	t.Cleanup(func() {
		if r.process != nil {
			r.kill()
		}
	})
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
				for _, unit := range []byte{1, 3} {
					sim.Unit(unit).Set(modbustest.Holding, 0, n, n+1, n+2, n+3)
				}
			}
		}
	}()
	r.t.Cleanup(func() { close(stop); <-stopped })
}

// configure writes the configuration; each time another one.
func (r *rig) configure() {
	r.t.Helper()
	r.variant++
	extra := ""
	if r.variant%2 == 0 {
		extra = fmt.Sprintf("      extra-%d: {bus: plc, unit_id: 3, every: 200ms, points: {x: {holding: 2}}}\n", r.variant%3)
	}
	commit := "300ms"
	if r.quiet {
		commit = "30s"
	}
	text := fmt.Sprintf(`gateway: gateway-1
labels: {variant: "%d"}
northbound:
  awsiot:
    endpoint: %s
    server_name: localhost
    %s
    ca: "%s"
    topic: plant/{gateway}
    ack_timeout: %s
    connect_timeout: %s
store: {dir: "%s", max_size: 16MiB, min_free: 256KiB, when_full: drop-newest, commit_every: %s,
        segment_size: 1MiB}
southbound:
  modbus:
    buses:
      plc: {url: "tcp://%s", timeout: 5s}
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
`, r.variant, r.server, r.identity(), r.ca, ackTimeout, ackTimeout, r.queue, commit,
		r.modbus, 2+r.variant%2, extra, r.broker, r.console)
	path := r.file()
	err := os.WriteFile(path+"~", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+"~", path)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// identity is the part of the configuration that says who the gateway is.
func (r *rig) identity() string {
	if r.claim != "" {
		return fmt.Sprintf("identity: {provision: {template: line, claim: %q}}", r.claim)
	}
	return fmt.Sprintf("certificate: %q\n    private_key: %q", r.device.Certificate, r.device.PrivateKey)
}

func (r *rig) file() string { return filepath.Join(r.dir, "gateway.yaml") }

// reload changes the configuration under a running gateway.
func (r *rig) reload() {
	r.t.Helper()
	r.configure()
	if r.listening() { // before, SIGHUP would end it
		_ = r.process.cmd.Process.Signal(syscall.SIGHUP)
	}
}

// start starts the gateway.
func (r *rig) start(wrapped ...string) {
	r.t.Helper()
	if err := os.MkdirAll(r.runtime, 0o700); err != nil {
		r.t.Fatal(err)
	}
	args := append(wrapped, cmp.Or(r.program, program), "run", r.file())
	p := &process{cmd: exec.Command(args[0], args[1:]...), stderr: &output{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+r.runtime)
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	r.process = p
	r.press.begin()
}

// kill kills the gateway, which must have been running still.
func (r *rig) kill() {
	r.t.Helper()
	p := r.process
	r.process = nil
	if answered, ok := r.press.answered(); r.quiet && ok && !r.refusing {
		r.killed = append(r.killed, death{time.Now(), answered})
	}
	select {
	case <-p.ended:
		r.t.Errorf("the gateway has ended by itself: %v:\n%s", p.cmd.ProcessState, tail(p.stderr.String()))
	default:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
	r.oven.died()
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

// busy is how many times as long as alone something may take beside other tests and
// builds, before it counts as hanging.
const busy = 4

// eventually waits until ok, and is fatal after the time, that of a busy machine.
func (r *rig) eventually(what string, within time.Duration, ok func() bool) {
	r.t.Helper()
	within *= busy
	for deadline := time.Now().Add(within); ; {
		looked := time.Now()
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			said := "no gateway"
			if r.process != nil {
				said = tail(r.process.stderr.String())
			}
			r.t.Fatalf("not within %v: %s; the gateway says:\n%s", within, what, said)
		}
		// Between two looks at another process; one that starts processes itself takes a
		// fifth of the time, or the machine would do nothing else.
		time.Sleep(min(max(20*time.Millisecond, 4*time.Since(looked)), 500*time.Millisecond))
	}
}

// listening reports whether the gateway's broker takes connections.
func (r *rig) listening() bool {
	conn, err := net.DialTimeout("tcp", r.broker, time.Second)
	return err == nil && errors.Join(conn.Close()) == nil
}
