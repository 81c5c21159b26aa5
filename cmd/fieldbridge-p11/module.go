package main

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Numbers of PKCS #11 ("PKCS #11 Cryptographic Token Interface Base Specification",
// version 2.40; pkcs11t.h). A CK_ULONG is as long as a pointer on Linux: 4 bytes on
// 32-bit machines, 8 on 64-bit ones.
const (
	ckrOK                 = 0
	ckrPINIncorrect       = 0xa0
	ckrPINInvalid         = 0xa1
	ckrPINLenRange        = 0xa2
	ckrPINExpired         = 0xa3
	ckrPINLocked          = 0xa4
	ckrAlreadyLoggedIn    = 0x100
	ckrAttributeSensitive = 0x11
	ckrAttributeInvalid   = 0x12

	ckfLoginRequired = 1 << 2
	ckfInitialized   = 1 << 10
	ckfFinalTry      = 1 << 17
	ckfLocked        = 1 << 18
	ckfRW            = 1 << 1
	ckfSerial        = 1 << 2

	ckoPublic  = 2
	ckoPrivate = 3
	ckkEC      = 3

	ckaClass       = 0x0
	ckaToken       = 0x1
	ckaPrivate     = 0x2
	ckaLabel       = 0x3
	ckaKeyType     = 0x100
	ckaID          = 0x102
	ckaSensitive   = 0x103
	ckaSign        = 0x108
	ckaVerify      = 0x10a
	ckaExtractable = 0x162
	ckaLocal       = 0x163
	ckaECParams    = 0x180
	ckaECPoint     = 0x181

	ckmECKeyPairGen = 0x1040
	ckmECDSA        = 0x1041
)

// Places of the functions that are used in CK_FUNCTION_LIST, which begins with a
// version of two bytes, padded to a pointer.
const (
	fInitialize        = 1 + 0
	fFinalize          = 1 + 1
	fGetSlotList       = 1 + 4
	fGetTokenInfo      = 1 + 6
	fOpenSession       = 1 + 12
	fLogin             = 1 + 18
	fGetAttributeValue = 1 + 24
	fFindObjectsInit   = 1 + 26
	fFindObjects       = 1 + 27
	fFindObjectsFinal  = 1 + 28
	fSignInit          = 1 + 42
	fSign              = 1 + 43
	fGenerateKeyPair   = 1 + 59
	functions          = 1 + 60
)

// result is a CK_RV that is not CKR_OK.
type result uintptr

func (r result) Error() string { return fmt.Sprintf("the token answers with code 0x%x", uintptr(r)) }

// module is a vendor's library.
type module struct{ functions *[functions]uintptr }

func load(path string) (*module, error) {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("the PKCS #11 library cannot be loaded: %w", err)
	}
	list, err := purego.Dlsym(lib, "C_GetFunctionList")
	if err != nil {
		return nil, fmt.Errorf("%s is no PKCS #11 library: %w", path, err)
	}
	m := &module{}
	r, _, _ := purego.SyscallN(list, uintptr(unsafe.Pointer(&m.functions)))
	if r != ckrOK || m.functions == nil {
		return nil, fmt.Errorf("%s has no list of functions: code 0x%x", path, r)
	}
	if err := m.call(fInitialize, 0); err != nil {
		return nil, fmt.Errorf("the PKCS #11 library cannot be initialised: %w", err)
	}
	return m, nil
}

func (m *module) finalize() { _ = m.call(fFinalize, 0) }

// call calls a function of the library. What the arguments point to must be pinned.
func (m *module) call(f int, args ...uintptr) error {
	if r, _, _ := purego.SyscallN(m.functions[f], args...); r != ckrOK {
		return result(r)
	}
	return nil
}

// memory is what a call of the library may look at: it stays where it is.
type memory struct{ runtime.Pinner }

func at[T any](m *memory, v *T) uintptr {
	m.Pin(v)
	return uintptr(unsafe.Pointer(v))
}

func (m *memory) bytes(b []byte) uintptr {
	if len(b) == 0 {
		return 0
	}
	return at(m, &b[0])
}

// attribute is a CK_ATTRIBUTE.
type attribute struct {
	kind, value, length uintptr
}

// template is a list of attributes, and what they point to.
type template struct {
	memory
	list []attribute
}

func (t *template) bytes(kind uintptr, b []byte) *template {
	t.list = append(t.list, attribute{kind, t.memory.bytes(b), uintptr(len(b))})
	return t
}

func (t *template) number(kind, v uintptr) *template {
	t.list = append(t.list, attribute{kind, at(&t.memory, &v), unsafe.Sizeof(v)})
	return t
}

func (t *template) truth(kind uintptr, v bool) *template {
	b := []byte{0}
	if v {
		b[0] = 1
	}
	return t.bytes(kind, b)
}

