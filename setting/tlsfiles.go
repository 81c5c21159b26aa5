package setting

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// TLSFiles are the files of one side of a TLS connection, each in PEM form. They
// are read when asked for, never kept: a file that was renewed is used by the
// next connection.
type TLSFiles struct {
	Certificate Path // with the intermediates after it, if there are any
	PrivateKey  Path // PKCS #8, PKCS #1 or SEC 1, not encrypted
	CA          Path // whom to trust
}

// What a [FileError] may wrap, besides errors of the file system.
var (
	ErrNoCertificate = errors.New("there is no PEM certificate in it")
	ErrNoKey         = errors.New("there is no PEM private key in it")
	ErrEncryptedKey  = errors.New("the key is encrypted")
	ErrBadKey        = errors.New("the key cannot be read")
	// ErrKeyMismatch says that each file is right on its own.
	ErrKeyMismatch = errors.New("the private key does not belong to the certificate")
)

// FileError is trouble with a file that the configuration names.
type FileError struct {
	Key  string // the configuration's: certificate, private_key, ca
	Path Path
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s %s: %v", e.Key, e.Path, bare(e.Err)) }
func (e *FileError) Unwrap() error { return e.Err }

// Pair reads the certificate and its key. Its errors are of type *[FileError].
func (f TLSFiles) Pair() (tls.Certificate, error) {
	certificate, err := f.Certificate.Read()
	if err != nil {
		return tls.Certificate{}, f.badCertificate(err)
	}
	key, err := f.PrivateKey.Read()
	if err != nil {
		return tls.Certificate{}, f.badKey(err)
	}
	return f.pair(certificate, key)
}

// pair tells apart what tls.X509KeyPair says in one voice.
func (f TLSFiles) pair(certificate, key []byte) (tls.Certificate, error) {
	c := findPEM(certificate, "CERTIFICATE")
	if c == nil {
		return tls.Certificate{}, f.badCertificate(ErrNoCertificate)
	}
	if _, err := x509.ParseCertificate(c.Bytes); err != nil {
		return tls.Certificate{}, f.badCertificate(err)
	}
	k := findPEM(key, "PRIVATE KEY")
	switch {
	case k == nil:
		return tls.Certificate{}, f.badKey(ErrNoKey)
	case k.Type == "ENCRYPTED PRIVATE KEY" || k.Headers["DEK-Info"] != "":
		return tls.Certificate{}, f.badKey(ErrEncryptedKey)
	case !isKey(k.Bytes):
		return tls.Certificate{}, f.badKey(ErrBadKey)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, f.badKey(ErrKeyMismatch)
	}
	return pair, nil
}

func (f TLSFiles) badCertificate(err error) error {
	return &FileError{"certificate", f.Certificate, err}
}

func (f TLSFiles) badKey(err error) error { return &FileError{"private_key", f.PrivateKey, err} }

// Pool reads whom to trust; nil, for those that the system trusts, if no file is
// named. Its errors are of type *[FileError].
func (f TLSFiles) Pool() (*x509.CertPool, error) {
	if f.CA == "" {
		return nil, nil
	}
	b, err := f.CA.Read()
	if err != nil {
		return nil, &FileError{"ca", f.CA, err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, &FileError{"ca", f.CA, ErrNoCertificate}
	}
	return pool, nil
}

// Stamp returns a text that changes when one of the files does.
func (f TLSFiles) Stamp() string {
	return LookAt(f.Certificate, f.PrivateKey, f.CA).text
}

// findPEM returns the first block whose type is or ends in kind; nil if there is
// none.
func findPEM(data []byte, kind string) *pem.Block {
	for {
		b, rest := pem.Decode(data)
		if b == nil || b.Type == kind || strings.HasSuffix(b.Type, " "+kind) {
			return b
		}
		data = rest
	}
}

func isKey(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}
