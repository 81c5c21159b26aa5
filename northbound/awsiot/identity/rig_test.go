package identity

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// rig is an authority, a gateway's identity and what to check.
type rig struct {
	t   *testing.T
	dir string
	ca  *awsiottest.Authority
	o   Options

	names  *net.Resolver                               // nil is the machine's
	detour func(ctx context.Context) (net.Conn, error) // instead of the endpoint, if given
}

// run makes a check by way of the rig's network.
func (r *rig) run(ctx context.Context) Report {
	c := newCheck(r.o)
	m := c.network.(*uplink.Machine)
	m.Names = r.names
	if r.detour != nil {
		c.network = &detour{m, r.detour}
	}
	return c.all(ctx)
}

type detour struct {
	*uplink.Machine
	dial func(ctx context.Context) (net.Conn, error)
}

func (d *detour) DialContext(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx) }

// newRig makes an authority and an identity; there is no server yet.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	r.ca = r.authority("ca")
	id := r.issue("press-line-2", awsiottest.Terms{})
	r.o = Options{Gateway: "press-line-2", Synced: func() bool { return true }}
	r.o.StatusTopic = "fieldbridge/press-line-2/status"
	r.o.Config.SetDefaults()
	r.o.Config.ServerName = "localhost"
	r.o.Config.CA = setting.Path(r.ca.File)
	r.use(id)
	return r
}

func (r *rig) authority(name string) *awsiottest.Authority {
	r.t.Helper()
	a, err := awsiottest.NewAuthority(r.dir, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) issue(name string, terms awsiottest.Terms) awsiottest.Identity {
	r.t.Helper()
	id, err := r.ca.Issue(name, terms)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// use makes id the gateway's identity.
func (r *rig) use(id awsiottest.Identity) {
	r.o.Config.Certificate, r.o.Config.PrivateKey = setting.Path(id.Certificate), setting.Path(id.PrivateKey)
}

// cloud starts a stand-in for AWS IoT Core that knows the gateway.
func (r *rig) cloud(change func(*awsiottest.Options)) *awsiottest.Cloud {
	r.t.Helper()
	o := awsiottest.Options{Dir: r.dir}
	if change != nil {
		change(&o)
	}
	c, err := awsiottest.Start(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	r.o.Config.Endpoint = c.Addr()
	return c
}

// server starts a TLS server and hands each connection whose handshake is
// complete to serve.
func (r *rig) server(cfg *tls.Config, serve func(*tls.Conn)) {
	r.t.Helper()
	id := r.issue("server", awsiottest.Terms{Hosts: []string{"localhost", "127.0.0.1"}})
	pair, err := tls.LoadX509KeyPair(id.Certificate, id.PrivateKey)
	if err != nil {
		r.t.Fatal(err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	r.listen(func(conn net.Conn) {
		c := tls.Server(conn, cfg)
		if err := c.HandshakeContext(r.t.Context()); err == nil {
			serve(c)
		}
		// What the client still sends must be read, or a reset overtakes the alert.
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = bufio.NewReader(conn).WriteTo(new(bytes.Buffer))
	})
}

// listen starts a TCP server that closes each connection after serve.
func (r *rig) listen(serve func(net.Conn)) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	r.t.Cleanup(func() { _ = l.Close(); <-ended })
	r.o.Config.Endpoint = l.Addr().String()
}

// pool returns the rig's authority as a server wants it.
func (r *rig) pool() *x509.CertPool {
	r.t.Helper()
	data, err := os.ReadFile(r.ca.File)
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	return pool
}

// check runs the check and compares what a person reads with a golden file.
func (r *rig) check(golden string) Report {
	r.t.Helper()
	report := r.run(r.t.Context())
	if got := report.Step(Connect); got == nil || len(report.Steps) != len(stepNames) {
		r.t.Fatalf("steps %+v", report.Steps)
	}
	r.golden(golden, r.normal(report.Text()))
	return report
}

func (r *rig) golden(name, got string) {
	r.t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// What differs from run to run.
var varying = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC`), "TIME"},
	{regexp.MustCompile(`in \d+ days|\d+ days ago`), "N DAYS"},
	{regexp.MustCompile(`\d+(\.\d)? ms`), "N ms"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA256"},
	{regexp.MustCompile(`SHA-256 [0-9a-f]{16}\b`), "SHA-256 HEX"},
	{regexp.MustCompile(`from 127\.0\.0\.1:\d+`), "from HERE"},
}

func (r *rig) normal(text string) string {
	text = strings.ReplaceAll(text, r.dir, "DIR")
	if u, err := url.Parse(r.o.Config.Proxy); err == nil && u.Host != "" {
		text = strings.ReplaceAll(text, u.Host, "PROXY")
	}
	if endpoint := r.o.Config.Endpoint; strings.Contains(endpoint, ":") {
		text = strings.ReplaceAll(text, endpoint, "CLOUD")
		_, port, _ := net.SplitHostPort(endpoint)
		text = strings.ReplaceAll(text, "port "+port, "port PORT")
	}
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.with)
	}
	return text
}

// fails requires that a step failed, those before it did not, and those after
// it were not reached, except the clock, which is always compared.
func fails(t *testing.T, r Report, name string) {
	t.Helper()
	if r.OK {
		t.Error("all is well")
	}
	reached := true
	for _, s := range r.Steps {
		switch {
		case s.Name == name:
			reached = false
			if s.State != Failed || s.Text == "" {
				t.Errorf("%s is %s %q", s.Name, s.State, s.Text)
			}
		case s.Name == Clock:
		case reached && s.State != OK && s.State != Warning, !reached && s.State != NotReached:
			t.Errorf("%s is %s %q", s.Name, s.State, s.Text)
		}
	}
}

// answer returns how to serve as an MQTT server that answers a CONNECT and
// closes.
func answer(packet func(*packets.Connect) *packets.ControlPacket) func(*tls.Conn) {
	return func(conn *tls.Conn) {
		cp, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if _, err := packet(cp.Content.(*packets.Connect)).WriteTo(&b); err == nil {
			_, _ = conn.Write(b.Bytes())
		}
		_ = conn.CloseWrite()
	}
}
