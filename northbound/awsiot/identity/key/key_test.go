package key

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
)

// TestCreate makes a key and signs with it after its file was read again.
func TestCreate(t *testing.T) {
	for _, place := range []Place{"", File} {
		contents, err := place.Create(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		k, err := Open(context.Background(), contents)
		if err != nil {
			t.Fatal(err)
		}
		public, ok := k.Public().(*ecdsa.PublicKey)
		if !ok || public.Curve != elliptic.P256() || !k.Copyable || k.Where == "" {
			t.Fatalf("%T, copyable %t, %q", k.Public(), k.Copyable, k.Where)
		}
		digest := sha256.Sum256([]byte("who are you"))
		signature, err := k.Sign(rand.Reader, digest[:], nil)
		if err != nil || !ecdsa.VerifyASN1(public, digest[:], signature) {
			t.Errorf("signature %x, %v", signature, err)
		}
	}
}

func TestOpenForms(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, _ := x509.MarshalECPrivateKey(ec)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(rsaKey)
	block := func(kind string, der []byte, headers map[string]string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der, Headers: headers})
	}
	parameters := block("EC PARAMETERS", []byte{6, 1, 42}, nil)
	for name, c := range map[string]struct {
		contents []byte
		err      error // any other error if it is errOther
	}{
		"sec 1":               {block("EC PRIVATE KEY", sec1, nil), nil},
		"sec 1 after its own": {append(parameters, block("EC PRIVATE KEY", sec1, nil)...), nil},
		"pkcs 1":              {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), nil},
		"pkcs 8":              {block("PRIVATE KEY", pkcs8, nil), nil},
		"wrongly called":      {block("RSA PRIVATE KEY", pkcs8, nil), nil},
		"encrypted":           {block("ENCRYPTED PRIVATE KEY", pkcs8, nil), ErrEncrypted},
		"encrypted long ago": {block("RSA PRIVATE KEY", pkcs8, map[string]string{"Proc-Type": "4,ENCRYPTED",
			"DEK-Info": "AES-256-CBC,00"}), ErrEncrypted},
		"empty":         {nil, ErrNoKey},
		"a certificate": {block("CERTIFICATE", pkcs8, nil), ErrNoKey},
		"cut":           {block("PRIVATE KEY", pkcs8[:len(pkcs8)-1], nil), errOther},
	} {
		k, err := Open(context.Background(), c.contents)
		switch {
		case c.err == nil && (err != nil || k.Public() == nil):
			t.Errorf("%s: %v", name, err)
		case c.err != nil && (err == nil || c.err != errOther && !errors.Is(err, c.err)):
			t.Errorf("%s: error %v, want %v", name, err, c.err)
		}
	}
}

var errOther = errors.New("another")

func TestPlace(t *testing.T) {
	for _, p := range []Place{"drawer", "FILE", "tmp"} {
		if err := p.Validate(); !errors.Is(err, ErrPlace) {
			t.Errorf("%s: %v", p, err)
		}
		if contents, err := p.Create(context.Background()); !errors.Is(err, ErrPlace) || contents != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// FuzzOpen opens anything: no key file may end the program, and what opens signs.
func FuzzOpen(f *testing.F) {
	contents, err := File.Create(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(contents)
	f.Add(bytes.Replace(contents, []byte("PRIVATE"), []byte("EC PRIVATE"), 2))
	f.Fuzz(func(t *testing.T, contents []byte) {
		if k, err := Open(context.Background(), contents); err == nil && k.Public() == nil {
			t.Error("a key without a public half")
		}
	})
}
