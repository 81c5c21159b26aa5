package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"fieldbridge/setting"
)

// readPassword returns the first line of a file.
func readPassword(path setting.Path) ([]byte, error) {
	b, err := os.ReadFile(string(path))
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return nil, fmt.Errorf("read password: the first line of %s is empty", path)
	}
	return []byte(line), nil
}

// readCA returns the certificates in a file, nil for those of the system if
// there is no file.
func readCA(path setting.Path) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(string(path))
	if err != nil {
		return nil, fmt.Errorf("read ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read ca: %s has no certificate in PEM form", path)
	}
	return pool, nil
}

// keyPair is a certificate with its key, read again when one of the files
// changes, so that a renewed certificate needs no restart.
type keyPair struct {
	certificate, key setting.Path

	mu     sync.Mutex
	pair   *tls.Certificate // guarded by mu
	loaded [2]time.Time     // guarded by mu; when the files were written
}

func (k *keyPair) load() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var written [2]time.Time
	for i, path := range []setting.Path{k.certificate, k.key} {
		info, err := os.Stat(string(path))
		if err != nil {
			return k.last(err)
		}
		written[i] = info.ModTime()
	}
	if k.pair != nil && written == k.loaded {
		return k.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(string(k.certificate), string(k.key))
	if err != nil {
		return k.last(fmt.Errorf("certificate %s with private_key %s: %w", k.certificate, k.key, err))
	}
	k.pair, k.loaded = &pair, written
	return k.pair, nil
}

// last returns the pair that was read before, if there is one: while files are
// being replaced they may not fit, and the old ones are still good.
func (k *keyPair) last(err error) (*tls.Certificate, error) {
	if k.pair != nil {
		return k.pair, nil
	}
	return nil, fmt.Errorf("read certificate: %w", err)
}

// serverTLS returns the configuration of the embedded broker's TLS listener.
func serverTLS(c *TLS) (*tls.Config, error) {
	pair := &keyPair{certificate: c.Certificate, key: c.PrivateKey}
	if _, err := pair.load(); err != nil {
		return nil, err
	}
	pool, err := readCA(c.CA)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ClientCAs: pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.load() }}
	if pool != nil {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// clientTLS returns how a site broker called host is spoken to. Its files are
// read for every connection.
func clientTLS(c *TLS, host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c == nil {
		return config, nil
	}
	if c.ServerName != "" {
		config.ServerName = c.ServerName
	}
	pool, err := readCA(c.CA)
	if err != nil {
		return nil, err
	}
	config.RootCAs = pool
	if c.Certificate != "" {
		pair, err := (&keyPair{certificate: c.Certificate, key: c.PrivateKey}).load()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{*pair}
	}
	return config, nil
}

// explainTLS adds what to do to the errors of a handshake.
func explainTLS(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: put the authority that signed the broker's certificate into tls.ca", err)
	case errors.As(err, &name):
		return fmt.Errorf("%w: set tls.server_name to a name in the broker's certificate", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w: renew the broker's certificate, unless this gateway's clock is wrong", err)
	case fromPeer(err):
		return fmt.Errorf("%w: the broker does not accept tls.certificate", err)
	}
	return err
}

// fromPeer reports whether err is a TLS alert that the other side sent. Its type
// is not exported.
func fromPeer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
