package site

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

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
