package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/bridge/setting"
	"fieldbridge/northbound/awsiot/awsiottest"
)

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	report := r.check("well.txt")
	if !report.OK {
		t.Error("not ok")
	}
	for _, s := range report.Steps {
		if s.State != OK {
			t.Errorf("%s is %s: %s", s.Name, s.State, s.Text)
		}
	}
}

func TestUnknownAuthority(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	r.o.Config.CA = setting.Path(r.authority("other").File)
	fails(t, r.check("unknown-authority.txt"), ServerCertificate)
}

func TestServerCertificate(t *testing.T) {
	t.Parallel()
	for name, terms := range map[string]awsiottest.Terms{
		"server-expired":       {NotBefore: time.Now().Add(-30 * 24 * time.Hour), NotAfter: time.Now().Add(-10 * 24 * time.Hour)},
		"server-not-yet-valid": {NotBefore: time.Now().Add(10*24*time.Hour + time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			terms.Hosts = []string{"localhost"}
			id := r.issue("wrong-server", terms)
			r.cloud(func(o *awsiottest.Options) { o.Server = &id })
			fails(t, r.check(name+".txt"), ServerCertificate)
		})
	}
}

func TestWrongHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	r.o.Config.ServerName = "a1b2c3-ats.iot.eu-central-1.amazonaws.com"
	fails(t, r.check("wrong-host.txt"), ServerCertificate)
}

func TestKeyDoesNotMatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	r.o.Config.PrivateKey = setting.Path(r.issue("other", awsiottest.Terms{}).PrivateKey)
	fails(t, r.check("key-mismatch.txt"), Files)
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	c.Offline()
	fails(t, r.check("refused.txt"), Address)
}

func TestOldTLS(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, func(*tls.Conn) {})
	fails(t, r.check("tls11.txt"), ServerHello)
}

func TestNoTLS(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.listen(func(c net.Conn) { _, _ = c.Write([]byte("220 mail ready\r\n")) })
	fails(t, r.check("no-tls.txt"), ServerHello)
}

// TestOutOfDate: the stand-in refuses such certificates in the handshake. With
// TLS 1.3 the client learns it only after Finished.
func TestOutOfDate(t *testing.T) {
	t.Parallel()
	for name, terms := range map[string]awsiottest.Terms{
		"own-expired":       {NotBefore: time.Now().Add(-30 * 24 * time.Hour), NotAfter: time.Now().Add(-10 * 24 * time.Hour)},
		"own-not-yet-valid": {NotBefore: time.Now().Add(10*24*time.Hour + time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.cloud(nil)
			r.use(r.issue("wrong-time", terms))
			fails(t, r.check(name+".txt"), OwnCertificate)
		})
	}
}

// TestRefusedCertificate: a server that checks who signed ours, in both versions
// of TLS.
func TestRefusedCertificate(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"refused-certificate-12": tls.VersionTLS12, "refused-certificate-13": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			known := r.pool()
			ours := r.ca
			r.ca = r.authority("other")
			r.use(r.issue("stranger", awsiottest.Terms{}))
			r.ca = ours
			r.server(&tls.Config{MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known}, func(*tls.Conn) {})
			fails(t, r.check(name+".txt"), OwnCertificate)
		})
	}
}

func TestNotRegistered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	id := r.issue("press-line-2", awsiottest.Terms{})
	c.SetStatus(id.ID, awsiottest.Inactive)
	fails(t, r.check("inactive.txt"), Finished)
}

func TestClosedWithoutConnack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	c.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Close: true} })
	fails(t, r.check("no-connack.txt"), Connect)
}

