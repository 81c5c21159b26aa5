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

// Pair returns our certificate and key. It is called for each connection, so that
// new ones are used at the next one.
type Pair func() (tls.Certificate, error)

// Roots are whom we trust, as they were read last; they are read again when their file
// has changed. The zero value has read nothing. It is safe for concurrent use.
type Roots struct {
	file setting.Remembered[*x509.CertPool]
}

func (r *Roots) get(cfg *Config) (*x509.CertPool, error) {
	return r.file.Get(setting.LookAt(cfg.CA), func() (*x509.CertPool, error) {
		roots, err := cfg.Files().Pool()
		if err == nil && roots == nil {
			roots = x509.NewCertPool()
			roots.AppendCertsFromPEM(amazonRoots)
		}
		return roots, err
	})
}

// credentials returns our certificate and key, those of the files that cfg names if
// own is nil, and whom we trust.
func credentials(cfg *Config, own Pair, trusted *Roots) (tls.Certificate, *x509.CertPool, error) {
	if own == nil {
		own = cfg.Files().Pair
	}
	if trusted == nil {
		trusted = new(Roots)
	}
	pair, err := own()
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots, err := trusted.get(cfg)
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
