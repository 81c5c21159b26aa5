package broker

import (
	"crypto/tls"

	"fieldbridge/southbound/mqtt/inlet"
)

// serverTLS returns the configuration of the embedded broker's TLS listener.
func serverTLS(c *inlet.TLS) (*tls.Config, error) {
	files := c.Files()
	pool, err := files.Pool()
	if err != nil {
		return nil, err
	}
	files.CA = "" // read once
	shown := files.Shown()
	if _, err := shown.Get(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ClientCAs: pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Get() }}
	if pool != nil {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
