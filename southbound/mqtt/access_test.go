package mqtt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
)

// file writes a file of the test and returns its path.
func file(t *testing.T, name, content string) setting.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return setting.Path(path)
}

// refused runs mosquitto_pub, which must fail, and returns what it says.
func refused(t *testing.T, addr string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	out, err := exec.CommandContext(t.Context(), need(t, "mosquitto_pub"), append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err == nil {
		t.Errorf("mosquitto_pub %v succeeds", args)
	}
	return string(out)
}

func usersConfig(t *testing.T) Config {
	cfg := embeddedConfig(anyReading())
	cfg.Brokers["local"] = inlet.Broker{Listen: "127.0.0.1:0", Users: map[string]inlet.User{
		"hall": {PasswordFile: file(t, "hall", "s3cret\n"), Topics: []string{"t/hall/#", "h/+"}},
		"all":  {PasswordFile: file(t, "all", "pass")},
		"lost": {PasswordFile: "missing"},
	}}
	return cfg
}

func TestUsers(t *testing.T) {
	r := newRecorder()
	s := start(t, usersConfig(t), Options{}, r.emit)
	addr := address(t, s)
	message := []string{"-q", "1", "-t", "t/hall/p", "-m", "1"}
	for _, version := range []string{"mqttv311", "mqttv5"} {
		refused(t, addr, append(message, "-V", version)...)
		refused(t, addr, append(message, "-V", version, "-u", "hall", "-P", "wrong")...)
		refused(t, addr, append(message, "-V", version, "-u", "nobody", "-P", "s3cret")...)
		refused(t, addr, append(message, "-V", version, "-u", "lost", "-P", "x")...)
		mosquitto(t, "mosquitto_pub", addr, append(message, "-V", version, "-u", "hall", "-P", "s3cret")...)
		mosquitto(t, "mosquitto_pub", addr, "-q", "1", "-t", "t/x/p", "-m", "2", "-V", version, "-u", "all", "-P", "pass")
	}
	same(t, "readings", values(r.wait(t, 4)), []string{"hall.p=1", "x.p=2", "hall.p=1", "x.p=2"})
	same(t, "refused clients", metric(s, "fieldbridge_mqtt_denied_clients_total"), 8.0)
}

func TestTopicsOfUsers(t *testing.T) {
	r := newRecorder()
	s := start(t, usersConfig(t), Options{}, r.emit)
	addr := address(t, s)
	hall := []string{"-u", "hall", "-P", "s3cret", "-V", "mqttv5", "-q", "1"}
	if out := mosquitto(t, "mosquitto_pub", addr, append(hall, "-t", "t/x/p", "-m", "666")...); !strings.Contains(out, "Not authorized") {
		t.Errorf("mosquitto_pub says %q", out)
	}
	// A last will, and an alias, don't get around it.
	refused(t, addr, append(hall, "-t", "t/hall/p", "-m", "1", "--will-topic", "t/x/p", "--will-payload", "666")...)
	c := openRaw(t, addr, 5)
	b := append(append(mqttString("MQTT"), 5, 0xc2, 0, 60, 0), mqttString("c")...)
	c.write(0x10, append(append(b, mqttString("hall")...), mqttString("s3cret")...))
	c.read()
	c.write(0x30, append(mqttString("t/x/p"), 3, 0x23, 0, 1, '6'))
	c.write(0x32, append(mqttString(""), 0, 9, 3, 0x23, 0, 1, '6'))
	if kind, body := c.read(); kind != 0x40 && kind != 0xe0 {
		t.Errorf("got %#x %x, want PUBACK or DISCONNECT", kind, body)
	}
	for filter, code := range map[string]byte{"#": 0x87, "t/hall/p": 1, "t/hall/+": 1, "h/x": 1, "h/#": 0x87, "$share/g/t/hall/#": 1, "$share/g/#": 0x87} {
		d := openRaw(t, addr, 5)
		d.write(0x10, append(append(append([]byte(nil), b...), mqttString("hall")...), mqttString("s3cret")...))
		d.read()
		d.write(0x82, append(append([]byte{0, 1, 0}, mqttString(filter)...), 1))
		if _, body := d.read(); body[len(body)-1] != code {
			t.Errorf("subscription to %s: got %#x, want %#x", filter, body[len(body)-1], code)
		}
		_ = d.conn.Close()
	}
	mosquitto(t, "mosquitto_pub", addr, append(hall, "-t", "t/hall/p", "-m", "1")...)
	same(t, "readings", values(r.wait(t, 1)), []string{"hall.p=1"})
}

// authority makes certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file setting.Path
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.file = file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

// issue returns files with a certificate for name that ends after life.
func (a *authority) issue(name string, life time.Duration) (cert, key setting.Path) {
	a.t.Helper()
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return file(a.t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		file(a.t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})))
}

