package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/setting"
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
		"server-expired": {NotBefore: time.Now().Add(-30 * 24 * time.Hour),
			NotAfter: time.Now().Add(-10 * 24 * time.Hour)},
		"server-not-yet-valid": {NotBefore: time.Now().Add(10*24*time.Hour + time.Hour),
			NotAfter: time.Now().Add(30 * 24 * time.Hour)},
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

// TestOldServerHello: a server that does not know how to refuse, and answers
// with what it has.
func TestOldServerHello(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.listen(func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		body := append([]byte{3, 2}, make([]byte, 32)...) // version, random
		body = append(body, 0, 0, 0x2f, 0)                // no session, a suite, no compression
		_, _ = c.Write(append([]byte{22, 3, 2, 0, byte(4 + len(body)), typeServerHello, 0, 0, byte(len(body))}, body...))
		_, _ = c.Read(make([]byte, 4096)) // the client's alert
	})
	report := r.run(t.Context())
	fails(t, report, ServerHello)
	if s := report.Step(ServerHello); !strings.Contains(s.Text, "speaks only TLS 1.1") {
		t.Error(s.Text)
	}
}

func TestNoTLS(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.listen(func(c net.Conn) { _, _ = c.Write([]byte("220 mail ready\r\n")) })
	fails(t, r.check("no-tls.txt"), ServerHello)
}

// TestOutOfDate: the stand-in refuses such certificates in the handshake. With

// TLS 1.3 the client learns it only after Finished.

// TestRefusedCertificate: a server that checks who signed ours, in both versions

// of TLS.

func TestRefusedCertificate(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"refused-certificate-12": tls.VersionTLS12,
		"refused-certificate-13": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			known := r.pool()
			ours := r.ca
			r.ca = r.authority("other")
			r.use(r.issue("stranger", awsiottest.Terms{}))
			r.ca = ours
			r.server(&tls.Config{MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known},
				func(*tls.Conn) {})
			fails(t, r.check(name+".txt"), OwnCertificate)
		})
	}
}

func TestNotRegistered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.cloud(nil)
	id := r.issue("press-line-2", awsiottest.Terms{})
	c.SetStatus(id.ID, registry.Inactive)
	fails(t, r.check("inactive.txt"), Finished)
}

// TestNotAuthorized: AWS answers 0x87 to a client id and to a last will that the

// policy does not allow. They are told apart.

// TestNoWill: a check that ends as it should is nothing that the cloud tells

// others of.

// TestWill checks what would be told of one that is cut off.

// TestDisconnectedInstead: a server may say DISCONNECT where a CONNACK is due.

// TestOtherProtocol: TLS, but no MQTT behind it.

// TestClosedInHandshake: with TLS 1.2 the server has our certificate before the
// handshake is complete.
func TestClosedInHandshake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var cfg *tls.Config
	cfg = &tls.Config{MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			mute := cfg.Clone()
			mute.VerifyConnection = func(tls.ConnectionState) error { return hello.Conn.Close() }
			return mute, nil
		}}
	r.server(cfg, func(*tls.Conn) {})
	fails(t, r.check("closed-in-handshake.txt"), Finished)
}

func TestNoSuchHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.o.Config.Endpoint = "a1b2c3-ats.iot.eu-central-1.amazonaws.invalid"
	r.names = nameServer(t, 3) // NXDOMAIN
	fails(t, r.check("no-such-host.txt"), Address)
}

func TestNameServerFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.o.Config.Endpoint = "a1b2c3-ats.iot.eu-central-1.amazonaws.invalid"
	r.names = nameServer(t, 2) // SERVFAIL
	fails(t, r.check("name-server.txt"), Address)
}

// nameServer answers each question with a code (RFC 1035, 4.1.1).

func nameServer(t *testing.T, code byte) *net.Resolver {
	return answering(t, func(b []byte) []byte {
		b[2], b[3] = 0x81, 0x80|code // an answer, recursion available
		return b
	})
}

