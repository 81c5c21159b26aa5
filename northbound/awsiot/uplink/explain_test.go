package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/setting"
)

// attemptOnce makes one real attempt to connect over TCP and returns its error.
func attemptOnce(t *testing.T, cfg Config, network Network) error {
	t.Helper()
	if network == nil {
		network = new(Machine)
	}
	a := &Attempt{Config: &cfg, Client: "gateway-1", Network: network, Reached: someWill, Sent: func() {}}
	s, err := a.Open(t.Context())
	if err == nil {
		_ = s.Close()
	}
	return err
}

func someWill() Will { return Will{Topic: "status", Payload: []byte("{}")} }

// detour is the machine's network, but all connections lead to one address.
type detour struct {
	*Machine
	to string
}

func (d detour) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return d.Machine.DialContext(ctx, network, d.to)
}

// failing is a network whose connections fail.
type failing func(ctx context.Context) error

func (failing) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.IPv6Loopback()}, nil
}

func (f failing) DialContext(ctx context.Context, _, _ string) (net.Conn, error) { return nil, f(ctx) }

// stand starts a stand-in on TCP and returns it with a configuration that works.
func stand(t *testing.T, o awsiottest.Options) (*awsiottest.Cloud, Config) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	cloud, err := awsiottest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	id, err := cloud.Device("gateway-1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := validConfig()
	cfg.Endpoint, cfg.ServerName = cloud.Addr(), "localhost"
	use(&cfg, id)
	cfg.CA = setting.Path(cloud.CA())
	return cloud, cfg
}

func use(cfg *Config, id awsiottest.Identity) {
	cfg.Certificate, cfg.PrivateKey = setting.Path(id.Certificate), setting.Path(id.PrivateKey)
}

func issue(t *testing.T, dir, name string, terms awsiottest.Terms) awsiottest.Identity {
	t.Helper()
	ca, err := awsiottest.NewAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	id, err := ca.Issue(name, terms)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func write(t *testing.T, dir, name, text string) setting.Path {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return setting.Path(path)
}

func wantExplained(t *testing.T, err error, want string, act bool) {
	t.Helper()
	if err == nil {
		t.Fatal("it connected")
	}
	e := Explain(err)
	if !strings.Contains(e.Text, want) || e.Act != act || strings.ContainsAny(e.Text, "\n") {
		t.Errorf("explained as %q (act %v), want %q (act %v)\nerror: %v", e.Text, e.Act, want, act, err)
	}
	if Explain(err).Text != e.Text {
		t.Error("Explain says something else")
	}
}

func TestExplainServerCertificates(t *testing.T) {
	hour, year := time.Hour, 365*24*time.Hour
	tests := map[string]struct {
		terms  awsiottest.Terms
		change func(t *testing.T, cfg *Config)
		want   string
		act    bool
	}{
		"unknown authority": {awsiottest.Terms{Hosts: []string{"localhost"}}, func(t *testing.T, cfg *Config) { cfg.CA = "" },
			"an unknown authority: correct the endpoint", true},
		"another authority": {awsiottest.Terms{Hosts: []string{"localhost"}}, func(t *testing.T, cfg *Config) {
			other, err := awsiottest.NewAuthority(t.TempDir(), "ca")
			if err != nil {
				t.Fatal(err)
			}
			cfg.CA = setting.Path(other.File)
		}, "which is not in northbound.awsiot.ca: correct that", true},
		"wrong host name": {awsiottest.Terms{Hosts: []string{"a.example", "b.example"}}, nil,
			"is for a.example, b.example, not for localhost", true},
		"expired": {awsiottest.Terms{Hosts: []string{"localhost"}, NotBefore: time.Now().Add(-hour),
			NotAfter: time.Now().Add(-time.Minute)}, nil, "has expired on", true},
		"not yet valid": {awsiottest.Terms{Hosts: []string{"localhost"}, NotBefore: time.Now().Add(year),
			NotAfter: time.Now().Add(2 * year)}, nil, "is the gateway's clock right?", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			server := issue(t, dir, "wrong-server", tt.terms)
			_, cfg := stand(t, awsiottest.Options{Dir: dir, Server: &server})
			if tt.change != nil {
				tt.change(t, &cfg)
			}
			wantExplained(t, attemptOnce(t, cfg, nil), tt.want, tt.act)
		})
	}
}

func TestExplainOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	cloud, good := stand(t, awsiottest.Options{Dir: dir})
	if err := attemptOnce(t, good, nil); err != nil {
		t.Fatal(err)
	}
	expired := issue(t, dir, "expired", awsiottest.Terms{NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(-time.Minute)})
	future := issue(t, dir, "future", awsiottest.Terms{NotBefore: time.Now().Add(time.Hour)})
	foreign := issue(t, t.TempDir(), "gateway-1", awsiottest.Terms{})
	inactive := issue(t, dir, "inactive", awsiottest.Terms{})
	cloud.SetStatus(inactive.ID, registry.Inactive)
	other, err := cloud.Device("gateway-2")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(cfg *Config)
		want   string
		act    bool
	}{
		"expired":       {func(cfg *Config) { use(cfg, expired) }, "our certificate has expired on", true},
		"not yet valid": {func(cfg *Config) { use(cfg, future) }, "our certificate is not yet valid", false},
		"not registered": {func(cfg *Config) { use(cfg, foreign) },
			"without a CONNACK: the certificate is not registered", true},
		"inactive":  {func(cfg *Config) { use(cfg, inactive) }, "not active", true},
		"another's": {func(cfg *Config) { use(cfg, other) }, "0x87, not authorized", true},
		"key of another": {func(cfg *Config) { cfg.PrivateKey = setting.Path(other.PrivateKey) },
			"does not belong to the certificate", true},
		"no such certificate": {func(cfg *Config) { cfg.Certificate = "nowhere.pem" },
			"certificate nowhere.pem does not exist", true},
		"no such key": {func(cfg *Config) { cfg.PrivateKey = "nowhere.key" },
			"private_key nowhere.key does not exist", true},
		"no such ca": {func(cfg *Config) { cfg.CA = "nowhere.pem" }, "ca nowhere.pem does not exist", true},
		"key given as certificate": {func(cfg *Config) { cfg.Certificate = cfg.PrivateKey }, "no PEM certificate in it",
			true},
		"certificate given as key": {func(cfg *Config) { cfg.PrivateKey = cfg.Certificate }, "no PEM private key in it",
			true},
		"key given as ca": {func(cfg *Config) { cfg.CA = cfg.PrivateKey }, "no PEM certificate in it", true},
		"DER": {func(cfg *Config) { cfg.Certificate = write(t, dir, "der", "\x30\x82\x01") },
			"convert DER", true},
		"garbage in the certificate": {func(cfg *Config) {
			cfg.Certificate = write(t, dir, "bad.crt",
				pemBlock("CERTIFICATE"))
		}, "cannot be used", true},
		"garbage in the key": {func(cfg *Config) {
			cfg.PrivateKey = write(t, dir, "bad.key",
				pemBlock("PRIVATE KEY"))
		}, "cannot be used", true},
		"encrypted key": {func(cfg *Config) {
			cfg.PrivateKey = write(t, dir, "enc.key", pemBlock("ENCRYPTED PRIVATE KEY"))
		}, "is encrypted: decrypt it", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			wantExplained(t, attemptOnce(t, cfg, nil), tt.want, tt.act)
		})
	}
}

func pemBlock(kind string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("garbage")}))
}

// TestExplainAlerts lets real TLS servers refuse our certificate, with TLS 1.2 in
// the handshake and with TLS 1.3 after it.
func TestExplainAlerts(t *testing.T) {
	dir := t.TempDir()
	server := issue(t, dir, "server", awsiottest.Terms{Hosts: []string{"localhost"}})
	pair, err := tls.LoadX509KeyPair(server.Certificate, server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ours := issue(t, dir, "gateway-1", awsiottest.Terms{})
	tests := map[string]struct {
		server *tls.Config
		port   string // replaces the real one in the configuration
		want   string
	}{
		"refused": {&tls.Config{ClientAuth: tls.RequireAnyClientCert,
			VerifyConnection: func(tls.ConnectionState) error { return errors.New("no") }}, "",
			"refuses our certificate (bad certificate)"},
		"unknown authority": {&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()},
			"", "refuses our certificate (unknown certificate authority)"},
		"no common version": {&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, "",
			"no TLS version and cipher in common"},
		"no ALPN": {&tls.Config{NextProtos: []string{"h2"}}, "443",
			"does not speak MQTT with certificates on this port"},
		"unknown name": {&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return nil,
				errors.New("no such name")
		}},
			"", "broke off the TLS handshake"},
	}
	for name, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				cfg := tt.server.Clone()
				cfg.Certificates = []tls.Certificate{pair}
				if cfg.MaxVersion == 0 {
					cfg.MinVersion, cfg.MaxVersion = version, version
				}
				addr := serveTLS(t, cfg)
				c := validConfig()
				c.Endpoint, c.ServerName, c.CA = addr, "localhost", setting.Path(filepath.Join(dir, "ca.pem"))
				use(&c, ours)
				var network Network
				if tt.port != "" {
					c.Endpoint = "localhost:" + tt.port
					network = detour{new(Machine), addr}
				}
				wantExplained(t, attemptOnce(t, c, network), tt.want, true)
			})
		}
	}
}

