package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/modbus/modbustest"
)

// When Run returns, nothing of the gateway runs any more. Go's resolver leaves a
// question behind that is not answered, until its own time is up.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"),
		goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder"), goleak.IgnoreAnyFunction("net.dnsPacketRoundTrip"))
}

// TestStopIsPrompt stops gateways whose peers have gone silent in the worst
// moment: a stop waits for none of them. What they would be waited for is a minute at
// the least.
func TestStopIsPrompt(t *testing.T) {
	t.Run("the cloud acknowledges nothing", func(t *testing.T) {
		t.Parallel()
		r := newStopRig(t)
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Delay: time.Hour} })
		g := r.start(t, r.cloud.Addr(), r.device)
		wait(t, "a message is in flight",
			func() bool { s := g.Status(); return s.Link.Connected && s.Queue.Ledger.Accepted.Batches > 2 })
		r.stop(t)
	})
	t.Run("the cloud accepts and says nothing", func(t *testing.T) {
		t.Parallel()
		r := newStopRig(t)
		silent, accepted := silentHost(t)
		r.start(t, silent, r.device)
		wait(t, "the gateway connects", func() bool { return len(accepted) > 0 })
		r.stop(t)
	})
	t.Run("the device accepts and says nothing", func(t *testing.T) {
		t.Parallel()
		r := newStopRig(t)
		silent, accepted := silentHost(t)
		r.start(t, r.cloud.Addr(), silent)
		wait(t, "the gateway asks the device", func() bool { return len(accepted) > 0 })
		r.stop(t)
	})
}

// stopRig is a gateway that is stopped.
type stopRig struct {
	dir    string
	cloud  *awsiottest.Cloud
	device string
	cancel func()
	ended  chan error
}

func newStopRig(t *testing.T) *stopRig {
	r := &stopRig{dir: t.TempDir(), ended: make(chan error, 1)}
	var err error
	if r.cloud, err = awsiottest.Start(awsiottest.Options{Dir: filepath.Join(r.dir, "certs")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cloud.Close() })
	if _, err := r.cloud.Device("g"); err != nil {
		t.Fatal(err)
	}
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 1)
	r.device = sim.Start(t)
	return r
}

// start runs a gateway with that cloud and that device.
func (r *stopRig) start(t *testing.T, cloud, device string) *Gateway {
	t.Helper()
	return r.startLogging(t, cloud, device, io.Discard)
}

func (r *stopRig) startLogging(t *testing.T, cloud, device string, log io.Writer) *Gateway {
	t.Helper()
	file := filepath.Join(r.dir, "g.yaml")
	text := fmt.Sprintf(`gateway: g
northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: certs/g.pem, private_key: certs/g.key,
    ca: certs/ca.pem, topic: t, linger: 0s}}
southbound: {modbus: {buses: {b: {url: "tcp://%s", timeout: 60s}}, devices: {d: {bus: b, every: 100ms,
    points: {a: {holding: 0}}}}}}
store: {dir: queue}
`, cloud, device)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return r.run(t, file, log)
}

// run runs the gateway of a file.
func (r *stopRig) run(t *testing.T, file string, log io.Writer) *Gateway {
	t.Helper()
	started, err := Load(t.Context(), file, "")
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(started, Options{File: file, Logging: NewLogging(log, started.Config.Log)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- g.Run(ctx) }()
	return g
}

// prompt is how long a stop may take, five seconds, and what a busy machine needs.
const prompt = 40 * time.Second

// stop stops the gateway, which must end in time.
func (r *stopRig) stop(t *testing.T) {
	t.Helper()
	begin := time.Now()
	r.cancel()
	err := <-r.ended
	if took := time.Since(begin); took > prompt || err != nil {
		t.Errorf("the stop took %v: %v", took, err)
	}
}

// silentHost accepts connections and says nothing on them; each one counts.
func silentHost(t *testing.T) (addr string, accepted chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = make(chan struct{}, 1000)
	var open []net.Conn // the goroutine's until it has ended
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
			accepted <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
		for _, c := range open {
			_ = c.Close()
		}
	})
	return l.Addr().String(), accepted
}

// wait waits until ok.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) { // between two looks
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
