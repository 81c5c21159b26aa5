package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
)

func someKey(t *testing.T) *ecdsa.PublicKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &k.PublicKey
}

func TestParse(t *testing.T) {
	for text, want := range map[string]URI{
		"pkcs11:?module-path=/l.so": {Module: "/l.so"},
		"pkcs11:token=plant%201;object=gate%3bway;id=%00%ff;type=private?pin-source=file:/etc/pin&module-path=/l.so": {
			Token: "plant 1", Object: "gate;way", ID: "\x00\xff", PIN: "file:/etc/pin", Module: "/l.so"},
		"pkcs11:manufacturer=M;model=O;serial=1;x-vendor=5?module-path=/l.so&pin-source=credential:pin&x-y=1": {
			Manufacturer: "M", Model: "O", Serial: "1", PIN: "credential:pin", Module: "/l.so"},
		"pkcs11:object=a+b?module-path=/l.so&pin-source=/pin": {Object: "a+b", Module: "/l.so", PIN: "/pin"},
	} {
		u, err := Parse(text)
		if err != nil || *u != want {
			t.Errorf("%s: %+v, %v", text, u, err)
		}
	}
	for text, want := range map[string]error{
		"pkcs11:?module-path=/l.so&pin-value=1": errPINInside, "pkcs11:pin-value=1": errPINInside,
		"pkcs11:token=a": errModule, "pkcs11:?module-path=l.so": errModule, "": nil, "token=a": nil,
		"pkcs11:token=a;token=b?module-path=/l.so": nil, "pkcs11:tokn=a?module-path=/l.so": nil,
		"pkcs11:type=public?module-path=/l.so": nil, "pkcs11:token=%zz?module-path=/l.so": nil,
		"pkcs11:token=%00?module-path=/l.so":                      nil,
		"pkcs11:?module-path=/l.so&pin-source=pin":                errPINSource,
		"pkcs11:?module-path=/l.so&pin-source=|prog":              errPINSource,
		"pkcs11:?module-path=/l.so&pin-source=credential:":        errPINSource,
		"pkcs11:?module-path=/l.so&pin-source=credential:../pin":  errPINSource,
		"pkcs11:?module-path=/l.so&pin-source=credential:%2e%2e":  errPINSource,
		"pkcs11:?module-path=/l.so&pin-source=file:pin":           errPINSource,
		"pkcs11:module-path=/l.so":                                nil,
		"pkcs11:?module-path=/l.so&module-path=/m.so":             nil,
		"pkcs11:?module-path=/l.so&pin-source=https://host/a/pin": errPINSource,
	} {
		if u, err := Parse(text); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", text, u, err)
		}
	}
}

// FuzzParse writes each name that is read as one that reads the same.
func FuzzParse(f *testing.F) {
	f.Add("pkcs11:token=plant%201;object=a;id=%00?module-path=/l.so&pin-source=file:/etc/pin")
	f.Add("pkcs11:;;x-a;type=private?&module-path=/%20")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(u.String())
		if err != nil || *again != *u {
			t.Errorf("%q became %s: %+v, %v", text, u, again, err)
		}
	})
}
