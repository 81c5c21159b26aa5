package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
)

// This file is what a check of the connection needs besides, so that it speaks
// TLS as the session does and explains failures in the same words.

// Address returns the host and the port of cfg's endpoint.
func Address(cfg *Config) (host, port string, err error) { return splitEndpoint(cfg.Endpoint) }

// Through returns how to dial by way of cfg's proxy, and the proxy's host:port;
// without a proxy dial itself and "".
func Through(cfg *Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) (
	by func(ctx context.Context, network, address string) (net.Conn, error), proxy string, err error) {
	if cfg.Proxy == "" {
		return dial, "", nil
	}
	u, err := cfg.proxy()
	if err != nil {
		return nil, "", err
	}
	return through(u, dial), u.Host, nil
}

// TLS returns how the session speaks TLS, and its own certificate and key: own's, or
// those of the files that cfg names if it is nil. The error tells which file is wrong.
func TLS(cfg *Config, own Pair) (*tls.Config, tls.Certificate, error) {
	pair, roots, err := credentials(cfg, own, nil)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	return tlsConfig(cfg, pair, roots), pair, nil
}

// AmazonRoots returns the built-in roots: Amazon Root CA 1 to 4 and Starfield
// Services Root CA G2.
func AmazonRoots() []*x509.Certificate {
	var roots []*x509.Certificate
	for rest := amazonRoots; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return roots
		}
		if cert, err := x509.ParseCertificate(b.Bytes); err == nil {
			roots = append(roots, cert)
		}
	}
}

// ExplainAt is [Explain] for an attempt with cfg that failed at a stage: what is
// wrong, and what to do if that is known. own is our certificate, nil if it could
// not be read.
func ExplainAt(cfg *Config, at Stage, own *x509.Certificate, err error) (text, fix string) {
	server := cfg.ServerName
	if server == "" {
		server, _, _ = splitEndpoint(cfg.Endpoint)
	}
	facts := &connectError{stage: at, endpoint: cfg.Endpoint, server: server, own: own, err: err,
		ownRoots: cfg.CA != ""}
	if at == AtDial {
		_, facts.proxy, _ = Through(cfg, nil)
	}
	e := Explain(facts)
	if e.Fix == "" {
		return e.Text, ""
	}
	return strings.TrimSuffix(e.Text, ": "+e.Fix), e.Fix
}

// Refused returns the error of a CONNACK with a code from 0x80 on, and the
// server's own words, for [ExplainAt].
func Refused(code byte, reason string) error { return &connackError{code: code, reason: reason} }

// Disconnected returns the error of a DISCONNECT by the server, for [ExplainAt].
func Disconnected(code byte, reason string) error {
	return &disconnectError{code: code, reason: reason}
}
