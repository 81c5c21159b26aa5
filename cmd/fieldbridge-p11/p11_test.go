package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/identity/token"
)

// isHelper in the environment makes this program the helper.
const isHelper = "FIELDBRIDGE_P11_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(isHelper) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// helper returns the caller of this program.
func helper(t *testing.T) *token.Caller {
	t.Helper()
	t.Setenv(isHelper, "yes")
	c := token.At(os.Args[0])
	c.Patience = time.Minute // it is slow on a machine with much to do
	return c
}

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// newToken makes a token in software, and returns its name.
func newToken(t *testing.T) *token.URI {
	t.Helper()
	util := needtest.Program(t, "softhsm2-util")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "conf"), "directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	t.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "conf"))
	run(t, util, "--init-token", "--free", "--label", "plant 1", "--pin", "2468", "--so-pin", "13579")
	write(t, filepath.Join(dir, "pin"), "2468\n")
	return &token.URI{Token: "plant 1", Module: softHSM, PIN: "file:" + filepath.Join(dir, "pin")}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func create(t *testing.T, c *token.Caller, u *token.URI) (*token.URI, *token.Key) {
	t.Helper()
	named, err := c.Create(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.Open(t.Context(), named)
	if err != nil {
		t.Fatal(err)
	}
	return named, k
}

func signs(t *testing.T, k *token.Key) {
	t.Helper()
	d256, d512 := sha256.Sum256([]byte("a")), sha512.Sum512([]byte("b"))
	for _, digest := range [][]byte{d256[:], d512[:]} {
		signature, err := k.Sign(rand.Reader, digest, nil)
		if err != nil || !ecdsa.VerifyASN1(k.Public().(*ecdsa.PublicKey), digest, signature) {
			t.Fatalf("%d bytes: %x, %v", len(digest), signature, err)
		}
	}
}

func TestToken(t *testing.T) {
	c, u := helper(t), newToken(t)
	if names, err := c.Names(t.Context(), &token.URI{Module: softHSM}); err != nil || len(names) != 1 ||
		!strings.Contains(names[0], "token=plant%201") {
		t.Errorf("an empty token is named %q, %v", names, err)
	}
	named, k := create(t, c, u)
	signs(t, k)
	if k.Weakness() != "" {
		t.Error(k.Weakness())
	}
	_, other := create(t, c, u)
	if other.Public().(*ecdsa.PublicKey).Equal(k.Public()) {
		t.Error("two keys are one")
	}
	again, _ := create(t, c, named) // has an id: is taken, not made
	if *again != *named {
		t.Errorf("%s became %s", named, again)
	}
	names, err := c.Names(t.Context(), u)
	if err != nil || len(names) != 2 {
		t.Fatalf("%q, %v", names, err)
	}
	// What is listed leads to the key.
	id := strings.TrimPrefix((&token.URI{ID: named.ID}).String(), token.Scheme)
	i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, id) })
	listed, err := token.Parse(names[max(i, 0)])
	if err != nil {
		t.Fatal(err)
	}
	if found, err := c.Open(t.Context(), listed); err != nil || !found.Public().(*ecdsa.PublicKey).Equal(k.Public()) {
		t.Errorf("%s: %v", listed, err)
	}
	// The key does not leave the token: OpenSC says so, too.
	out := run(t, needtest.Program(t, "pkcs11-tool"), "--module", softHSM, "--login", "--pin", "2468", "--list-objects",
		"--type", "privkey")
	if !strings.Contains(out, "never extractable") || !strings.Contains(out, "sensitive") {
		t.Errorf("pkcs11-tool: %s", out)
	}
	if sets, err := c.Open(t.Context(), u); sets != nil || faultOf(err) != token.FaultRequest {
		t.Errorf("two keys fit: %v", err)
	}
}

// TestForeignKeys takes keys that OpenSC made in the token or put there.
func TestForeignKeys(t *testing.T) {
	tool := needtest.Program(t, "pkcs11-tool")
	c, u := helper(t), newToken(t)
	made := func(curve, label, id string) {
		t.Helper()
		run(t, tool, "--module", softHSM, "--login", "--pin", "2468", "--keypairgen", "--key-type", curve, "--label", label,
			"--id", id)
	}
	made("EC:prime256v1", "one", "01")
	made("EC:secp384r1", "two", "02")
	made("rsa:2048", "three", "03")
	for label, ok := range map[string]bool{"one": true, "two": true, "three": false} {
		its := *u
		its.Object = label
		k, err := c.Open(t.Context(), &its)
		if (err == nil) != ok {
			t.Fatalf("%s: %v", label, err)
		}
		if !ok && faultOf(err) != token.FaultRequest {
			t.Errorf("%s: %v", label, err)
		}
		if label == "one" {
			signs(t, k)
		}
	}
	run(t, needtest.Program(t, "openssl"), "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
		filepath.Dir(u.PINFile())+"/k.pem")
	run(t, needtest.Program(t, "softhsm2-util"), "--import", filepath.Dir(u.PINFile())+"/k.pem", "--token", "plant 1",
		"--label", "four", "--id", "04", "--pin", "2468")
	its := *u
	its.ID = "\x04"
	if k, err := c.Open(t.Context(), &its); err != nil || !strings.Contains(k.Weakness(), "outside of the token") {
		t.Errorf("imported: %+v, %v", k, err)
	}
}

