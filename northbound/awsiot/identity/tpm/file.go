package tpm

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Block is the type of the PEM block of a key file.
const Block = "TSS2 PRIVATE KEY"

// handlePrefix begins the name of a key that lies in the TPM: tpm:handle=0x81000002.
const handlePrefix = "tpm:handle="

// loadable is the kind of key that only its TPM can load.
var loadable = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}

// keyFile is TPMKey of the "ASN.1 Specification for TPM 2.0 Key Files".
type keyFile struct {
	Type        asn1.ObjectIdentifier
	EmptyAuth   asn1.RawValue `asn1:"optional,explicit,tag:0"` // BOOLEAN; OpenSSL's is not DER
	Policy      asn1.RawValue `asn1:"optional,explicit,tag:1"`
	Secret      asn1.RawValue `asn1:"optional,explicit,tag:2"`
	AuthPolicy  asn1.RawValue `asn1:"optional,explicit,tag:3"`
	Description string        `asn1:"optional,explicit,tag:4,utf8"`
	RSAParent   bool          `asn1:"optional,explicit,tag:5"`
	Parent      int64         // a handle
	Public      []byte        // after its size
	Private     []byte        // after its size
}

// Errors of key files.
var (
	ErrPassword = errors.New("the key has a password, and nobody is there to type it")
	errPolicy   = errors.New("the key has a policy, and only keys without one are used")
	errForeign  = errors.New("only the TPM's own keys are used, not those to be imported or sealed")
	errHandle   = errors.New("is no handle of a key in the TPM: these are 0x81000000 to 0x81ffffff")
)

// parseFile reads the contents of a PEM block.
func parseFile(der []byte) (*reference, error) {
	var f keyFile
	rest, err := asn1.Unmarshal(der, &f)
	switch {
	case err != nil || len(rest) > 0:
		return nil, errors.New("the key file cannot be read")
	case !f.Type.Equal(loadable):
		return nil, errForeign
	case len(f.Policy.FullBytes) > 0 || len(f.AuthPolicy.FullBytes) > 0:
		return nil, errPolicy
	case !isTrue(f.EmptyAuth):
		return nil, ErrPassword
	}
	ref := &reference{parent: uint32(f.Parent)}
	for from, to := range map[*[]byte]*[]byte{&f.Public: &ref.public, &f.Private: &ref.private} {
		r := &reader{rest: *from}
		if *to = r.sized(); r.err != nil || len(r.rest) > 0 {
			return nil, errors.New("the key file cannot be read")
		}
	}
	// Old programs wrote handles as negative numbers.
	if ref.parent != hierarchyOwner && ref.parent>>24 != 0x81 || f.Parent>>32 != 0 && f.Parent>>32 != -1 {
		return nil, fmt.Errorf("the key's parent 0x%x is neither the owner's nor a persistent one", ref.parent)
	}
	return ref, nil
}

// yes is true as the field emptyAuth.
var yes = asn1.RawValue{FullBytes: []byte{0xa0, 3, 1, 1, 0xff}}

// isTrue takes any value but 0 for true (BER).
func isTrue(v asn1.RawValue) bool {
	b := v.FullBytes
	return len(b) == 5 && [4]byte(b[:4]) == [4]byte(yes.FullBytes) && b[4] != 0
}

// file returns the key file of a key.
func (ref *reference) file() ([]byte, error) {
	der, err := asn1.Marshal(keyFile{Type: loadable, EmptyAuth: yes, Parent: int64(ref.parent),
		Public: new(command).sized(ref.public).b, Private: new(command).sized(ref.private).b})
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: Block, Bytes: der}), nil
}

// reference is what leads to a key: its parent and what the parent decrypts, or a
// handle.
type reference struct {
	parent          uint32
	public, private []byte
	handle          uint32 // 0 if it is a file's
}

// Is reports whether a key file is one of a TPM.
func Is(contents []byte) bool {
	return block(contents) != nil || bytes.HasPrefix(bytes.TrimSpace(contents), []byte(handlePrefix))
}

func block(contents []byte) *pem.Block {
	for {
		b, rest := pem.Decode(contents)
		if b == nil || b.Type == Block {
			return b
		}
		contents = rest
	}
}

func parse(contents []byte) (*reference, error) {
	if b := block(contents); b != nil {
		return parseFile(b.Bytes)
	}
	handle, err := ParseHandle(string(bytes.TrimSpace(contents)))
	return &reference{handle: handle}, err
}

// ParseHandle reads the name of a key that lies in the TPM: tpm:handle=0x81000002.
func ParseHandle(name string) (uint32, error) {
	text, ok := strings.CutPrefix(name, handlePrefix)
	handle, err := strconv.ParseUint(text, 0, 32)
	if !ok || err != nil || handle>>24 != 0x81 {
		return 0, fmt.Errorf("%q %w", text, errHandle)
	}
	return uint32(handle), nil
}
