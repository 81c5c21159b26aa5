package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/pause"
	"fieldbridge/store/disk"
)

// The end-to-end tests run the real binary between real peers: pymodbus as the
// device, mosquitto as the cloud, mosquitto_pub and the Python paho client as
// sensors. Everything runs in a network namespace of its own, since the ports
// of first-run.yaml are fixed.

const inNamespace = "FIELDBRIDGE_TEST_NETNS"

// namespace runs the test that calls it again in a new network namespace. It
// reports true in there; outside, the inner run's result is the test's.
func namespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) == t.Name() {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("ip link set lo up: %v: %s", err, out)
		}
		return true
	}
	need(t, "unshare", "ip")
	t.Parallel()
	args := []string{"--net", "--kill-child"}
	if os.Getuid() != 0 {
		args = append(args, "--map-root-user")
	}
	if out, err := exec.Command("unshare", append(args, "true")...).CombinedOutput(); err != nil {
		missing(t, "network namespaces", strings.TrimSpace(string(out)))
	}
	args = append(args, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd := exec.Command("unshare", args...)
	cmd.Env = append(os.Environ(), inNamespace+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in the namespace: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// need skips the test where a peer is missing, and fails it in CI.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, p, "")
		}
	}
}

func needPython(t *testing.T, modules ...string) {
	t.Helper()
	for _, m := range modules {
		if out, err := exec.Command(python, "-c", "import "+m).CombinedOutput(); err != nil {
			missing(t, "python3 "+m, strings.TrimSpace(string(out)))
		}
	}
}

// python is Debian's, which has Debian's modules.
const python = "/usr/bin/python3"

func missing(t *testing.T, what, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing and CI needs it (.ci/packages): %s", what, why)
	}
	t.Skipf("%s is missing (.ci/packages): %s", what, why)
}

// waiting is how many tests wait side by side.
const waiting = 8

// built says whether a test has asked for the program.
var built atomic.Bool

// testBinary builds the program once for all tests.
var testBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fieldbridge-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fieldbridge")
	if err := needtest.Build(path, "fieldbridge/cmd/fieldbridge"); err != nil {
		return "", err
	}
	built.Store(true)
	return path, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	canaries()
	placeOf = func(string) disk.Place { return disk.Place{} }
	if runtime.GOMAXPROCS(0) < waiting {
		// Those that run side by side mostly wait for other processes.
		flag.Set("test.parallel", strconv.Itoa(waiting))
	}
	code := m.Run()
	if built.Load() {
		if path, err := testBinary(); err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// process is a child that ends with the test.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out *output
	end chan struct{}
}

// output is what a process has written.
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

// spawn starts a process in dir.
func spawn(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), out: &output{}, end: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.end) }()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.end
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), tail(p.out.String(), 4000))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// signal sends s and waits for the process to end, at most within on a machine that is
// not busy.
func (p *process) signal(s syscall.Signal, within time.Duration) {
	p.t.Helper()
	within *= busy
	p.cmd.Process.Signal(s)
	select {
	case <-p.end:
	case <-time.After(within):
		p.t.Fatalf("%s did not end within %v of %v", p.cmd.Path, within, s)
	}
}

// busy is how many times as long as alone something may take beside other tests and
// builds, before it counts as hanging.
const busy = 4

// eventually polls until ok or the time is up, that of a busy machine.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	within *= busy
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process
	}
}

func listening(addr string) func() bool {
	return func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
}

// site is a directory with first-run.yaml, its certificates and a cloud made of
// mosquitto.
type site struct {
	t     *testing.T
	dir   string
	bin   string
	cloud *process
	sub   *verifier
}

// verifier subscribes to everything at the cloud, with a persistent session.
// mosquitto_sub ends with a protocol error when the cloud is stopped in the middle
// of a packet; it is started again, and what came meanwhile waits for it.
type verifier struct{ out, errs output }

func (v *verifier) run(ctx context.Context, dir string) {
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, "mosquitto_sub", "-h", "localhost", "-p", "8883", "--cafile", "certs/ca.pem",
			"--cert", "certs/verifier.pem",
			"--key", "certs/verifier.key", "-i", "verifier", "-c", "-q", "1", "-t", "#", "-F", "%t %p")
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &v.out, &v.errs
		fmt.Fprintln(&v.errs, "ended:", cmd.Run())
		pause.Sleep(ctx, 100*time.Millisecond) // while the cloud is away it ends at once
	}
}