// answering returns a resolver with a name server that answers as it is told; nil
// is silence.
func answering(t *testing.T, answer func(question []byte) []byte) *net.Resolver {
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
			if a := answer(b[:n]); a != nil {
				_, _ = conn.WriteTo(a, from)
				continue
			}
			// net waits for this answer for ten seconds more than anyone else.
			late := bytes.Clone(b[:n])
			late[2], late[3] = 0x81, 0x83
			t.Cleanup(func() { _, _ = conn.WriteTo(late, from) })
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
			r.detour = func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
			}
		}},
		{"black-hole-tls", ServerHello, func(r *rig) { r.cloud(nil).Dark() }},
		{"black-hole-mqtt", Connect, func(r *rig) {
			r.cloud(nil).ScriptConnect(func(string) awsiottest.ConnectVerdict {
				return awsiottest.ConnectVerdict{Delay: time.Minute}
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tt.hole(r)
			r.o.Config.ConnectTimeout = setting.Duration(time.Second)
			start := time.Now()
			fails(t, r.check(tt.name+".txt"), tt.step)
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestHold: while the gateway runs its session is left alone.

// TestNoRequest: a server that does not want to know who we are.

func TestNoRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{}, answer(accept))
	report := r.check("no-request.txt")
	if s := report.Step(CertificateRequest); !report.OK || s.State != Warning ||
		report.Step(OwnCertificate).State != Skipped {
		t.Errorf("ok %v, %s", report.OK, s.State)
	}
}

// accept answers a CONNECT with a CONNACK.

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
			r.detour = func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", address)
			}
			report := r.run(t.Context())
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

// TestKeys: kinds of keys that TLS takes, but AWS does not.

// TestFiles: all that can be wrong with files that exist, and without any

// connection.

// TestClockInThePast: both certificates begin in the future, so it is the clock.

// TestClockBehindServer: the server's clock is later than the end of our

// certificate, and ours is not.

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
	report := r.run(t.Context())
	fails(t, report, ServerCertificate)
	if s := report.Step(ServerCertificate); !strings.Contains(s.Text, "but another key") {
		t.Errorf("%q", s.Text)
	}
}

// TestNeedlessCA: the ca is wrong, and without it all would be well.
func TestNeedlessCA(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	right := r.o.Config.CA
	r.o.Config.CA = setting.Path(r.authority("other").File)
	c := newCheck(r.o)
	var err error
	if c.builtIn, err = readCertificates(right); err != nil {
		t.Fatal(err)
	}
	c.run(t.Context())
	if s := c.step(ServerCertificate); s.State != Failed || s.Fix != "remove northbound.awsiot.ca" {
		t.Errorf("%s %q > %q", s.State, s.Text, s.Fix)
	}
}

// TestBuiltInRoots: without a ca only AWS's own endpoints are trusted.
func TestBuiltInRoots(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	r.o.Config.CA = ""
	fails(t, r.check("built-in-roots.txt"), ServerCertificate)
}

// TestLookUp: a name with addresses.
func TestLookUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port, err := net.SplitHostPort(r.cloud(nil).Addr())
	if err != nil {
		t.Fatal(err)
	}
	r.o.Config.Endpoint, r.o.Config.ServerName = "localhost:"+port, ""
	report := r.run(t.Context())
	s := report.Step(Address)
	if !report.OK || len(s.Facts) < 3 || s.Facts[1].Key != "addresses" || !strings.Contains(s.Facts[1].Value,
		"127.0.0.1") {
		t.Errorf("%+v", s)
	}
}

// TestSilentAboutIPv6: a name server that answers only the question for IPv4.
func TestSilentAboutIPv6(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port, err := net.SplitHostPort(r.cloud(nil).Addr())
	if err != nil {
		t.Fatal(err)
	}
	r.o.Config.Endpoint, r.o.Config.ServerName = "cloud.example:"+port, "localhost"
	r.names = answering(t, func(b []byte) []byte {
		const header = 12
		question := b[header : bytes.IndexByte(b[header:], 0)+header+5] // name, type, class
		if kind := question[len(question)-3]; kind != 1 {
			return nil // AAAA
		}
		answer := append([]byte{b[0], b[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, question...)
		return append(answer, 0xC0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	})
	r.o.Config.ConnectTimeout = setting.Duration(5 * time.Minute)
	start := time.Now()
	report := r.run(t.Context())
	if s := report.Step(Address); !report.OK || !strings.Contains(fmt.Sprint(s.Facts), "about IPv6 addresses") {
		t.Errorf("%+v\n%+v", s, report.Conclusion)
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("took %v", d)
	}
}

// TestCancel: the user has had enough of a server that takes the hello and says
// nothing.
func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r.o.Config.Endpoint = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return // the test has ended
		}
		defer conn.Close()
		conn.Read(make([]byte, 1))
		cancel()
		io.Copy(io.Discard, conn)
	}()
	r.o.Config.ConnectTimeout = setting.Duration(5 * time.Minute)
	start := time.Now()
	fails(t, Check(ctx, r.o), ServerHello)
	if d := time.Since(start); d > time.Minute {
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
		data, err := json.MarshalIndent(r.run(t.Context()), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		r.golden(name, r.normal(string(data))+"\n")
	}
}

// TestTricks: what a server says cannot play tricks on a terminal.

func TestShorten(t *testing.T) {
	list := strings.Split(strings.Repeat("x", 10), "")
	if got := shorten(list); got != "x, x, x, x, x, x, x, x, and 2 more" || list[8] != "x" {
		t.Error(got)
	}
}