func faultOf(err error) token.Fault {
	var f *token.FaultError
	if errors.As(err, &f) {
		return f.Fault
	}
	return ""
}

// TestFaults tells what is missing.
func TestFaults(t *testing.T) {
	c, u := helper(t), newToken(t)
	for name, tt := range map[string]struct {
		change func(*token.URI)
		fault  token.Fault
		text   string
	}{
		"no such token":   {func(u *token.URI) { u.Token = "other" }, token.FaultAbsent, "no token"},
		"another serial":  {func(u *token.URI) { u.Serial = "1" }, token.FaultAbsent, "no token"},
		"another maker":   {func(u *token.URI) { u.Manufacturer = "x" }, token.FaultAbsent, "no token"},
		"no such key":     {func(*token.URI) {}, token.FaultLost, "no private key"},
		"no PIN":          {func(u *token.URI) { u.PIN = "" }, token.FaultPIN, "pin-source"},
		"no PIN file":     {func(u *token.URI) { u.PIN = "file:/nowhere/pin" }, token.FaultPIN, "no such file"},
		"no credential":   {func(u *token.URI) { u.PIN = "credential:pin" }, token.FaultPIN, "no such file"},
		"no library":      {func(u *token.URI) { u.Module = "/nowhere/libx.so" }, token.FaultModule, "cannot be loaded"},
		"another library": {func(u *token.URI) { u.Module = aLibrary(t) }, token.FaultModule, "no PKCS #11 library"},
	} {
		its := *u
		tt.change(&its)
		_, err := c.Open(t.Context(), &its)
		if faultOf(err) != tt.fault || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", name, err)
		}
		if lost := errors.Is(err, token.ErrLost); lost != (tt.fault == token.FaultLost) {
			t.Errorf("%s: lost %t", name, lost)
		}
	}
}

