package tpm

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"testing"
)

// sample is a reference to a key that no TPM has.
func sample() *reference {
	return &reference{parent: hierarchyOwner, public: []byte("public"), private: []byte("private")}
}

func TestFile(t *testing.T) {
	contents, err := sample().file()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := parse(append([]byte("-----BEGIN X-----\n-----END X-----\n"), contents...))
	if err != nil || ref.parent != hierarchyOwner || string(ref.public) != "public" || string(ref.private) != "private" {
		t.Errorf("%+v, %v", ref, err)
	}
}

// TestFileRefused refuses each kind of key file that we cannot use, and says why.
func TestFileRefused(t *testing.T) {
	good := keyFile{Type: loadable, EmptyAuth: yes, Parent: hierarchyOwner, Public: []byte{0, 1, 1}, Private: []byte{0, 0}}
	any := asn1.RawValue{FullBytes: []byte{0xa1, 2, 0x30, 0}}
	any3 := asn1.RawValue{FullBytes: []byte{0xa3, 2, 0x30, 0}}
	no := asn1.RawValue{FullBytes: []byte{0xa0, 3, 1, 1, 0}}
	for name, tt := range map[string]struct {
		change func(*keyFile)
		err    error // nil is any
	}{
		"importable":         {func(f *keyFile) { f.Type = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 4} }, errForeign},
		"sealed":             {func(f *keyFile) { f.Type = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 5} }, errForeign},
		"a password":         {func(f *keyFile) { f.EmptyAuth = no }, ErrPassword},
		"perhaps a password": {func(f *keyFile) { f.EmptyAuth = asn1.RawValue{} }, ErrPassword},
		"a policy":           {func(f *keyFile) { f.Policy = any }, errPolicy},
		"policies":           {func(f *keyFile) { f.AuthPolicy = any3 }, errPolicy},
		"another parent":     {func(f *keyFile) { f.Parent = hierarchyNull }, nil},
		"a huge parent":      {func(f *keyFile) { f.Parent |= 1 << 40 }, nil},
		"cut public part":    {func(f *keyFile) { f.Public = []byte{0, 2, 1} }, nil},
		"long private part":  {func(f *keyFile) { f.Private = []byte{0, 0, 1} }, nil},
	} {
		f := good
		tt.change(&f)
		der, err := asn1.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseFile(der); err == nil || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := parseFile(append(der, 0)); err == nil {
			t.Errorf("%s: something after it is taken", name)
		}
	}
	good.Parent = -0x7effffff // 0x81000001, as old programs wrote it
	der, err := asn1.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if ref, err := parseFile(der); err != nil || ref.parent != 0x81000001 {
		t.Errorf("negative parent: %+v, %v", ref, err)
	}
}

func TestParseHandle(t *testing.T) {
	for name, want := range map[string]uint32{
		"tpm:handle=0x81000002": 0x81000002, "tpm:handle=0x81ffffff": 0x81ffffff, "tpm:handle=2164260865": 0x81000001,
		"tpm:handle=0x80000000": 0, "tpm:handle=0x181000001": 0, "tpm:handle=": 0, "tpm:handle=x": 0, "handle=0x81000002": 0,
		"tpm:": 0, "": 0,
	} {
		if got, err := ParseHandle(name); got != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %#x, %v", name, got, err)
		}
	}
}

// FuzzParse reads any key file; what is read is written as it was.
func FuzzParse(f *testing.F) {
	contents, err := sample().file()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(contents)
	f.Add([]byte("tpm:handle=0x81000002\n"))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: Block, Bytes: []byte{0x30, 0}}))
	f.Fuzz(func(t *testing.T, contents []byte) {
		ref, err := parse(contents)
		if err != nil {
			return
		}
		if !Is(contents) {
			t.Error("it is none, and was read")
		}
		if ref.handle != 0 {
			return
		}
		again, err := ref.file()
		if err != nil {
			t.Fatal(err)
		}
		if other, err := parse(again); err != nil || other.parent != ref.parent || !bytes.Equal(other.public, ref.public) ||
			!bytes.Equal(other.private, ref.private) {
			t.Errorf("%+v became %+v, %v", ref, other, err)
		}
	})
}

// FuzzPublic reads any public part: a TPM's, or one that somebody wrote into a file.
func FuzzPublic(f *testing.F) {
	f.Add(signingTemplate())
	f.Add(endorsementTemplate())
	f.Add([]byte{0, 1, 0, 0xb, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePublic(b); err == nil && (p.key == nil || p.key.Curve == nil) {
			t.Error("a key without a curve")
		}
	})
}
