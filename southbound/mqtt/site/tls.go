package site

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
)

// clientTLS returns how a site broker called host is spoken to. Its files are
// read for every connection.
func clientTLS(c *inlet.TLS, host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c == nil {
		return config, nil
	}
	if c.ServerName != "" {
		config.ServerName = c.ServerName
	}
	files := c.Files()
	pool, err := files.Pool()
	if err != nil {
		return nil, err
	}
	config.RootCAs = pool
	if c.Certificate != "" {
		pair, err := files.Pair()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, c.Fingerprint.Pin(config)
}

// explainTLS adds what to do to the errors of a handshake.
func explainTLS(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var pin *setting.PinError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: put the authority that signed the broker's certificate into tls.ca%s", err,
			orPin(unknown.Cert))
	case errors.As(err, &name) && !setting.HasNames(name.Certificate):
		return fmt.Errorf("the broker's certificate names no host at all (subjectAltName is missing): "+
			"have one made that names %s%s", name.Host, orPin(name.Certificate))
	case errors.As(err, &name):
		return fmt.Errorf("%w: set tls.server_name to a name in the broker's certificate", err)
	case errors.As(err, &pin):
		return fmt.Errorf("%w: if the broker has a new certificate, write this into tls.fingerprint", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w: renew the broker's certificate, unless this gateway's clock is wrong", err)
	case fromPeer(err):
		return fmt.Errorf("%w: the broker does not accept tls.certificate", err)
	}
	return err
}

// orPin offers to trust a certificate by its fingerprint.
func orPin(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("; or, if this is its fingerprint there (openssl x509 -noout -fingerprint -sha256), set "+
		"tls.fingerprint: %q", setting.NewFingerprint(c))
}

// fromPeer reports whether err is a TLS alert that the other side sent. Its type
// is not exported.
func fromPeer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
