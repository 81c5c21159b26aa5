package life

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"

	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// files are the certificate and the key that the configuration names, as they were read
// last. While the cloud is away there is an attempt every two seconds, for weeks: each
// looks at the files, and reads them only if they have changed.
type files struct {
	key, certificate setting.Remembered[[]byte]
	pair             setting.Remembered[tls.Certificate] // of a key that is in its file
}

func (f *files) readKey(cfg *uplink.Config) ([]byte, error) {
	return f.key.Get(setting.LookAt(cfg.PrivateKey), cfg.PrivateKey.Read)
}

func (f *files) readCertificate(cfg *uplink.Config) ([]byte, error) {
	return f.certificate.Get(setting.LookAt(cfg.Certificate), cfg.Certificate.Read)
}

// readPair returns certificate and key if both are in their files. It is the files' own
// way, whose errors tell apart what is wrong.
func (f *files) readPair(cfg *uplink.Config) (tls.Certificate, error) {
	return f.pair.Get(setting.LookAt(cfg.Certificate, cfg.PrivateKey), cfg.Files().Pair)
}

// opened is what the key that was opened last is, and what it makes with a certificate.
type opened struct {
	mu          sync.Mutex
	contents    []byte // guarded by mu, as all below; of the key file, nil if none was opened
	is          facts
	certificate []byte // nil if there is no pair
	pair        tls.Certificate
}

// facts are what a key is, for people, or why it cannot be opened.
type facts struct {
	where, weakness string
	copyable        bool
	err             error
}

// open opens the key of a key file, and remembers what it is.
func (o *opened) open(ctx context.Context, contents []byte) (*key.Key, error) {
	k, err := key.Open(ctx, contents)
	is := facts{err: err}
	if err == nil {
		is = facts{where: k.Where, weakness: k.Weakness, copyable: k.Copyable}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.contents, o.is, o.certificate, o.pair = contents, is, nil, tls.Certificate{}
	return k, err
}

// facts returns what the key of a key file is, as it was when it was opened last.
func (o *opened) facts(contents []byte) facts {
	o.mu.Lock()
	is, known := o.is, o.contents != nil && bytes.Equal(o.contents, contents)
	o.mu.Unlock()
	if known {
		return is
	}
	_, _ = o.open(context.Background(), contents) // what it is says why not
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.is
}

// pairOf is [Pair]. A key that is in its file is opened once; that of a chip each time,
// since the chip may be away or cleared.
func (o *opened) pairOf(certificate, contents []byte) (tls.Certificate, error) {
	o.mu.Lock()
	pair := o.pair
	same := o.certificate != nil && bytes.Equal(o.certificate, certificate) && bytes.Equal(o.contents, contents)
	o.mu.Unlock()
	if same && !key.InChip(contents) {
		return pair, nil
	}
	k, err := o.open(context.Background(), contents)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err = pairWith(k, certificate)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil && bytes.Equal(o.contents, contents) { // no other was opened meanwhile
		o.certificate, o.pair = certificate, pair
	}
	return pair, err
}

// leaf returns the first of the certificates of a PEM text.
func (o *opened) leaf(certificate []byte) (*x509.Certificate, error) {
	o.mu.Lock()
	leaf := o.pair.Leaf
	same := o.certificate != nil && bytes.Equal(o.certificate, certificate)
	o.mu.Unlock()
	if same {
		return leaf, nil
	}
	return enrol.Leaf(certificate)
}
