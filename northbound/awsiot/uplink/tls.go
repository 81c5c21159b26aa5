package uplink

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"

	"fieldbridge/setting"
)

// amazonRoots are Amazon Root CA 1 to 4 and Starfield Services Root CA G2, as
// Mozilla's list has them (Debian's ca-certificates).
//
//go:embed roots/amazon.pem
var amazonRoots []byte

// ALPN is the protocol that AWS expects on port 443 from clients with
// certificates.
const ALPN = "x-amzn-mqtt-ca"

// Files are the files that c names.
func (c *Config) Files() setting.TLSFiles {
	return setting.TLSFiles{Certificate: c.Certificate, PrivateKey: c.PrivateKey, CA: c.CA}
}

// credentials reads the files that cfg names. It is called for each connection,
// so that new files are used at the next one.
func credentials(cfg *Config) (tls.Certificate, *x509.CertPool, error) {
	files := cfg.Files()
	pair, err := files.Pair()
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots, err := files.Pool()
	if err == nil && roots == nil {
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM(amazonRoots)
	}
	return pair, roots, err
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
