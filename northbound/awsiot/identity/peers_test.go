package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// peer starts a server of another make on a free port, which args get, and waits
// until it listens.
func (r *rig) peer(name string, args func(port string) []string) {
	r.t.Helper()
	path := needtest.Program(r.t, name)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.o.Config.Endpoint = l.Addr().String()
	_, port, _ := net.SplitHostPort(r.o.Config.Endpoint)
	_ = l.Close()
	var output bytes.Buffer
	cmd := exec.Command(path, args(port)...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &output, &output, append(os.Environ(), "OPENSSL_CONF=/dev/null")
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if r.t.Failed() {
			r.t.Logf("%s says\n%s", name, output.String())
		}
	})
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.o.Config.Endpoint); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("%s does not listen on %s", name, r.o.Config.Endpoint)
		}
	}
}

// mosquitto starts one that demands our certificate.
func (r *rig) mosquitto(more string) {
	r.t.Helper()
	server := r.issue("server", awsiottest.Terms{Hosts: []string{"localhost"}})
	r.peer("mosquitto", func(port string) []string {
		file := filepath.Join(r.dir, "mosquitto.conf")
		r.write(file, fmt.Appendf(nil, "user root\nlistener %s 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile "+
			"%s\nrequire_certificate true\nuse_identity_as_username true\n%s\n",
			port, r.ca.File, server.Certificate, server.PrivateKey, more))
		return []string{"-c", file}
	})
}

func TestMosquitto(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mosquitto("")
	for _, s := range Check(t.Context(), r.o).Steps {
		if s.State != OK {
			t.Errorf("%s is %s: %s", s.Name, s.State, s.Text)
		}
	}
}

// TestMosquittoRefuses: a certificate that is revoked.
func TestMosquittoRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mosquitto("crlfile " + r.revoke())
	report := Check(t.Context(), r.o)
	fails(t, report, OwnCertificate)
	if s := report.Step(OwnCertificate); !strings.Contains(s.Text, "our certificate is revoked") {
		t.Error(s.Text)
	}
}

// TestOpenSSLRefuses: what a TLS library of another make says to us.
func TestOpenSSLRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		step string
		text string
	}{
		{[]string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, ServerHello, "no TLS version and cipher in common"},
		{[]string{"-tls1_2", "-cipher", "DHE-RSA-AES128-SHA"}, ServerHello, "no TLS version and cipher in common"},
		{[]string{"-servername", "cloud.example", "-servername_fatal"}, ServerHello, "does not know the name localhost"},
		{[]string{"-tls1_2", "-verify_return_error"}, OwnCertificate,
			"refuses our certificate (unknown certificate authority)"},
		{[]string{"-tls1_3", "-verify_return_error"}, OwnCertificate,
			"refuses our certificate (unknown certificate authority)"},
	} {
		r := newRig(t)
		server := r.issue("server", awsiottest.Terms{Hosts: []string{"localhost"}})
		known := r.ca
		r.ca = r.authority("other")
		r.use(r.issue("stranger", awsiottest.Terms{}))
		r.peer("openssl", func(port string) []string {
			return append([]string{"s_server", "-accept", "127.0.0.1:" + port, "-cert", server.Certificate, "-key",
				server.PrivateKey,
				"-cert2", server.Certificate, "-key2", server.PrivateKey, "-CAfile", known.File, "-Verify", "2", "-quiet"},
				tt.args...)
		})
		report := Check(t.Context(), r.o)
		fails(t, report, tt.step)
		if s := report.Step(tt.step); !strings.Contains(s.Text, tt.text) {
			t.Errorf("%v: %s", tt.args, s.Text)
		}
	}
}

// revoke returns a file with the list of revoked certificates of the rig's
// authority, and the gateway's in it.
func (r *rig) revoke() string {
	r.t.Helper()
	certs, err := readCertificates(r.o.Config.Certificate)
	if err != nil {
		r.t.Fatal(err)
	}
	root, key := r.signer()
	now := time.Now()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1),
		ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: certs[0].SerialNumber,
			RevocationTime: now.Add(-time.Minute)}}}, root, key)
	if err != nil {
		r.t.Fatal(err)
	}
	list := filepath.Join(r.dir, "revoked.crl")
	r.write(list, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	return list
}