func newSite(t *testing.T) *site {
	t.Helper()
	need(t, "mosquitto", "mosquitto_sub", "mosquitto_pub")
	needPython(t, "pymodbus")
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: t.TempDir(), bin: bin}
	config, err := os.ReadFile("../../configs/examples/first-run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.write("first-run.yaml", config)
	s.certificates()
	s.write("mosquitto.conf", []byte(`
per_listener_settings false
listener 8883 127.0.0.1
cafile certs/ca.pem
certfile certs/server.pem
keyfile certs/server.key
require_certificate true
use_identity_as_username true
persistence true
persistence_location `+s.dir+`/
max_queued_messages 0
user root
`))
	abs, err := filepath.Abs("testdata/boiler.py")
	if err != nil {
		t.Fatal(err)
	}
	spawn(t, s.dir, python, abs)
	eventually(t, "the boiler listens", 20*time.Second, listening("127.0.0.1:5020"))
	s.startCloud()
	// A persistent session: what comes while the subscriber connects again waits.
	s.sub = &verifier{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.sub.run(ctx, s.dir) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if t.Failed() {
			t.Logf("the verifier said:\n%s%s", tail(s.sub.out.String(), 4000), tail(s.sub.errs.String(), 1000))
		}
	})
	// A cloud that is stopped before it has subscribed keeps a session that gets nothing.
	eventually(t, "the verifier has subscribed", 10*time.Second,
		func() bool { return strings.Contains(s.cloud.out.String(), "Sending SUBACK to verifier") })
	return s
}

func (s *site) startCloud() {
	s.t.Helper()
	s.cloud = spawn(s.t, s.dir, "mosquitto", "-v", "-c", "mosquitto.conf")
	eventually(s.t, "the cloud listens", 10*time.Second, listening("127.0.0.1:8883"))
}

func (s *site) startGateway() *process {
	s.t.Helper()
	return spawn(s.t, s.dir, s.bin, "run", "first-run.yaml")
}

func (s *site) write(name string, data []byte) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// certificates makes a CA and certificates for the cloud, the gateway and the
// verifier.
func (s *site) certificates() {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	newKey := func(name string) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(err)
		s.write("certs/"+name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		return key
	}
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	}
	ca := template(1, "test CA")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caKey := newKey("ca")
	issue := func(name string, c *x509.Certificate, key *ecdsa.PrivateKey) {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		must(err)
		s.write("certs/"+name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	issue("ca", ca, caKey)
	server := template(2, "localhost")
	server.DNSNames = []string{"localhost"}
	issue("server", server, newKey("server"))
	issue("device", template(3, "press-line-2"), newKey("device"))
	issue("verifier", template(4, "verifier"), newKey("verifier"))
}

// cloudBatch is a batch as the verifier has got it.
type cloudBatch struct {
	Run     string
	Seq     uint64
	Device  string
	At      int64
	Points  map[string]json.Number
	Bad     map[string]string
	Backlog bool
	text    string // the JSON of the batch
}

// received parses what the verifier has got on plant/press-line-2.
func (s *site) received() (batches []cloudBatch) {
	s.t.Helper()
	lines := bufio.NewScanner(strings.NewReader(s.sub.out.String()))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		topic, payload, _ := strings.Cut(lines.Text(), " ")
		if topic != "plant/press-line-2" {
			continue
		}
		var m struct {
			V       int
			Gateway string
			Run     string
			Backlog bool
			Batches []json.RawMessage
		}
		if err := json.Unmarshal([]byte(payload), &m); err != nil {
			if !strings.HasSuffix(s.sub.out.String(), "\n") {
				break // the last line is still being written
			}
			s.t.Fatalf("message %s: %v", payload, err)
		}
		if m.V != 1 || m.Gateway != "press-line-2" || m.Run == "" {
			s.t.Fatalf("envelope of %s", payload)
		}
		for _, raw := range m.Batches {
			b := cloudBatch{Run: m.Run, Backlog: m.Backlog, text: string(raw)}
			var points struct {
				Points map[string]any
			}
			d := json.NewDecoder(bytes.NewReader(raw))
			d.UseNumber()
			if err := d.Decode(&points); err != nil {
				s.t.Fatal(err)
			}
			var rest struct {
				Seq    uint64
				Device string
				At     int64
				Bad    map[string]string
			}
			if err := json.Unmarshal(raw, &rest); err != nil {
				s.t.Fatal(err)
			}
			b.Seq, b.Device, b.At, b.Bad = rest.Seq, rest.Device, rest.At, rest.Bad
			b.Points = make(map[string]json.Number)
			for k, v := range points.Points {
				b.Points[k] = json.Number(fmt.Sprint(v))
			}
			batches = append(batches, b)
		}
	}
	return batches
}

// latest merges the points of a device from all that has arrived.
func latest(batches []cloudBatch, device string) map[string]string {
	points := make(map[string]string)
	for _, b := range batches {
		if b.Device == device {
			for k, v := range b.Points {
				points[k] = v.String()
			}
		}
	}
	return points
}

// scrape reads the metrics of the gateway of first-run.yaml.
func scrape() map[string]float64 { return scrapeAt("127.0.0.1:8080") }

// scrapeAt reads a gateway's metrics; nil if there is no answer.
func scrapeAt(console string) map[string]float64 {
	res, err := http.Get("http://" + console + "/metrics")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil
	}
	metrics := make(map[string]float64)
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && name[0] != '#' {
			metrics[name] = v
		}
	}
	return metrics
}
