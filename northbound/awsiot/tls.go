package awsiot

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// amazonRoots are Amazon Root CA 1 to 4 and Starfield Services Root CA G2, as
// Mozilla's list has them (Debian's ca-certificates).
//
//go:embed roots/amazon.pem
var amazonRoots []byte

// ALPN is the protocol that AWS expects on port 443 from clients with
// certificates.
const ALPN = "x-amzn-mqtt-ca"

// errMismatch: tls.X509KeyPair has no error value for it.
var errMismatch = errors.New("the private key does not belong to the certificate")

// fileError is trouble with a file that the configuration names.
type fileError struct {
	key  string // of the configuration
	path string
	err  error
}

func (e *fileError) Error() string { return fmt.Sprintf("%s %s: %v", e.key, e.path, e.err) }
func (e *fileError) Unwrap() error { return e.err }

// credentials reads the files that cfg names. It is called for each connection,
// so that new files are used at the next one.
func credentials(cfg *Config) (tls.Certificate, *x509.CertPool, error) {
	certPEM, err := os.ReadFile(string(cfg.Certificate))
	if err != nil {
		return tls.Certificate{}, nil, &fileError{"certificate", string(cfg.Certificate), err}
	}
	keyPEM, err := os.ReadFile(string(cfg.PrivateKey))
	if err != nil {
		return tls.Certificate{}, nil, &fileError{"private_key", string(cfg.PrivateKey), err}
	}
	pair, err := keyPair(cfg, certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots := x509.NewCertPool()
	if cfg.CA == "" {
		roots.AppendCertsFromPEM(amazonRoots)
		return pair, roots, nil
	}
	caPEM, err := os.ReadFile(string(cfg.CA))
	if err != nil {
		return tls.Certificate{}, nil, &fileError{"ca", string(cfg.CA), err}
	}
	if !roots.AppendCertsFromPEM(caPEM) {
		return tls.Certificate{}, nil, &fileError{"ca", string(cfg.CA), errNoCertificate}
	}
	return pair, roots, nil
}

var (
	errNoCertificate = errors.New("there is no PEM certificate in it")
	errNoKey         = errors.New("there is no PEM private key in it")
	errEncrypted     = errors.New("the key is encrypted")
)

// keyPair tells apart what tls.X509KeyPair says in one voice.
func keyPair(cfg *Config, certPEM, keyPEM []byte) (tls.Certificate, error) {
	if b := block(certPEM, func(t string) bool { return t == "CERTIFICATE" }); b == nil {
		return tls.Certificate{}, &fileError{"certificate", string(cfg.Certificate), errNoCertificate}
	} else if _, err := x509.ParseCertificate(b.Bytes); err != nil {
		return tls.Certificate{}, &fileError{"certificate", string(cfg.Certificate), err}
	}
	key := block(keyPEM, func(t string) bool {
		return t == "PRIVATE KEY" || t == "RSA PRIVATE KEY" || t == "EC PRIVATE KEY" || t == "ENCRYPTED PRIVATE KEY"
	})
	switch {
	case key == nil:
		return tls.Certificate{}, &fileError{"private_key", string(cfg.PrivateKey), errNoKey}
	case key.Type == "ENCRYPTED PRIVATE KEY" || key.Headers["DEK-Info"] != "":
		return tls.Certificate{}, &fileError{"private_key", string(cfg.PrivateKey), errEncrypted}
	}
	if !parses(key.Bytes) {
		return tls.Certificate{}, &fileError{"private_key", string(cfg.PrivateKey), errors.New("the key cannot be read")}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		// Both files are right on their own.
		return tls.Certificate{}, &fileError{"private_key", string(cfg.PrivateKey), errMismatch}
	}
	return pair, nil
}

func block(data []byte, wanted func(kind string) bool) *pem.Block {
	for {
		b, rest := pem.Decode(data)
		if b == nil || wanted(b.Type) {
			return b
		}
		data = rest
	}
}

func parses(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}

// tlsConfig returns how to speak TLS to cfg's endpoint.
func tlsConfig(cfg *Config, pair tls.Certificate, roots *x509.CertPool) *tls.Config {
	host, port, _ := splitEndpoint(cfg.Endpoint) // checked when the configuration was taken
	c := &tls.Config{
		ServerName: host,
		RootCAs:    roots,
		MinVersion: tls.VersionTLS12,
		// Not Certificates: those are kept back, silently, from a server that
		// names other authorities than the one that signed ours.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}
	if cfg.ServerName != "" {
		c.ServerName = cfg.ServerName
	}
	if port == "443" {
		c.NextProtos = []string{ALPN}
	}
	return c
}
