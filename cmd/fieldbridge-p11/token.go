package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"fieldbridge/northbound/awsiot/identity/token"
)

// p256 and p384 are CKA_EC_PARAMS: the names of the curves in DER.
var (
	p256 = []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	p384 = []byte{6, 5, 0x2b, 0x81, 4, 0, 0x22}
)

// fits reports whether the token of info is the one that u names.
func fits(u *token.URI, info *tokenInfo) bool {
	return info.Flags&ckfInitialized != 0 && (u.Token == "" || u.Token == text(info.Label[:])) &&
		(u.Manufacturer == "" || u.Manufacturer == text(info.Manufacturer[:])) &&
		(u.Model == "" || u.Model == text(info.Model[:])) && (u.Serial == "" || u.Serial == text(info.Serial[:]))
}

// text is what stands in a padded field.
func text(field []byte) string { return strings.TrimRight(string(field), " \x00") }

// open opens a session with the token that u names, and logs in where it asks for it.
func open(m *module, u *token.URI, write bool) (*session, error) {
	slots, err := m.slots()
	if err != nil {
		return nil, err
	}
	var fitting []uintptr
	var its *tokenInfo
	for _, slot := range slots {
		// A reader may be pulled out between the two calls.
		if info, err := m.tokenInfo(slot); err == nil && fits(u, info) {
			fitting, its = append(fitting, slot), info
		}
	}
	switch len(fitting) {
	case 0:
		return nil, fault(token.FaultAbsent, "no token is there that fits its name; the library finds %d", len(slots))
	case 1:
	default:
		return nil, fault(token.FaultAbsent, "%d tokens fit the name: add serial=", len(fitting))
	}
	s, err := m.openSession(fitting[0], write)
	if err != nil {
		return nil, err
	}
	return s, enter(s, u, its)
}

// enter logs in to a token that asks for it.
func enter(s *session, u *token.URI, info *tokenInfo) error {
	switch {
	case info.Flags&ckfLoginRequired == 0:
		return nil
	case info.Flags&ckfLocked != 0:
		return fault(token.FaultPIN, "the token has locked its PIN: its owner opens it again with the SO PIN")
	case info.Flags&ckfFinalTry != 0:
		return fault(token.FaultPIN, "the token takes one more PIN before it locks itself: correct the PIN, and log in once "+
			"by another program")
	case u.PIN == "":
		return fault(token.FaultPIN, "the token asks for a PIN: name its file in pin-source")
	}
	pin, err := os.ReadFile(u.PINFile())
	if err != nil {
		return fault(token.FaultPIN, "the PIN cannot be read: %v", err)
	}
	err = s.login(bytes.TrimRight(pin, "\r\n"))
	var code result
	if errors.As(err, &code) && code >= ckrPINIncorrect && code <= ckrPINLocked {
		return fault(token.FaultPIN, "the token refuses the PIN (code 0x%x)", uintptr(code))
	}
	return err
}

// objects returns the objects of a class that u names.
func (s *session) objects(u *token.URI, class uintptr) ([]uintptr, error) {
	t := new(template).number(ckaClass, class)
	if u.Object != "" {
		t.bytes(ckaLabel, []byte(u.Object))
	}
	if u.ID != "" {
		t.bytes(ckaID, []byte(u.ID))
	}
	return s.find(t)
}

// private returns the one private key that u names.
func (s *session) private(u *token.URI) (uintptr, error) {
	found, err := s.objects(u, ckoPrivate)
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fault(token.FaultLost, "the token has no private key of this name")
	case len(found) > 1:
		return 0, fault(token.FaultRequest, "%d keys of the token fit the name: add id= or object=", len(found))
	}
	kind, err := s.value(found[0], ckaKeyType)
	if err == nil && number(kind) != ckkEC {
		err = fault(token.FaultRequest, "the key is not one on P-256 or P-384, which alone are used")
	}
	return found[0], err
}

// number reads a CK_ULONG.
func number(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 1<<64 - 1
}

// public looks up what the world may know of a key.
func (s *session) public(u *token.URI) (*token.Answer, error) {
	private, err := s.private(u)
	if err != nil {
		return nil, err
	}
	holders := []uintptr{private} // some libraries have the point there, too
	its := token.URI{ID: u.ID, Object: u.Object}
	if id, err := s.value(private, ckaID); err == nil && len(id) > 0 {
		its = token.URI{ID: string(id)}
	}
	found, err := s.objects(&its, ckoPublic)
	if err != nil {
		return nil, err
	}
	holders = append(found, holders...)
	curve, err := s.any(ckaECParams, append(holders, private)...)
	if err != nil {
		return nil, err
	}
	point, err := s.any(ckaECPoint, holders...)
	if err != nil {
		return nil, err
	}
	key, err := publicKey(curve, point)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	return &token.Answer{Public: der, Weakness: s.weakness(private)}, err
}