// aLibrary returns a library that is there and is none of PKCS #11.
func aLibrary(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/lib/*/libm.so.6")
	if err != nil || len(found) == 0 {
		t.Skip("there is no libm.so.6")
	}
	return found[0]
}

// TestNewToken sees a token that is made while the gateway runs, and a key under an old
// name in place of another.
func TestNewToken(t *testing.T) {
	c, u := helper(t), newToken(t)
	create(t, c, u)
	second := *u
	second.Token = "plant 2"
	if _, err := c.Create(t.Context(), &second); faultOf(err) != token.FaultAbsent {
		t.Fatal(err)
	}
	run(t, needtest.Program(t, "softhsm2-util"), "--init-token", "--free", "--label", "plant 2", "--pin", "2468",
		"--so-pin", "13579")
	_, k := create(t, c, &second)
	signs(t, k)
}

// TestWrongPIN does not lock the token by asking again and again.
func TestWrongPIN(t *testing.T) {
	c, u := helper(t), newToken(t)
	named, k := create(t, c, u)
	write(t, u.PINFile(), "1111")
	for range 5 {
		if _, err := c.Open(t.Context(), named); faultOf(err) != token.FaultPIN {
			t.Fatal(err)
		}
	}
	_, err := k.Sign(rand.Reader, make([]byte, 32), nil)
	if faultOf(err) != token.FaultPIN || !strings.Contains(err.Error(), "not tried again") {
		t.Errorf("%v", err)
	}
	write(t, u.PINFile(), "2468\n")
	signs(t, k)
}

// shim is a library before SoftHSM that misbehaves as MODE says. It always talks.
const shim = `
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
typedef unsigned long U;
static void *list[69];
static U (*realSign)(U, void *, U, void *, U *);
static U (*realInfo)(U, char *);
static void misbehave(const char *where) {
	const char *mode = getenv("MODE"), *once = getenv("ONCE");
	if (strncmp(mode, where, strlen(where)) || (once && unlink(once))) return;
	mode += strlen(where);
	if (!strcmp(mode, "hangs")) for (;;) pause();
	if (!strcmp(mode, "crashes")) *(volatile int *)8 = 0;
	if (!strcmp(mode, "killed")) kill(getpid(), SIGKILL);
	if (!strcmp(mode, "exits")) _exit(0);
}
static U mySign(U s, void *d, U n, void *out, U *len) { misbehave("sign "); return realSign(s, d, n, out, len); }
static U noLogin(U s, U user, void *pin, U n) { abort(); }
static U open_(U slot, char *info) {
	U r = realInfo(slot, info);
	*(U *)(info + 96) &= ~4UL;
	return r;
}
U C_GetFunctionList(void ***out) {
	U (*get)(void ***) = dlsym(dlopen("` + softHSM + `", RTLD_NOW), "C_GetFunctionList");
	void **theirs;
	U r = get(&theirs);
	if (write(1, "hello, I am a library\n", 22) < 0) return 5;
	misbehave("list ");
	memcpy(list, theirs, sizeof list);
	realSign = list[44]; list[44] = mySign;
	if (!strcmp(getenv("MODE"), "open")) { realInfo = list[7]; list[7] = open_; list[19] = noLogin; }
	*out = list;
	return r;
}
`

// buildShim compiles the library.
func buildShim(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "shim.c"), shim)
	so := filepath.Join(dir, "shim.so")
	run(t, needtest.Program(t, "cc"), "-shared", "-fPIC", "-w", "-o", so, filepath.Join(dir, "shim.c"), "-ldl")
	return so
}

// TestMisbehaving has a vendor's library hang, crash and end its process; the gateway's
// side outlives it, and the next signature works.
func TestMisbehaving(t *testing.T) {
	c, u := helper(t), newToken(t)
	t.Setenv("MODE", "well")
	u.Module = buildShim(t)
	named, k := create(t, c, u)
	for _, where := range []string{"sign ", "list "} {
		for mode, want := range map[string]error{"hangs": token.ErrSilent, "crashes": token.ErrCrashed,
			"killed": token.ErrCrashed, "exits": token.ErrCrashed} {
			t.Setenv("MODE", where+mode)
			if mode == "hangs" {
				c.Patience = 500 * time.Millisecond
			}
			_, err := k.Sign(rand.Reader, make([]byte, 32), nil)
			c.Patience = time.Minute
			if !errors.Is(err, want) {
				t.Errorf("%s%s: %v", where, mode, err)
			}
			if mode == "hangs" {
				continue
			}
			// Once only: the signature is made by the next process.
			once := filepath.Join(t.TempDir(), "once")
			write(t, once, "")
			t.Setenv("ONCE", once)
			signs(t, k)
			if _, err := os.Stat(once); err == nil {
				t.Errorf("%s%s: it did not misbehave", where, mode)
			}
			os.Unsetenv("ONCE")
		}
	}
	t.Setenv("MODE", "well")
	if _, err := c.Open(t.Context(), named); err != nil {
		t.Error(err)
	}
}

// TestOpenToken uses a token that asks for no PIN: nobody logs in.
func TestOpenToken(t *testing.T) {
	c, u := helper(t), newToken(t)
	named, _ := create(t, c, u)
	t.Setenv("MODE", "open")
	its := token.URI{Token: named.Token, ID: named.ID, Module: buildShim(t)}
	// SoftHSM hides the key from who has not logged in: that it says so, and not that it
	// died in C_Login, is what is looked at.
	if _, err := c.Open(t.Context(), &its); faultOf(err) != token.FaultLost {
		t.Errorf("%v", err)
	}
}

// TestRequests answers what it does not understand with why.
func TestRequests(t *testing.T) {
	for name, q := range map[string]token.Request{
		"another version": {Version: token.Version + 1, Operation: token.Public, URI: "pkcs11:?module-path=/x"},
		"no name":         {Version: token.Version, Operation: token.Public},
	} {
		if a := answer(&q); a.Fault != token.FaultRequest || a.Text == "" || a.Version != token.Version {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestPublicKey(t *testing.T) {
	var bare []byte
	// A bare point of 04 3f is one that looks like an OCTET STRING of 63 bytes.
	for len(bare) == 0 || bare[1] != 0x3f {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if bare, err = key.PublicKey.Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	wrapped, err := asn1.Marshal(bare)
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range [][]byte{bare, wrapped} {
		got, err := publicKey(p256, point)
		if err != nil {
			t.Fatalf("%x: %v", point, err)
		}
		if b, err := got.Bytes(); err != nil || !slices.Equal(b, bare) {
			t.Errorf("%x: %x, %v", point, b, err)
		}
	}
	for _, point := range [][]byte{nil, bare[:64], wrapped[:66], append(slices.Clone(bare), 0)} {
		if _, err := publicKey(p256, point); err == nil {
			t.Errorf("%x is taken", point)
		}
	}
	if _, err := publicKey([]byte("secp256k1"), bare); err == nil {
		t.Error("any curve is taken")
	}
}
