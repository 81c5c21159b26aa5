package setting

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// newIdentity returns a certificate and its key, both as PEM.
func newIdentity(t *testing.T) (certificate, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

func TestTLSFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) Path {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return Path(path)
	}
	certificate, key := newIdentity(t)
	_, strange := newIdentity(t)
	cert, private := file("cert", certificate), file("key", key)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}})
	broken := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{1}})
	for name, tt := range map[string]struct {
		files TLSFiles
		key   string
		err   error
	}{
		"right":               {TLSFiles{cert, private, cert}, "", nil},
		"key after others":    {TLSFiles{cert, file("both", append(certificate, key...)), ""}, "", nil},
		"no certificate file": {TLSFiles{"nowhere", private, ""}, "certificate", fs.ErrNotExist},
		"no key file":         {TLSFiles{cert, "nowhere", ""}, "private_key", fs.ErrNotExist},
		"swapped":             {TLSFiles{private, cert, ""}, "certificate", ErrNoCertificate},
		"certificate as key":  {TLSFiles{cert, cert, ""}, "private_key", ErrNoKey},
		"encrypted key":       {TLSFiles{cert, file("encrypted", encrypted), ""}, "private_key", ErrEncryptedKey},
		"broken key":          {TLSFiles{cert, file("broken", broken), ""}, "private_key", ErrBadKey},
		"another's key":       {TLSFiles{cert, file("strange", strange), ""}, "private_key", ErrKeyMismatch},
		"no ca file":          {TLSFiles{cert, private, "nowhere"}, "ca", fs.ErrNotExist},
		"key as ca":           {TLSFiles{cert, private, private}, "ca", ErrNoCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := tt.files.Pair()
			if err == nil {
				if len(pair.Certificate) != 1 {
					t.Errorf("%d certificates", len(pair.Certificate))
				}
				_, err = tt.files.Pool()
			}
			var file *FileError
			if tt.err == nil && err != nil || !errors.Is(err, tt.err) || errors.As(err, &file) && file.Key != tt.key {
				t.Errorf("got %v, want %v at %q", err, tt.err, tt.key)
			}
		})
	}
	if pool, err := (TLSFiles{}).Pool(); pool != nil || err != nil {
		t.Errorf("no ca named: got %v, %v", pool, err)
	}
}

// W03: what tools and editors make of PEM files works; what cannot be used is told.
func TestCaseW03(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) Path {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return Path(path)
	}
	certificate, key := newIdentity(t)
	cert, private := file("cert", certificate), file("key", key)
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }
	bag := []byte("Bag Attributes\n    localKeyID: 01 02\nsubject=CN = gateway\n\nissuer=CN = gateway\n\n")
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS",
		Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}})
	both := file("both", slices.Concat(parameters, key, certificate))
	der, _ := pem.Decode(certificate)
	keyDER, _ := pem.Decode(key)
	for name, tt := range map[string]struct {
		certificate, key Path
		err              error
	}{
		"CRLF": {file("crlf", crlf(certificate)), file("crlf key", crlf(key)), nil},
		"Bag Attributes": {file("bag", slices.Concat(bag, certificate)), file("bag key", slices.Concat(bag, key)),
			nil},
		"EC PARAMETERS":         {cert, file("parameters", slices.Concat(parameters, key)), nil},
		"one file for both":     {both, both, nil},
		"no newline at the end": {file("end", bytes.TrimSpace(certificate)), file("end key", bytes.TrimSpace(key)), nil},
		"encrypted": {cert, file("encrypted", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY",
			Bytes: []byte{1}})),
			ErrEncryptedKey},
		"DER":      {file("der", der.Bytes), private, ErrNoCertificate},
		"DER, key": {cert, file("der key", keyDER.Bytes), ErrNoKey},
	} {
		if _, err := (TLSFiles{tt.certificate, tt.key, ""}).Pair(); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", name, err, tt.err)
		}
	}
}

func TestTLSFilesStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cert")
	files := TLSFiles{Certificate: Path(path)}
	none := files.Stamp()
	if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := files.Stamp()
	if err := os.WriteFile(path, []byte("12"), 0o600); err != nil {
		t.Fatal(err)
	}
	if two := files.Stamp(); none == one || one == two {
		t.Errorf("stamps %q, %q, %q: want three", none, one, two)
	}
}
