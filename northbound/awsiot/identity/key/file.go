package key

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// fileWay is the key in PEM: PKCS #8, PKCS #1 or SEC 1.
var fileWay = way{
	place: func(p Place) bool { return p == File },
	is:    func(contents []byte) bool { return pemKey(contents) != nil },
	open:  openFile,
	make:  makeFile,
}

// pemKey returns the first block of a plain or an encrypted private key.
func pemKey(contents []byte) *pem.Block {
	for {
		b, rest := pem.Decode(contents)
		if b == nil {
			return nil
		}
		switch b.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return b
		}
		contents = rest
	}
}

func openFile(_ context.Context, contents []byte) (*Key, error) {
	b := pemKey(contents)
	if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, ErrEncrypted
	}
	signer, err := parse(b.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %w", err)
	}
	return &Key{Signer: signer, Where: "in a file", Copyable: true}, nil
}

// parse takes all forms, whatever the block is called: programs confuse the names.
func parse(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of the kind %T does not sign", k)
	}
	return signer, nil
}

func makeFile(context.Context, Place) ([]byte, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
