// Package token uses keys in PKCS #11 tokens: smart cards, security modules, secure
// elements such as the ATECC608. The vendor's library, which may hang or crash, is
// loaded by a second program, fieldbridge-p11; this package starts it, talks to it and
// ends it. The gateway itself stays one static program.
package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Key signs with a key of a token.
type Key struct {
	caller   *Caller
	uri      *URI
	public   *ecdsa.PublicKey
	weakness string
}

// Open looks up the key of that name; [ErrLost] says that the token does not have it.
func (c *Caller) Open(ctx context.Context, u *URI) (*Key, error) {
	return c.key(ctx, u, Public)
}

// Create makes a key in the token that u names, with an id of its own, and returns its
// name. Where u has an id, the key of that id is taken instead, which somebody made.
func (c *Caller) Create(ctx context.Context, u *URI) (*URI, error) {
	named := *u
	operation := Public
	if u.ID == "" {
		id := make([]byte, 8)
		_, _ = rand.Read(id) // never fails
		named.ID = string(id)
		operation = Generate
	}
	if named.Object == "" && operation == Generate {
		named.Object = "fieldbridge"
	}
	_, err := c.key(ctx, &named, operation)
	return &named, err
}

func (c *Caller) key(ctx context.Context, u *URI, operation Operation) (*Key, error) {
	a, err := c.call(ctx, u, Request{Operation: operation})
	if err != nil {
		return nil, err
	}
	public, err := x509.ParsePKIXPublicKey(a.Public)
	if err != nil {
		return nil, fmt.Errorf("the token's public key cannot be read: %w", err)
	}
	ec, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("only keys on P-256 and P-384 are used")
	}
	return &Key{c, u, ec, a.Weakness}, nil
}

// Public implements [crypto.Signer].
func (k *Key) Public() crypto.PublicKey { return k.public }

// Weakness says what could be better about the key, for people; "" if nothing.
func (k *Key) Weakness() string { return k.weakness }

// Sign implements [crypto.Signer]. The token has its own source of random numbers.
func (k *Key) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	// ECDSA signs no more of a digest than the curve has bits (FIPS 186-5, §6.4.1), and
	// not every library cuts it.
	part := digest[:min(len(digest), k.public.Curve.Params().BitSize/8)]
	a, err := k.caller.call(context.Background(), k.uri, Request{Operation: Sign, Digest: part})
	if err != nil {
		return nil, err
	}
	half := len(a.Signature) / 2
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(a.Signature[:half]), new(big.Int).SetBytes(a.Signature[half:])})
	if err == nil && !ecdsa.VerifyASN1(k.public, digest, signature) {
		return nil, errors.New("the token's signature is wrong: is there another key of this name?")
	}
	return signature, err
}

// Names returns the names of the keys, or tokens, that the library of u finds.
func (c *Caller) Names(ctx context.Context, u *URI) ([]string, error) {
	a, err := c.call(ctx, u, Request{Operation: List})
	if err != nil {
		return nil, err
	}
	return a.Found, nil
}
