package tpm

import (
	"errors"
	"fmt"
	"io/fs"
)

// Code is what a TPM answers instead of doing what it is asked (TPM Library, Part 2,
// §6.6).
type Code uint32

// Codes that mean something to us; of those with a parameter or a handle in them, what
// is the same for all of these.
const (
	codeYielded    Code = 0x908
	codeTesting    Code = 0x90a
	codeNoHandle   Code = 0x910 // to 0x916
	codeNVRate     Code = 0x920
	codeLockout    Code = 0x921
	codeRetry      Code = 0x922
	codeNVAway     Code = 0x923
	codeNoMemory   Code = 0x902
	codeBadHandle  Code = 0x08b
	codeIntegrity  Code = 0x09f
	codeHierarchy  Code = 0x085
	codeAuthFail   Code = 0x08e
	codeBadAuth    Code = 0x0a2
	codeNoCurve    Code = 0x0a6
	codeNotStarted Code = 0x100
)

// kind is c without the number of the parameter or handle that it is about.
func (c Code) kind() Code {
	if c&0x80 != 0 {
		return c & 0xbf
	}
	return c
}

// Error says what is wrong, and for what a person can change, how.
func (c Code) Error() string {
	text := ""
	switch k := c.kind(); {
	case k == codeLockout:
		text = "the TPM is locked: somebody gave it too many wrong passwords; it opens again after a time, or by " +
			"tpm2_dictionarylockout"
	case isBusyCode(c):
		text = "the TPM is busy"
	case k == codeNoMemory:
		text = "the TPM is full of what other programs left in it: is its device one with a resource manager?"
	case k == codeIntegrity:
		text = "the TPM does not know the key"
	case k == codeBadHandle || c&^0x7 == codeNoHandle:
		text = "the TPM has no key at this handle"
	case k == codeHierarchy:
		text = "the TPM's owner hierarchy is switched off: look at the settings of the BIOS"
	case k == codeAuthFail || k == codeBadAuth:
		text = "the TPM asks for a password: keys and owner must have none"
	case k == codeNoCurve:
		text = "the TPM does not know this curve"
	case k == codeNotStarted:
		text = "nobody has started the TPM: the kernel or the BIOS does so"
	default:
		return fmt.Sprintf("the TPM answers with code 0x%x", uint32(c))
	}
	return fmt.Sprintf("%s (code 0x%x)", text, uint32(c))
}

func isBusyCode(c Code) bool {
	switch c {
	case codeYielded, codeTesting, codeNVRate, codeRetry, codeNVAway:
		return true
	}
	return false
}

// isBusy reports whether the TPM will do the same a little later.
func isBusy(err error) bool {
	var c Code
	return errors.As(err, &c) && isBusyCode(c)
}

// isFinal reports whether it is of no use to try again.
func isFinal(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// ErrLost says that this TPM will never sign with the key: it is another one, or its
// keys were cleared.
var ErrLost = errors.New("another TPM made the key, or this TPM was cleared since")

// lost turns the answer of a TPM to a key that it does not know into [ErrLost].
func lost(err error) error {
	var c Code
	if errors.As(err, &c) && (c.kind() == codeIntegrity || c.kind() == codeBadHandle || c&^0x7 == codeNoHandle) {
		return fmt.Errorf("%w (code 0x%x)", ErrLost, uint32(c))
	}
	return err
}