// serveTLS runs a server that shakes hands and then hears the client out.
func serveTLS(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			conn := tls.Server(raw, cfg)
			if conn.Handshake() == nil {
				_ = conn.CloseWrite()
			} else if tcp, ok := raw.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
			_ = raw.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = io.Copy(io.Discard, raw)
			_ = raw.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestExplainConnack(t *testing.T) {
	cloud, cfg := stand(t, awsiottest.Options{})
	for code, want := range map[byte]struct {
		text string
		act  bool
	}{
		0x80: {"0x80", false}, 0x84: {"does not speak MQTT 5", true}, 0x85: {"refuses our client id", true},
		0x86: {"user name and password", true},
		0x87: {"iot:Connect", true}, 0x88: {"busy or unavailable", false}, 0x90: {"topic of the last will", true},
		0x97: {"quota exceeded", false},
	} {
		cloud.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Code: code} })
		wantExplained(t, attemptOnce(t, cfg, nil), want.text, want.act)
	}
	cloud.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Close: true} })
	wantExplained(t, attemptOnce(t, cfg, nil), "without a CONNACK", true)
}

func TestExplainNetwork(t *testing.T) {
	cloud, cfg := stand(t, awsiottest.Options{})
	cfg.ConnectTimeout = setting.Duration(300 * time.Millisecond)
	fails := func(err error) Network {
		return failing(func(context.Context) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} })
	}
	tests := map[string]struct {
		network Network
		want    string
		act     bool
	}{
		"no such host": {fails(&net.DNSError{Err: "no such host", Name: "x.example", IsNotFound: true}),
			"there is no host called x.example", true},
		"no name server": {fails(&net.DNSError{Err: "server misbehaving", Name: "x.example", IsTemporary: true}),
			"cannot be looked up", false},
		"no network": {fails(&net.DNSError{Err: "dial udp 10.0.0.1:53: connect: network is unreachable", Name: "x.example"}),
			"this machine has no network, so the name x.example cannot be looked up: check its cable", false},
		"name server is off": {fails(&net.DNSError{Err: "read udp 10.0.0.2:9->10.0.0.1:53: read: connection refused",
			Name: "x.example"}), "the name server of this machine refuses", false},
		"no route": {fails(os.NewSyscallError("connect", syscall.ENETUNREACH)), "no route", false},
		"dial timeout": {failing(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }),
			"does not answer in time", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { wantExplained(t, attemptOnce(t, cfg, tt.network), tt.want, tt.act) })
	}
	t.Run("no answer to TLS", func(t *testing.T) {
		cloud.Dark()
		defer cloud.Light()
		wantExplained(t, attemptOnce(t, cfg, nil), "does not answer to TLS in time", false)
	})
	t.Run("no CONNACK in time", func(t *testing.T) {
		cloud.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Delay: time.Minute} })
		defer cloud.ScriptConnect(nil)
		wantExplained(t, attemptOnce(t, cfg, nil), "does not answer the CONNECT in time", false)
	})
	t.Run("refused", func(t *testing.T) {
		cloud.Offline()
		wantExplained(t, attemptOnce(t, cfg, nil), "refuses connections", false)
	})
	t.Run("no TLS", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		}()
		plain := cfg
		plain.Endpoint = l.Addr().String()
		wantExplained(t, attemptOnce(t, plain, nil), "does not speak TLS: is the port right?", true)
	})
}

func TestKeyFormats(t *testing.T) {
	dir := t.TempDir()
	_, cfg := stand(t, awsiottest.Options{Dir: dir})
	data, err := os.ReadFile(string(cfg.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(data)
	key, err := x509.ParseECPrivateKey(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	cfg.PrivateKey = write(t, dir, "pkcs8.key", "comment\n"+string(text))
	if err := attemptOnce(t, cfg, nil); err != nil {
		t.Errorf("PKCS#8: %v", err)
	}
	// openssl writes parameters before the key.
	params := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1,
		7}})
	cfg.PrivateKey = write(t, dir, "sec1.key", string(params)+string(data))
	if err := attemptOnce(t, cfg, nil); err != nil {
		t.Errorf("SEC 1 with parameters: %v", err)
	}
}

func TestAmazonRoots(t *testing.T) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(amazonRoots) {
		t.Fatal("no roots")
	}
	var names []string
	for rest := amazonRoots; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Subject.CommonName)
	}
	want := "Amazon Root CA 1, Amazon Root CA 2, Amazon Root CA 3, Amazon Root CA 4, Starfield Services Root " +
		"Certificate Authority - G2"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("roots are %s", got)
	}
}

// TestWrongClock: a server certificate that is not yet valid is a clock that is
// wrong at boot; when it is set, the next attempt works.
func TestWrongClock(t *testing.T) {
	dir := t.TempDir()
	server := issue(t, dir, "late", awsiottest.Terms{Hosts: []string{"localhost"}, NotBefore: time.Now().Add(time.Minute)})
	_, cfg := stand(t, awsiottest.Options{Dir: dir, Server: &server})
	err := attemptOnce(t, cfg, nil)
	wantExplained(t, err, "is the gateway's clock right?", false)
}
