package tpm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Key signs with a key of a TPM.
type Key struct {
	chip *Chip
	ref  *reference
	public
}

// Open opens the key that a key file leads to, and makes sure that the TPM has it; if
// it never will, the error is [ErrLost].
func (c *Chip) Open(ctx context.Context, contents []byte) (*Key, error) {
	ref, err := parse(contents)
	if err != nil {
		return nil, err
	}
	k := &Key{chip: c, ref: ref}
	err = c.use(ctx, func(conn *conn) error {
		return ref.loaded(conn, func(handle uint32) error {
			b, err := conn.readPublic(handle)
			if err != nil {
				return err
			}
			p, err := parsePublic(b)
			if err == nil {
				k.public = *p
			}
			return err
		})
	})
	switch {
	case err != nil:
		return nil, lost(err)
	case k.attributes&signs == 0 || k.attributes&restricted != 0:
		return nil, errUse
	}
	return k, nil
}

// Create makes a key on P-256 and returns its key file.
func (c *Chip) Create(ctx context.Context) (contents []byte, err error) {
	ref := &reference{parent: hierarchyOwner}
	err = c.use(ctx, func(conn *conn) error {
		return underParent(conn, ref.parent, func(parent uint32) error {
			ref.public, ref.private, err = conn.create(parent, signingTemplate())
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return ref.file()
}

// underParent has do work with a loaded parent.
func underParent(conn *conn, parent uint32, do func(handle uint32) error) error {
	if parent != hierarchyOwner {
		return do(parent)
	}
	handle, _, err := conn.primary(parent, storageTemplate())
	if err != nil {
		return err
	}
	defer conn.flush(handle)
	return do(handle)
}

// loaded has do work with the loaded key.
func (ref *reference) loaded(conn *conn, do func(handle uint32) error) error {
	if ref.handle != 0 {
		return do(ref.handle)
	}
	return underParent(conn, ref.parent, func(parent uint32) error {
		handle, err := conn.load(parent, ref.public, ref.private)
		if err != nil {
			return err
		}
		defer conn.flush(handle)
		return do(handle)
	})
}

// Public implements [crypto.Signer].
func (k *Key) Public() crypto.PublicKey { return k.key }

// Sign implements [crypto.Signer]. It opens the TPM for each signature. The TPM has
// its own source of random numbers.
func (k *Key) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	part, hash, err := k.fitting(digest)
	if err != nil {
		return nil, err
	}
	var signature []byte
	err = k.chip.use(context.Background(), func(conn *conn) error {
		return k.ref.loaded(conn, func(handle uint32) error {
			r, s, err := conn.sign(handle, part, hash)
			if err != nil {
				return err
			}
			signature, err = asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
			if err == nil && !ecdsa.VerifyASN1(k.key, digest, signature) {
				return errWrong
			}
			return err
		})
	})
	if err != nil {
		return nil, lost(err)
	}
	return signature, nil
}

// fitting returns the part of a digest that ECDSA signs, and a hash of that size. TPMs
// know SHA-256, and not all of them more; of a longer digest ECDSA signs no more than
// the curve has bits (FIPS 186-5, §6.4.1).
func (k *Key) fitting(digest []byte) (part []byte, hash uint16, err error) {
	size := k.key.Curve.Params().BitSize / 8
	switch {
	case len(digest) >= 48 && size >= 48:
		return digest[:48], algSHA384, nil
	case len(digest) == 32 || len(digest) > 32 && size == 32:
		return digest[:32], algSHA256, nil
	}
	return nil, 0, fmt.Errorf("the TPM signs no digest of %d bytes", len(digest))
}

// errWrong says that the signature is not one of the key: another one lies at the
// handle, or a bit was lost on the way.
var errWrong = errors.New("the TPM's signature is wrong")

// Weakness says what could be better about the key, for people; "" if nothing.
func (k *Key) Weakness() string {
	switch {
	case k.attributes&(fixedTPM|fixedParent) != fixedTPM|fixedParent:
		return "the key was made so that it can leave the TPM"
	case k.attributes&sensitiveDataOrigin == 0:
		return "the key was made outside of the TPM, where a copy of it may be"
	case k.attributes&noDA == 0:
		return "other programs' wrong passwords can lock the key for hours (it was made without noDA)"
	}
	return ""
}

// Endorsement returns the SHA-256 of the TPM's endorsement key on P-256, in hex: what
// tells one TPM from all others. It is made of the key in DER as X.509 has it, as
// tpm2_createek -G ecc and openssl pkey -pubin -outform der give it.
func (c *Chip) Endorsement(ctx context.Context) (string, error) {
	var sum [sha256.Size]byte
	err := c.use(ctx, func(conn *conn) error {
		handle, b, err := conn.primary(hierarchyEndorsement, endorsementTemplate())
		if err != nil {
			return err
		}
		defer conn.flush(handle)
		p, err := parsePublic(b)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKIXPublicKey(p.key)
		sum = sha256.Sum256(der)
		return err
	})
	return hex.EncodeToString(sum[:]), err
}