// any returns an attribute of the first object that has it.
func (s *session) any(kind uintptr, objects ...uintptr) ([]byte, error) {
	for _, o := range objects {
		if b, err := s.value(o, kind); err != nil || len(b) > 0 {
			return b, err
		}
	}
	return nil, errors.New("the token does not tell the public half of the key: put the public key beside it, with its id")
}

// publicKey reads CKA_EC_PARAMS and CKA_EC_POINT: the point is an OCTET STRING, or,
// with some libraries, bare.
func publicKey(parameters, point []byte) (*ecdsa.PublicKey, error) {
	var curve elliptic.Curve
	switch {
	case bytes.Equal(parameters, p256):
		curve = elliptic.P256()
	case bytes.Equal(parameters, p384):
		curve = elliptic.P384()
	default:
		return nil, fault(token.FaultRequest, "the key is on a curve that AWS does not take")
	}
	// A bare point may look like an OCTET STRING, too: its length tells them apart.
	var inner []byte
	if len(point) != 1+curve.Params().BitSize/4 {
		if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
			point = inner
		}
	}
	return ecdsa.ParseUncompressedPublicKey(curve, point)
}

// weakness says what could be better about a key.
func (s *session) weakness(key uintptr) string {
	is := func(kind uintptr) (yes, told bool) {
		b, err := s.value(key, kind)
		return len(b) > 0 && b[0] != 0, err == nil && len(b) > 0
	}
	if yes, told := is(ckaExtractable); told && yes {
		return "the key may leave the token (CKA_EXTRACTABLE)"
	}
	if yes, told := is(ckaSensitive); told && !yes {
		return "the token tells the key to everybody with the PIN (not CKA_SENSITIVE)"
	}
	if yes, told := is(ckaLocal); told && !yes {
		return "the key was made outside of the token, where a copy of it may be"
	}
	return ""
}

func (s *session) sign(u *token.URI, digest []byte) (*token.Answer, error) {
	if len(digest) < 32 || len(digest) > 64 {
		return nil, fault(token.FaultRequest, "no digest has %d bytes", len(digest))
	}
	key, err := s.private(u)
	if err != nil {
		return nil, err
	}
	signature, err := s.signature(key, digest)
	return &token.Answer{Signature: signature}, err
}

// generate makes a key on P-256 with the id and the label of u.
func (s *session) generate(u *token.URI) error {
	if u.ID == "" || u.Object == "" {
		return fault(token.FaultRequest, "a new key has an id and a label")
	}
	public := new(template).number(ckaClass, ckoPublic).number(ckaKeyType, ckkEC).truth(ckaToken, true).
		truth(ckaVerify, true).bytes(ckaECParams, slices.Clone(p256)).bytes(ckaLabel, []byte(u.Object)).
		bytes(ckaID, []byte(u.ID))
	private := new(template).number(ckaClass, ckoPrivate).number(ckaKeyType, ckkEC).truth(ckaToken, true).
		truth(ckaPrivate, true).truth(ckaSensitive, true).truth(ckaExtractable, false).truth(ckaSign, true).
		bytes(ckaLabel, []byte(u.Object)).bytes(ckaID, []byte(u.ID))
	if err := s.makePair(public, private); err != nil {
		return fmt.Errorf("the token makes no key: %w", err)
	}
	return nil
}

// list names the private keys of all tokens that u fits, and tokens without any.
func list(m *module, u *token.URI) (names []string, err error) {
	slots, err := m.slots()
	if err != nil {
		return nil, err
	}
	for _, slot := range slots {
		info, err := m.tokenInfo(slot)
		if err != nil || !fits(u, info) {
			continue
		}
		name := token.URI{Token: text(info.Label[:]), Serial: text(info.Serial[:]), Module: u.Module, PIN: u.PIN}
		s, err := m.openSession(slot, false)
		if err != nil {
			return nil, err
		}
		// Without a PIN the token's name alone is told.
		if u.PIN != "" {
			if err := enter(s, u, info); err != nil {
				return nil, err
			}
		}
		keys, err := s.objects(&token.URI{}, ckoPrivate)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			names = append(names, name.String())
		}
		for _, k := range keys {
			label, err1 := s.value(k, ckaLabel)
			id, err2 := s.value(k, ckaID)
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			name.Object, name.ID = string(label), string(id)
			names = append(names, name.String())
		}
	}
	return names, nil
}