// arguments are where the list is, and how long.
func (t *template) arguments() (place, count uintptr) {
	return at(&t.memory, &t.list[0]), uintptr(len(t.list))
}

// tokenInfo is CK_TOKEN_INFO.
type tokenInfo struct {
	Label, Manufacturer [32]byte
	Model, Serial       [16]byte
	Flags               uintptr
	_                   [10]uintptr
	_                   [4]byte
	_                   [16]byte
}

// slots returns the slots with a token in them.
func (m *module) slots() ([]uintptr, error) {
	var mem memory
	defer mem.Unpin()
	count := new(uintptr)
	if err := m.call(fGetSlotList, 1, 0, at(&mem, count)); err != nil || *count == 0 {
		return nil, err
	}
	slots := make([]uintptr, *count)
	err := m.call(fGetSlotList, 1, at(&mem, &slots[0]), at(&mem, count))
	return slots[:min(int(*count), len(slots))], err
}

func (m *module) tokenInfo(slot uintptr) (*tokenInfo, error) {
	var mem memory
	defer mem.Unpin()
	info := new(tokenInfo)
	return info, m.call(fGetTokenInfo, slot, at(&mem, info))
}

// session is an open session with a token.
type session struct {
	*module
	handle uintptr
}

func (m *module) openSession(slot uintptr, write bool) (*session, error) {
	var mem memory
	defer mem.Unpin()
	flags := uintptr(ckfSerial)
	if write {
		flags |= ckfRW
	}
	handle := new(uintptr)
	err := m.call(fOpenSession, slot, flags, 0, 0, at(&mem, handle))
	return &session{m, *handle}, err
}

func (s *session) login(pin []byte) error {
	var mem memory
	defer mem.Unpin()
	const user = 1
	err := s.call(fLogin, s.handle, user, mem.bytes(pin), uintptr(len(pin)))
	if errors.Is(err, result(ckrAlreadyLoggedIn)) {
		return nil
	}
	return err
}

// mostFound is how many objects are looked at.
const mostFound = 64

func (s *session) find(t *template) ([]uintptr, error) {
	defer t.Unpin()
	list, n := t.arguments()
	if err := s.call(fFindObjectsInit, s.handle, list, n); err != nil {
		return nil, err
	}
	found, count := make([]uintptr, mostFound), new(uintptr)
	err := s.call(fFindObjects, s.handle, at(&t.memory, &found[0]), mostFound, at(&t.memory, count))
	return found[:min(*count, mostFound)], errors.Join(err, s.call(fFindObjectsFinal, s.handle))
}

// value returns an attribute of an object, nil if the object has none of the kind.
func (s *session) value(object, kind uintptr) ([]byte, error) {
	var mem memory
	defer mem.Unpin()
	a := &attribute{kind: kind}
	err := s.call(fGetAttributeValue, s.handle, object, at(&mem, a), 1)
	// The library says by a length of -1 that there is none.
	if errors.Is(err, result(ckrAttributeInvalid)) || errors.Is(err, result(ckrAttributeSensitive)) ||
		err == nil && int(a.length) <= 0 {
		return nil, nil
	}
	if err != nil || a.length > 1<<16 {
		return nil, errors.Join(err, fmt.Errorf("attribute 0x%x is %d bytes long", kind, a.length))
	}
	b := make([]byte, a.length)
	a.value = mem.bytes(b)
	err = s.call(fGetAttributeValue, s.handle, object, at(&mem, a), 1)
	return b[:min(int(a.length), len(b))], err
}

// mechanism is a CK_MECHANISM without parameters.
type mechanism struct{ kind, parameter, length uintptr }

func (s *session) signature(key uintptr, digest []byte) ([]byte, error) {
	var mem memory
	defer mem.Unpin()
	if err := s.call(fSignInit, s.handle, at(&mem, &mechanism{kind: ckmECDSA}), key); err != nil {
		return nil, err
	}
	b, n := make([]byte, 256), new(uintptr)
	*n = uintptr(len(b))
	err := s.call(fSign, s.handle, mem.bytes(digest), uintptr(len(digest)), mem.bytes(b), at(&mem, n))
	return b[:min(int(*n), len(b))], err
}

func (s *session) makePair(public, private *template) error {
	var mem memory
	defer mem.Unpin()
	defer public.Unpin()
	defer private.Unpin()
	list1, n1 := public.arguments()
	list2, n2 := private.arguments()
	return s.call(fGenerateKeyPair, s.handle, at(&mem, &mechanism{kind: ckmECKeyPairGen}), list1, n1, list2, n2,
		at(&mem, new(uintptr)), at(&mem, new(uintptr)))
}
