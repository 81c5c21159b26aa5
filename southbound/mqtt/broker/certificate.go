package broker

import (
	"crypto/tls"
	"sync/atomic"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
)

// certificate is what the embedded broker shows to clients. Its files are looked
// at with each handshake, so that a renewed certificate needs no restart; but
// only by one handshake at a time: on a disk that blocks the others go on with
// what was read before.
type certificate struct {
	files   setting.TLSFiles
	reading atomic.Bool
	now     atomic.Pointer[loadedPair] // nil until the files could be read
}

// loadedPair is a certificate with its key.
type loadedPair struct {
	pair  tls.Certificate
	stamp string // of the files, when they were read
}

// get returns the certificate, of the files as they are now if they can be read:
// while they are being replaced they may not fit, and the old ones are still
// good.
func (c *certificate) get() (*tls.Certificate, error) {
	now := c.now.Load()
	if now != nil && !c.reading.CompareAndSwap(false, true) {
		return &now.pair, nil
	}
	if now != nil {
		defer c.reading.Store(false)
	}
	stamp := c.files.Stamp()
	if now != nil && stamp == now.stamp {
		return &now.pair, nil
	}
	pair, err := c.files.Pair()
	if err != nil && now != nil {
		return &now.pair, nil
	}
	if err != nil {
		return nil, err
	}
	now = &loadedPair{pair, stamp}
	c.now.Store(now)
	return &now.pair, nil
}

// serverTLS returns the configuration of the embedded broker's TLS listener.
func serverTLS(c *inlet.TLS) (*tls.Config, error) {
	files := c.Files()
	pool, err := files.Pool()
	if err != nil {
		return nil, err
	}
	files.CA = "" // read once
	shown := &certificate{files: files}
	if _, err := shown.get(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ClientCAs: pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.get() }}
	if pool != nil {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
