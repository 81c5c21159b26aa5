package console

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/password"
	"fieldbridge/setting"
)

// file writes a file of the test.
func file(t *testing.T, name string, text []byte) setting.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return setting.Path(path)
}

// certificate makes one of 127.0.0.1.
func certificate(t *testing.T) (*TLS, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &TLS{Certificate: file(t, "c.pem", text),
		PrivateKey: file(t, "k.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))}, pool
}

// Over TLS, a person logs in with a browser and a program shows its token.
func TestServeWithUsers(t *testing.T) {
	files, pool := certificate(t)
	hash, err := password.New([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	v := paged()
	v.Status = func() any { return map[string]string{"gateway": "g-1"} }
	home := serveAs(t, v, Config{Listen: "127.0.0.1:0", TLS: files, PasswordFile: file(t, "passwords",
		[]byte("ann:"+hash+"\n")), TokenFile: file(t, "token", []byte("t0ken\n"))})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Jar: jar, Transport: transport}
	get := func(path, token string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", home+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	for _, path := range []string{"", "device/boiler", "status", "metrics", "healthz", "devices/boiler"} {
		code, text := get(path, "wrong")
		if code != http.StatusUnauthorized || strings.Contains(text, "g-1") || strings.Contains(text, "71.5") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, text := get("metrics", "t0ken"); code != http.StatusOK {
		t.Errorf("metrics with the token: %d %s", code, text)
	}
	answer, err := browser.PostForm(home+"login", url.Values{"user": {"ann"}, "password": {"secret"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if code, text := get("", ""); code != http.StatusOK || !strings.Contains(text, "g-1") ||
		!strings.Contains(text, "ann") {
		t.Errorf("logged in: %d %s", code, text)
	}
	if code, _ := get("status", ""); code != http.StatusOK {
		t.Errorf("status: %d", code)
	}
}

// What is missing is said, and nobody is let in without it.
func TestServeWaitsForFiles(t *testing.T) {
	for want, config := range map[string]Config{
		"nobody can log in":      {Listen: "127.0.0.1:0", PasswordFile: "missing"},
		"line 1 is not USER":     {Listen: "127.0.0.1:0", PasswordFile: file(t, "p", []byte("ann:secret\n"))},
		"console.tls":            {Listen: "127.0.0.1:0", TLS: &TLS{Certificate: "missing", PrivateKey: "missing"}},
		"change console.listen,": {Listen: "192.0.2.1:0"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done, v := make(chan struct{}), new(View)
		go func() { defer close(done); v.Serve(ctx, config, slog.New(slog.DiscardHandler)) }()
		until(t, func() bool { return len(v.Conditions()) > 0 })
		if text := v.Conditions()[0].Text; !strings.Contains(text, want) || v.URL() != "" {
			t.Errorf("%q, want %q", text, want)
		}
		cancel()
		<-done
		if c := v.Conditions(); len(c) != 0 {
			t.Errorf("after the end: %v", c)
		}
	}
}