// TestNotAuthorized: AWS answers 0x87 to a client id and to a last will that the
// policy does not allow. They are told apart.
func TestNotAuthorized(t *testing.T) {
	t.Parallel()
	publish := awsiottest.Statement{Actions: []string{"iot:Publish"}, Resources: []string{"topic/plant/*"}}
	connect := awsiottest.Statement{Actions: []string{"iot:Connect"}, Resources: []string{"client/press-line-2"}}
	for name, policy := range map[string]awsiottest.Policy{"connect-denied": {publish}, "will-denied": {publish, connect}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c := r.cloud(func(o *awsiottest.Options) { o.Throttle = awsiottest.ThrottleRefuse })
			c.SetPolicy(r.issue("press-line-2", awsiottest.Terms{}).ID, policy)
			fails(t, r.check(name+".txt"), Connect)
		})
	}
}

// TestNoWill: a check that ends as it should is nothing that the cloud tells
// others of.
func TestNoWill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	told := make(chan awsiottest.Message, 10)
	c := r.cloud(func(o *awsiottest.Options) { o.OnPublish = func(m awsiottest.Message) { told <- m } })
	if report := Check(t.Context(), r.o); !report.OK {
		t.Error(report.Text())
	}
	c.Offline() // returns when all connections have ended
	if len(told) > 0 {
		t.Errorf("told of %+v", <-told)
	}
}

// TestWill checks what would be told of one that is cut off.
func TestWill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seen := make(chan *packets.Connect, 1)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(func(p *packets.Connect) *packets.ControlPacket {
		seen <- p
		return accept(p)
	}))
	Check(t.Context(), r.o)
	p := <-seen
	var will struct {
		Gateway, Type, Reason string
		Connection            *uint64
	}
	if err := json.Unmarshal(p.WillMessage, &will); err != nil {
		t.Fatal(err)
	}
	if p.WillTopic != "fieldbridge/press-line-2/status" || p.WillQOS != 1 || p.WillRetain || !p.CleanStart || p.KeepAlive != 60 ||
		will.Gateway != "press-line-2" || will.Type != "offline" || will.Connection == nil || *will.Connection != 0 {
		t.Errorf("%+v\n%s", p, p.WillMessage)
	}
}

// TestDisconnectedInstead: a server may say DISCONNECT where a CONNACK is due.
func TestDisconnectedInstead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(func(*packets.Connect) *packets.ControlPacket {
		cp := packets.NewControlPacket(packets.DISCONNECT)
		cp.Content.(*packets.Disconnect).ReasonCode = packets.DisconnectServerShuttingDown
		return cp
	}))
	fails(t, r.check("disconnect.txt"), Connect)
}

// TestOtherProtocol: TLS, but no MQTT behind it.
func TestOtherProtocol(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, func(c *tls.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_ = c.CloseWrite()
	})
	fails(t, r.check("no-mqtt.txt"), Connect)
}

func TestNoSuchHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.o.Config.Endpoint = "a1b2c3-ats.iot.eu-central-1.amazonaws.invalid"
	r.o.Resolver = nameServer(t, 3) // NXDOMAIN
	fails(t, r.check("no-such-host.txt"), Address)
}

func TestNameServerFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.o.Config.Endpoint = "a1b2c3-ats.iot.eu-central-1.amazonaws.invalid"
	r.o.Resolver = nameServer(t, 2) // SERVFAIL
	fails(t, r.check("name-server.txt"), Address)
}

// nameServer answers each question with a code (RFC 1035, 4.1.1).
func nameServer(t *testing.T, code byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			b[2], b[3] = 0x81, 0x80|code // an answer, recursion available
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// TestBlackHole: nothing comes back, at each step where that can happen.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, step string
		hole       func(r *rig)
	}{
		{"black-hole-tcp", Address, func(r *rig) {
			r.o.Config.Endpoint = "203.0.113.1:8883" // TEST-NET-3 (RFC 5737)
			r.o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
			}
		}},
		{"black-hole-tls", ServerHello, func(r *rig) { r.cloud(nil).Dark() }},
		{"black-hole-mqtt", Connect, func(r *rig) {
			r.cloud(nil).ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Delay: time.Minute} })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tt.hole(r)
			r.o.Config.ConnectTimeout = setting.Duration(time.Second)
			start := time.Now()
			fails(t, r.check(tt.name+".txt"), tt.step)
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestHold: while the gateway runs its session is left alone.
func TestHold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	connects := 0
	c.ScriptConnect(func(string) awsiottest.ConnectVerdict { connects++; return awsiottest.ConnectVerdict{} })
	r.o.Hold, r.o.HoldFix = "the gateway runs: a second CONNECT would take its session over", "stop it, or force it by --connect"
	report := r.check("hold.txt")
	if s := report.Step(Connect); !report.OK || s.State != Skipped || connects != 0 {
		t.Errorf("ok %v, %s, %d CONNECTs", report.OK, s.State, connects)
	}
}

