package setting

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"
)

func parsed(t *testing.T, certificate []byte) *x509.Certificate {
	t.Helper()
	b, _ := pem.Decode(certificate)
	c, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFingerprint(t *testing.T) {
	certificate, key := newIdentity(t)
	other, _ := newIdentity(t)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	right := NewFingerprint(parsed(t, certificate))
	strange := NewFingerprint(parsed(t, other))
	shake := func(f Fingerprint) error {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			defer theirs.Close()
			_ = tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
		}()
		config := &tls.Config{ServerName: "broker"}
		if err := f.Pin(config); err != nil {
			return err
		}
		return tls.Client(ours, config).Handshake()
	}
	for name, f := range map[string]Fingerprint{
		"as openssl prints it": "sha256 Fingerprint=" + right,
		"with its kind":        "SHA256:" + right,
		"bare digits":          Fingerprint(strings.ToLower(strings.ReplaceAll(string(right), ":", ""))),
	} {
		if err := shake(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var pin *PinError
	if err := shake(strange); !errors.As(err, &pin) || pin.Shown != right {
		t.Errorf("another's: %v", err)
	}
	if err := shake(""); err == nil || errors.As(err, &pin) && err.Error() == pin.Error() {
		t.Errorf("none: %v, want that the authority is unknown", err)
	}
	if err := shake("AB:CD"); !errors.Is(err, errFingerprint) {
		t.Errorf("a short one: %v", err)
	}
	for _, tt := range []struct {
		f          Fingerprint
		ca, server string
		want       string
	}{
		{"", "ca.pem", "broker", ""}, {right, "", "", ""}, {"xx", "", "", "64 hexadecimal digits"},
		{right, "ca.pem", "", "neither ca"}, {right, "", "broker", "neither ca"},
	} {
		if text, fix := tt.f.Wrong(Path(tt.ca), tt.server); !strings.Contains(text, tt.want) ||
			(text == "") != (tt.want == "") || (text == "") != (fix == "") {
			t.Errorf("%q with %q, %q: %q, %q", tt.f, tt.ca, tt.server, text, fix)
		}
	}
}
