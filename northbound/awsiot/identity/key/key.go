// Package key makes and opens the private key of an identity, wherever it lives.
//
// A key is known by the contents of its key file: the key itself in PEM, or what
// leads to a key that never leaves its chip. What it is shows in the contents
// alone, so that a file can be moved, and one that a person puts there is taken.
// Whoever has a [Key] can sign with it and ask where it lives, and no more.
package key

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"

	"fieldbridge/northbound/awsiot/identity/token"
)

// Key is a private key that signs.
type Key struct {
	crypto.Signer
	Where    string // it lives, for people: "in a file", "in the TPM"
	Copyable bool   // whoever reads the key file has the key
	Weakness string // what could be better about a key in hardware, for people; "" if nothing
}

// Place is where keys are made, as northbound.awsiot.identity.key says it: "file",
// "tpm", "tpm:handle=0x81000002" for a key that another program made there, or the name
// of a token, "pkcs11:...", as RFC 7512 writes it, of a key in it if it has an id.
// The zero value is "file".
type Place string

// The places that need no name of their own.
const (
	File Place = "file" // the key lies in its key file
	TPM  Place = "tpm"  // the key file is encrypted by the TPM that made the key
)

// way is one kind of keys.
type way struct {
	place func(Place) bool           // its keys are made there
	is    func(contents []byte) bool // the key file is one of it
	open  func(ctx context.Context, contents []byte) (*Key, error)
	make  func(ctx context.Context, place Place) (contents []byte, err error)
}

// ways are all kinds; the first that knows a key file opens it.
var ways = []way{tpmWay, p11Way, fileWay}

// What [Open] and [Place.Create] may return, besides errors of the kind's own.
var (
	ErrNoKey     = errors.New("there is no private key in it")
	ErrEncrypted = errors.New("the key is encrypted, and nobody is there to type a passphrase")
	ErrPlace     = errors.New("is no place for keys")
	// ErrLost says that the key is gone for good, and will not come back by waiting.
	ErrLost = errors.New("the key is lost")
	// ErrAway says that the chip with the key cannot be used now: that passes, or a
	// person does something.
	ErrAway = errors.New("the key cannot be used now")
)

// Open opens the key of a key file with these contents. The key of a chip may be
// away later, so that a signature fails; it is asked for each one.
func Open(ctx context.Context, contents []byte) (*Key, error) {
	for _, w := range ways {
		if w.is(contents) {
			return w.open(ctx, contents)
		}
	}
	return nil, ErrNoKey
}

// InChip reports whether a key file leads to a key that is not in it.
func InChip(contents []byte) bool { return tpmWay.is(contents) || p11Way.is(contents) }

// Create makes an ECDSA key on P-256, the one kind that AWS and every place take,
// and returns the contents of its key file.
func (p Place) Create(ctx context.Context) ([]byte, error) {
	w, err := p.way()
	if err != nil {
		return nil, err
	}
	return w.make(ctx, p)
}

// Validate returns why there can be no keys at p.
func (p Place) Validate() error {
	_, err := p.way()
	return err
}

func (p Place) way() (*way, error) {
	if p == "" {
		p = File
	}
	for i := range ways {
		if ways[i].place(p) {
			return &ways[i], nil
		}
	}
	if _, err := token.Parse(string(p)); strings.HasPrefix(string(p), token.Scheme) {
		return nil, fmt.Errorf("%q %w: %w", string(p), ErrPlace, err)
	}
	return nil, fmt.Errorf("%q %w", string(p), ErrPlace)
}

// Places are what a [Place] may be, for people.
var Places = []string{"file", "tpm", "tpm:handle=0x81...", "pkcs11:..."}