// TestNoRequest: a server that does not want to know who we are.
func TestNoRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{}, answer(accept))
	report := r.check("no-request.txt")
	if s := report.Step(CertificateRequest); !report.OK || s.State != Warning || report.Step(OwnCertificate).State != Skipped {
		t.Errorf("ok %v, %s", report.OK, s.State)
	}
}

// accept answers a CONNECT with a CONNACK.
func accept(*packets.Connect) *packets.ControlPacket {
	return packets.NewControlPacket(packets.CONNACK)
}

// TestPort443: ALPN is offered there; a server that ignores it is not AWS.
func TestPort443(t *testing.T) {
	t.Parallel()
	for name, protocols := range map[string][]string{"alpn": {"x-amzn-mqtt-ca"}, "no-alpn": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert, NextProtos: protocols}, answer(accept))
			address := r.o.Config.Endpoint
			r.o.Config.Endpoint = "localhost:443"
			r.o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			report := Check(t.Context(), r.o)
			text := report.Text()
			if hello := report.Step(ClientHello); !strings.Contains(text, "alpn           x-amzn-mqtt-ca") || hello.State != OK {
				t.Errorf("ALPN was not offered:\n%s", text)
			}
			want := OK
			if protocols == nil {
				want = Warning
			}
			if s := report.Step(ServerHello); s.State != want || !report.OK {
				t.Errorf("%s:\n%s", s.State, text)
			}
		})
	}
}

// TestTLS12: the older version, with an RSA key, and intermediates.
func TestTLS12(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r.chain(key)
	r.server(&tls.Config{MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.pool()}, answer(accept))
	report := r.check("tls12.txt")
	for _, s := range report.Steps {
		if s.State != OK {
			t.Errorf("%s is %s: %s", s.Name, s.State, s.Text)
		}
	}
}

// TestKeys: kinds of keys that TLS takes, but AWS does not.
func TestKeys(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  any
		step string // that warns or fails
		want State
	}{
		{ed, Files, Warning},
		{p384, Files, OK},
		{small, CertificateVerify, Failed},
	} {
		r := newRig(t)
		r.chain(tt.key)
		r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(accept))
		report := Check(t.Context(), r.o)
		if s := report.Step(tt.step); s.State != tt.want {
			t.Errorf("%T: %s is %s:\n%s", tt.key, s.Name, s.State, report.Text())
		}
	}
}

