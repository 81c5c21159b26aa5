package setting

import (
	"crypto/tls"
	"sync/atomic"
)

// Shown is the certificate that a server shows to clients. Its files are looked at
// with each handshake, so that a renewed certificate needs no restart; but
// only by one handshake at a time: on a disk that blocks the others go on with
// what was read before.
type Shown struct {
	files   TLSFiles
	reading atomic.Bool
	now     atomic.Pointer[loadedPair] // nil until the files could be read
}

// loadedPair is a certificate with its key.
type loadedPair struct {
	pair  tls.Certificate
	stamp string // of the files, when they were read
}

// Shown returns what a server shows to clients, of files.
func (f TLSFiles) Shown() *Shown { return &Shown{files: f} }

// Get returns the certificate, of the files as they are now if they can be read:
// while they are being replaced they may not fit, and the old ones are still
// good.
func (c *Shown) Get() (*tls.Certificate, error) {
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