func TestEmbeddedTLS(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("localhost", time.Hour)
	clientCert, clientKey := a.issue("sensor", time.Hour)
	cfg := embeddedConfig(anyReading())
	cfg.Brokers["local"] = inlet.Broker{Listen: "127.0.0.1:0", TLS: &inlet.TLS{Listen: "127.0.0.1:0", Certificate: cert, PrivateKey: key, CA: a.file}}
	r := newRecorder()
	s := start(t, cfg, Options{}, r.emit)
	until(t, "both listen", func() bool { return s.TLSAddr("local") != nil && s.Addr("local") != nil })
	_, port, _ := net.SplitHostPort(s.TLSAddr("local").String())
	secure := "localhost:" + port
	args := []string{"-q", "2", "-t", "t/a/p", "-m", "1", "--cafile", string(a.file)}
	mosquitto(t, "mosquitto_pub", secure, append(args, "--cert", string(clientCert), "--key", string(clientKey))...)
	refused(t, secure, args...)
	mosquitto(t, "mosquitto_pub", s.Addr("local").String(), "-q", "1", "-t", "t/a/p", "-m", "2")
	same(t, "readings", values(r.wait(t, 2)), []string{"a.p=1", "a.p=2"})
}

// A certificate that is missing is an alarm, and used as soon as it is there.
func TestEmbeddedTLSLater(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("localhost", time.Hour)
	hidden := string(cert) + ".hidden"
	if err := os.Rename(string(cert), hidden); err != nil {
		t.Fatal(err)
	}
	cfg := embeddedConfig(anyReading())
	cfg.Brokers["local"] = inlet.Broker{TLS: &inlet.TLS{Listen: "127.0.0.1:0", Certificate: cert, PrivateKey: key}}
	s := start(t, cfg, Options{}, newRecorder().emit)
	until(t, "the alarm", func() bool { h := s.Health(); return len(h) == 1 && strings.Contains(h[0].Text, "cert.pem") })
	if err := os.Rename(hidden, string(cert)); err != nil {
		t.Fatal(err)
	}
	until(t, "the broker listens", func() bool { return s.TLSAddr("local") != nil })
}

func TestSiteTLS(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("broker.example", time.Hour)
	clientCert, clientKey := a.issue("gateway", time.Hour)
	b := startMosquitto(t, "allow_anonymous true", "cafile "+string(a.file), "certfile "+string(cert), "keyfile "+string(key), "require_certificate true")
	config := func(c *inlet.TLS) Config {
		return siteConfig(inlet.Broker{URL: "mqtts://" + b.addr, TLS: c}, Sensor{Topic: "w/{device}/{point}"})
	}
	full := inlet.TLS{CA: a.file, Certificate: clientCert, PrivateKey: clientKey, ServerName: "broker.example"}
	r := newRecorder()
	s := start(t, config(&full), Options{Gateway: "g"}, r.emit)
	connected(t, s)
	mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", "w/a/p", "-m", "1", "--insecure",
		"--cafile", string(a.file), "--cert", string(clientCert), "--key", string(clientKey))
	r.wait(t, 1)
	for _, c := range []struct {
		tls  *inlet.TLS
		want string
	}{
		{nil, "tls.server_name"},
		{&inlet.TLS{ServerName: "broker.example"}, "tls.ca"},
		{&inlet.TLS{CA: a.file}, "tls.server_name"},
		{&inlet.TLS{CA: a.file, ServerName: "broker.example"}, "tls.certificate"},
		{&inlet.TLS{CA: "missing"}, "missing"},
		{&inlet.TLS{CA: key}, "no PEM certificate"},
	} {
		if err := s.Apply(config(c.tls)); err != nil {
			t.Fatal(err)
		}
		text := ""
		until(t, "the explanation with "+c.want, func() bool {
			if h := s.Health(); len(h) == 1 {
				text = h[0].Text
			}
			return strings.Contains(text, c.want)
		})
	}
}

func TestExpiredSiteCertificate(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("localhost", -time.Hour)
	b := startMosquitto(t, "allow_anonymous true", "certfile "+string(cert), "keyfile "+string(key))
	_, port, _ := net.SplitHostPort(b.addr)
	s := start(t, siteConfig(inlet.Broker{URL: "mqtts://localhost:" + port, TLS: &inlet.TLS{CA: a.file}}, Sensor{Topic: "w/{device}/{point}"}), Options{Gateway: "g"}, newRecorder().emit)
	until(t, "the explanation", func() bool {
		h := s.Health()
		return len(h) == 1 && strings.Contains(h[0].Text, "renew the broker's certificate")
	})
}