// TestFiles: all that can be wrong with files that exist, and without any
// connection.
func TestFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		spoil  func(r *rig)
		state  State
		reason string
	}{
		{"no certificate", func(r *rig) { r.o.Config.Certificate = setting.Path(r.dir + "/none.pem") }, Failed, "does not exist"},
		{"no key", func(r *rig) { r.o.Config.PrivateKey = setting.Path(r.dir + "/none.key") }, Failed, "does not exist"},
		{"no ca", func(r *rig) { r.o.Config.CA = setting.Path(r.dir + "/none.pem") }, Failed, "does not exist"},
		{"empty certificate", func(r *rig) { r.write(string(r.o.Config.Certificate), nil) }, Failed, "no PEM certificate"},
		{"open key", func(r *rig) { r.chmod(string(r.o.Config.PrivateKey), 0o644) }, Warning, "anyone on this machine"},
		{"wrong order", func(r *rig) { r.reorder(1, 0) }, Failed, "belongs to certificate 2"},
		{"stranger between", func(r *rig) { r.append(r.authority("other").File) }, Warning, "has not signed certificate 2"},
		{"soon", func(r *rig) { r.use(r.issue("soon", awsiottest.Terms{NotAfter: time.Now().Add(10 * 24 * time.Hour)})) }, Warning, "in 9 days"},
		{"server's", func(r *rig) { r.use(r.issue("odd", awsiottest.Terms{Hosts: []string{"x"}})) }, Warning, "not made for clients"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			r.chain(key)
			tt.spoil(r)
			c := newCheck(r.o)
			done := c.files()
			s := c.step(Files)
			if s.State != tt.state || !strings.Contains(s.Text, tt.reason) || s.Fix == "" || done != (tt.state != Failed) {
				t.Errorf("%s %q > %q", s.State, s.Text, s.Fix)
			}
		})
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(r *rig)
		state  State
		reason string
	}{
		{"right", func(*rig) {}, OK, ""},
		{"unknown", func(r *rig) { r.o.Synced = nil }, OK, ""},
		{"unsynced", func(r *rig) { r.o.Synced = func() bool { return false } }, Warning, "no time service"},
		{"before the build", func(r *rig) { r.o.Built = time.Now().Add(time.Hour) }, Warning, "this program was made on"},
		{"before our files", func(r *rig) {
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(string(r.o.Config.Certificate), later, later); err != nil {
				t.Fatal(err)
			}
		}, Warning, "press-line-2.pem was written on"},
	} {
		r := newRig(t)
		tt.change(r)
		c := newCheck(r.o)
		c.files()
		c.clock()
		if s := c.step(Clock); s.State != tt.state || !strings.Contains(s.Text, tt.reason) {
			t.Errorf("%s: %s %q", tt.name, s.State, s.Text)
		}
	}
}

// TestClockInThePast: both certificates begin in the future, so it is the clock.
func TestClockInThePast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	future := awsiottest.Terms{NotBefore: time.Now().Add(30 * 24 * time.Hour), NotAfter: time.Now().Add(300 * 24 * time.Hour)}
	r.use(r.issue("own", future))
	future.Hosts = []string{"localhost"}
	id := r.issue("wrong-server", future)
	r.cloud(func(o *awsiottest.Options) { o.Server = &id })
	report := r.check("clock-in-the-past.txt")
	if s := report.Step(Clock); s.State != Warning || !strings.Contains(s.Text, "both made later") {
		t.Errorf("%s %q", s.State, s.Text)
	}
}

// TestClockBehindServer: the server's clock is later than the end of our
// certificate, and ours is not.
func TestClockBehindServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	later := func() time.Time { return time.Now().Add(2 * 365 * 24 * time.Hour) }
	r.server(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.pool(), Time: later}, func(*tls.Conn) {})
	report := r.check("clock-behind-server.txt")
	fails(t, report, OwnCertificate)
	if s := report.Step(Clock); s.State != Warning || !strings.Contains(s.Text, "this clock (20") {
		t.Errorf("%s %q", s.State, s.Text)
	}
}

// TestOtherKey: the authority was made anew under its old name.
func TestOtherKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	again, err := awsiottest.NewAuthority(t.TempDir(), "ca")
	if err != nil {
		t.Fatal(err)
	}
	r.o.Config.CA = setting.Path(again.File)
	report := Check(t.Context(), r.o)
	fails(t, report, ServerCertificate)
	if s := report.Step(ServerCertificate); !strings.Contains(s.Text, "but another key") {
		t.Errorf("%q", s.Text)
	}
}

// TestCancel: the user has had enough.
func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil).Dark()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	fails(t, Check(ctx, r.o), ServerHello)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestJSON checks what programs read, of a check that passes and of one that
// fails.
func TestJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	for name, code := range map[string]byte{"well.json": 0, "busy.json": 0x97} {
		c.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Code: code} })
		data, err := json.MarshalIndent(Check(t.Context(), r.o), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		r.golden(name, r.normal(string(data))+"\n")
	}
}
