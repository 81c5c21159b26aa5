package setting

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Fingerprint is the SHA-256 of a certificate, as people write it: 64 hexadecimal
// digits, with colons or without, as openssl x509 -noout -fingerprint -sha256
// prints them.
type Fingerprint string

// errFingerprint says how a fingerprint is written.
var errFingerprint = errors.New("a fingerprint has 64 hexadecimal digits")

// NewFingerprint returns that of a certificate.
func NewFingerprint(c *x509.Certificate) Fingerprint {
	sum := sha256.Sum256(c.Raw)
	var b strings.Builder
	for i, octet := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", octet)
	}
	return Fingerprint(b.String())
}

// Wrong returns what is wrong with f, if it is given beside the file of an
// authority and the name of a server, and what to do; "" if nothing is.
func (f Fingerprint) Wrong(ca Path, serverName string) (text, fix string) {
	if f == "" {
		return "", ""
	}
	if _, err := f.digest(); err != nil {
		return fmt.Sprintf("%q: %v", string(f), err), "copy what openssl x509 -noout -fingerprint -sha256 -in FILE prints"
	}
	if ca != "" || serverName != "" {
		return "beside a fingerprint neither ca nor server_name is looked at", "remove them, or the fingerprint"
	}
	return "", ""
}

func (f Fingerprint) digest() ([]byte, error) {
	text := strings.ToLower(string(f))
	text = strings.TrimPrefix(strings.TrimPrefix(text, "sha256 fingerprint="), "sha256:")
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if err != nil || len(b) != sha256.Size {
		return nil, errFingerprint
	}
	return b, nil
}

// Pin makes c trust the certificate with this fingerprint and no other: neither
// its names, nor who signed it, nor its dates count. An empty fingerprint changes
// nothing.
func (f Fingerprint) Pin(c *tls.Config) error {
	if f == "" {
		return nil
	}
	want, err := f.digest()
	if err != nil {
		return err
	}
	c.InsecureSkipVerify = true // the fingerprint is compared instead, for resumed sessions too
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the peer shows no certificate")
		}
		shown := state.PeerCertificates[0]
		if sum := sha256.Sum256(shown.Raw); !bytes.Equal(sum[:], want) {
			return &PinError{Shown: NewFingerprint(shown)}
		}
		return nil
	}
	return nil
}

// PinError is that a peer shows another certificate than the one that is trusted.
type PinError struct{ Shown Fingerprint }

// Error names the certificate that was shown.
func (e *PinError) Error() string {
	return fmt.Sprintf("the certificate is another one: its fingerprint is %s", e.Shown)
}

// HasNames reports whether a certificate names a host in its subjectAltName. The
// common name of its subject is no name of a host (RFC 9525, section 2).
func HasNames(c *x509.Certificate) bool { return len(c.DNSNames) > 0 || len(c.IPAddresses) > 0 }
