package tpm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"math/big"
)

// Attributes of a key (TPM Library, Part 2, §8.3).
const (
	fixedTPM            = 1 << 1
	fixedParent         = 1 << 4
	sensitiveDataOrigin = 1 << 5
	userWithAuth        = 1 << 6
	adminWithPolicy     = 1 << 7
	noDA                = 1 << 10
	restricted          = 1 << 16
	decrypts            = 1 << 17
	signs               = 1 << 18
)

// endorsementPolicy is the policy of every endorsement key ("TCG EK Credential
// Profile", §B.3.4).
var endorsementPolicy = []byte{
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
	0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
}

// storageTemplate is of the parent: the storage key on P-256 that everybody makes, so
// that files of other programs have the same one ("TCG TPM v2.0 Provisioning
// Guidance", §7.5.1, with an empty point).
func storageTemplate() []byte {
	return template(fixedTPM|fixedParent|sensitiveDataOrigin|userWithAuth|noDA|restricted|decrypts, nil, true, 0)
}

// signingTemplate is of our keys: they sign and do nothing else. With noDA another
// program's wrong passwords do not lock them: they have none that could be guessed.
func signingTemplate() []byte {
	return template(fixedTPM|fixedParent|sensitiveDataOrigin|userWithAuth|noDA|signs, nil, false, 0)
}

// endorsementTemplate is template L-2 of the EK Credential Profile.
func endorsementTemplate() []byte {
	return template(fixedTPM|fixedParent|sensitiveDataOrigin|adminWithPolicy|restricted|decrypts, endorsementPolicy, true,
		32)
}

// template returns the public part of a key on P-256 that is to be made; a parent has
// a cipher for what lies below it. coordinate is the size of those of the empty point.
func template(attributes uint32, policy []byte, parent bool, coordinate int) []byte {
	c := new(command).u16(algECC).u16(algSHA256).u32(attributes).sized(policy)
	if parent {
		c.u16(algAES).u16(128).u16(algCFB)
	} else {
		c.u16(algNull)
	}
	point := make([]byte, coordinate)
	return c.u16(algNull).u16(curveP256).u16(algNull).sized(point).sized(point).b
}

// public is what the world may know of a key.
type public struct {
	key        *ecdsa.PublicKey
	attributes uint32
}

// Errors of keys that we do not use.
var (
	errRSA   = errors.New("it is an RSA key: many TPMs sign with those as TLS 1.3 forbids; make one on P-256")
	errCurve = errors.New("it is on a curve that AWS does not take: make one on P-256")
	errUse   = errors.New("the key is not one that signs what it is given")
)

// parsePublic reads the public part of a key on P-256 or P-384.
func parsePublic(b []byte) (*public, error) {
	r := &reader{rest: b}
	kind := r.u16()
	r.u16() // algorithm of its name
	p := &public{attributes: r.u32()}
	r.sized() // policy
	if r.err == nil && kind == algRSA {
		return nil, errRSA
	}
	if symmetric := r.u16(); symmetric != algNull {
		r.u32() // bits, mode
	}
	scheme := r.u16()
	if scheme != algNull {
		r.u16() // hash
	}
	curve := r.u16()
	if r.u16() != algNull {
		r.u16() // hash of the key derivation
	}
	x, y := r.sized(), r.sized()
	switch {
	case r.err != nil || len(r.rest) > 0 || kind != algECC:
		return nil, errGarbled
	case scheme != algNull && scheme != algECDSA:
		return nil, errUse
	}
	c := curveOf(curve)
	if c == nil {
		return nil, errCurve
	}
	size := (c.Params().BitSize + 7) / 8
	point := make([]byte, 1+2*size)
	if len(x) > size || len(y) > size {
		return nil, errGarbled
	}
	point[0] = 4
	new(big.Int).SetBytes(x).FillBytes(point[1 : 1+size])
	new(big.Int).SetBytes(y).FillBytes(point[1+size:])
	var err error
	p.key, err = ecdsa.ParseUncompressedPublicKey(c, point)
	return p, err
}

func curveOf(id uint16) elliptic.Curve {
	switch id {
	case curveP256:
		return elliptic.P256()
	case curveP384:
		return elliptic.P384()
	}
	return nil
}
