package tpm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/identity/tpm/tpmtest"
)

func open1(t *testing.T, c *Chip, contents []byte) *Key {
	t.Helper()
	k, err := c.Open(t.Context(), contents)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func create(t *testing.T, c *Chip) []byte {
	t.Helper()
	contents, err := c.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// signsWith makes sure that k signs digests of all sizes that TLS has.
func signsWith(t *testing.T, k *Key) {
	t.Helper()
	d256, d384, d512 := sha256.Sum256([]byte("a")), sha512.Sum384([]byte("b")), sha512.Sum512([]byte("c"))
	for _, digest := range [][]byte{d256[:], d384[:], d512[:]} {
		signature, err := k.Sign(rand.Reader, digest, nil)
		if err != nil || !ecdsa.VerifyASN1(k.key, digest, signature) {
			t.Fatalf("%d bytes: signature %x, %v", len(digest), signature, err)
		}
	}
}

func TestCreate(t *testing.T) {
	c := At(tpmtest.Start(t).Path)
	contents := create(t, c)
	k := open1(t, c, contents)
	signsWith(t, k)
	if w := k.Weakness(); w != "" {
		t.Error(w)
	}
	if other := open1(t, c, create(t, c)); other.key.Equal(k.key) {
		t.Error("two keys are one")
	}
	if _, err := k.Sign(rand.Reader, make([]byte, 20), nil); err == nil {
		t.Error("20 bytes were signed")
	}
	// Many at once take turns.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { signsWith(t, k) })
	}
	all.Wait()
}

// TestCleared makes sure that a TPM that forgot the key is told from one that is away.
func TestCleared(t *testing.T) {
	chip := tpmtest.Start(t)
	c := At(chip.Path)
	contents := create(t, c)
	k := open1(t, c, contents)
	chip.Clear(t)
	if _, err := c.Open(t.Context(), contents); !errors.Is(err, ErrLost) {
		t.Errorf("opened: %v", err)
	}
	if _, err := k.Sign(rand.Reader, make([]byte, 32), nil); !errors.Is(err, ErrLost) {
		t.Errorf("signed: %v", err)
	}
	if _, err := c.Open(t.Context(), []byte("tpm:handle=0x81000009")); !errors.Is(err, ErrLost) {
		t.Errorf("handle: %v", err)
	}
	away := At(filepath.Join(t.TempDir(), "none"))
	if _, err := away.Open(t.Context(), contents); errors.Is(err, ErrLost) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("away: %v", err)
	}
}

// TestBusy gets each answer of a busy TPM some times before it does its work, and other
// trouble once.
func TestBusy(t *testing.T) {
	chip := tpmtest.Start(t)
	c := At(chip.Path)
	k := open1(t, c, create(t, c))
	for _, tt := range []struct {
		code  uint16
		times int
		fails bool
	}{
		{0x922, 2, false}, {0x908, 2, false}, {0x90a, 2, false}, {0x920, 2, false}, {0x923, 2, false}, // busy
		{0x902, 1, false}, {0x101, 1, false}, // memory, failure
		{0x902, 2, true}, {0x101, 2, true}, {0x921, 2, true},
	} {
		left := tt.times
		chip.Answer(func(command []byte) []byte {
			if left == 0 || binary.BigEndian.Uint32(command[6:]) != ccSign {
				return nil
			}
			left--
			return tpmtest.Refuse(tt.code)
		})
		_, err := k.Sign(rand.Reader, make([]byte, 32), nil)
		if code := Code(0); (err != nil) != tt.fails || left != 0 || errors.As(err, &code) && code != Code(tt.code) {
			t.Errorf("code %#x, %d times: %v, %d left", tt.code, tt.times, err, left)
		}
	}
}

// TestSilent gives up a TPM that hangs, and works again when it has come back.
func TestSilent(t *testing.T) {
	chip := tpmtest.Start(t)
	c := At(chip.Path)
	k := open1(t, c, create(t, c))
	hangs, ends := make(chan struct{}), make(chan struct{})
	var once sync.Once
	chip.Answer(func([]byte) []byte {
		once.Do(func() { close(hangs) })
		<-ends
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hangs
		cancel()
	}()
	if err := c.use(ctx, func(conn *conn) error { _, err := conn.readPublic(1); return err }); !errors.Is(err,
		context.Canceled) {
		t.Errorf("hung: %v", err)
	}
	if err := c.use(ctx, func(*conn) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("the next one does not wait for its turn: %v", err)
	}
	chip.Answer(nil)
	close(ends)
	signsWith(t, k)
}

// TestGarbled answers what is no answer.
func TestGarbled(t *testing.T) {
	chip := tpmtest.Start(t)
	c := At(chip.Path)
	contents := create(t, c)
	for _, answer := range [][]byte{
		{0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0},             // nothing in it
		{0x80, 1, 0, 0, 0, 9, 0, 0, 0, 0},              // shorter than its header
		{0x80, 1, 0xff, 0, 0, 9, 0, 0, 0, 0},           // endless
		{0x80, 2, 0, 0, 0, 14, 0, 0, 0, 0, 1, 2, 3, 4}, // cut after the handle
		{0x80, 2, 0, 0, 0, 12, 0, 0, 0, 0, 0xff, 0xff}, // longer within than without
	} {
		chip.Answer(func([]byte) []byte { return answer })
		if k, err := c.Open(t.Context(), contents); err == nil || errors.Is(err, ErrLost) {
			t.Errorf("%x: %v, %v", answer, k, err)
		}
	}
}

// wrongPasswords locks the TPM: it makes a key with a password and tries wrong ones.
func wrongPasswords(t *testing.T, c *Chip) {
	t.Helper()
	err := c.use(t.Context(), func(conn *conn) error {
		return underParent(conn, hierarchyOwner, func(parent uint32) error {
			cmd := newCommand(ccCreate, parent).u16(4 + 1).sized([]byte("x")).sized(nil).
				sized(template(sensitiveDataOrigin|userWithAuth|signs, nil, false, 0)).sized(nil).u32(0)
			r, err := conn.ask(cmd)
			if err != nil {
				return err
			}
			r.u32()
			private := r.sized()
			handle, err := conn.load(parent, r.sized(), private)
			if err != nil {
				return err
			}
			for range 40 {
				var code Code
				if _, _, err := conn.sign(handle, make([]byte, 32), algSHA256); !errors.As(err, &code) {
					return err
				} else if code == codeLockout {
					return nil
				}
			}
			return errors.New("the TPM takes wrong passwords for ever")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLockout signs while the TPM is locked because of another program's passwords,
// with our own keys; one that was made without noDA says why it does not.
func TestLockout(t *testing.T) {
	chip := tpmtest.Start(t)
	c := At(chip.Path)
	ours := open1(t, c, create(t, c))
	theirs := open1(t, c, imported(t, c, nil, userWithAuth|signs))
	if !strings.Contains(theirs.Weakness(), "leave the TPM") {
		t.Errorf("weakness %q", theirs.Weakness())
	}
	wrongPasswords(t, c)
	signsWith(t, ours)
	var code Code
	if _, err := theirs.Sign(rand.Reader, make([]byte, 32), nil); !errors.As(err, &code) || code != codeLockout ||
		!strings.Contains(err.Error(), "wrong passwords") {
		t.Errorf("without noDA: %v", err)
	}
}

// imported returns the key file of a key made outside of the TPM; key nil makes one.
func imported(t *testing.T, c *Chip, key *ecdsa.PrivateKey, attributes uint32) []byte {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	d, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := new(command).u16(algECC).u16(algSHA256).u32(attributes).sized(nil).u16(algNull).u16(algNull).u16(curveP256).
		u16(algNull).sized(point[1:33]).sized(point[33:]).b
	sensitive := new(command).u16(algECC).sized(nil).sized(nil).sized(d).b
	ref := &reference{parent: hierarchyOwner, public: public}
	err = c.use(t.Context(), func(conn *conn) error {
		return underParent(conn, ref.parent, func(parent uint32) error {
			r, err := conn.ask(newCommand(0x156, parent).sized(nil).sized(public).sized(new(command).sized(sensitive).b).
				sized(nil).u16(algNull))
			if err != nil {
				return err
			}
			r.u32()
			ref.private = r.sized()
			return r.err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	contents, err := ref.file()
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// tools runs one of tpm2-tools, or openssl, with the TPM, and returns what it prints.
func tools(t *testing.T, chip *tpmtest.TPM, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), needtest.Program(t, args[0]), args[1:]...)
	tcti := "cmd:" + needtest.Program(t, "socat") + " - UNIX-CONNECT:" + chip.Path
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TPM2TOOLS_TCTI="+tcti, "TPM2OPENSSL_TCTI="+tcti)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestOpenSSL has OpenSSL's tpm2 provider sign with our key files, and signs with its.
func TestOpenSSL(t *testing.T) {
	needtest.Program(t, "tpm2_createek")
	chip := tpmtest.Start(t)
	c := At(chip.Path)
	dir := t.TempDir()
	providers := []string{"-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2"}
	openssl := func(args ...string) { t.Helper(); tools(t, chip, dir, append([]string{"openssl"}, args...)...) }

	if err := os.WriteFile(filepath.Join(dir, "ours.pem"), create(t, c), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte("who are you"), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl(append([]string{"dgst", "-sha256", "-sign", "ours.pem", "-out", "signature"}, append(providers, "data")...)...)
	signature, err := os.ReadFile(filepath.Join(dir, "signature"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(filepath.Join(dir, "ours.pem"))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("who are you"))
	if k := open1(t, c, ours); !ecdsa.VerifyASN1(k.key, digest[:], signature) {
		t.Error("OpenSSL's signature with our key file is wrong")
	}

	for _, curve := range []string{"P-256", "P-384"} {
		openssl(append([]string{"genpkey", "-algorithm", "EC", "-pkeyopt", "group:" + curve, "-out", "theirs.pem"},
			providers...)...)
		theirs, err := os.ReadFile(filepath.Join(dir, "theirs.pem"))
		if err != nil {
			t.Fatal(err)
		}
		k := open1(t, c, theirs)
		if curve == "P-256" {
			signsWith(t, k)
		} else if _, err := k.Sign(rand.Reader, bytes.Repeat([]byte{7}, 48), nil); err != nil {
			t.Error(err)
		}
		if !strings.Contains(k.Weakness(), "noDA") {
			t.Errorf("weakness %q", k.Weakness())
		}
	}
	openssl(append([]string{"genpkey", "-algorithm", "RSA", "-out", "rsa.pem"}, providers...)...)
	contents, err := os.ReadFile(filepath.Join(dir, "rsa.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), contents); !errors.Is(err, errRSA) {
		t.Errorf("RSA: %v", err)
	}
}

// TestEndorsement compares the hash with what tpm2-tools and OpenSSL make of the key.
func TestEndorsement(t *testing.T) {
	needtest.Program(t, "tpm2_createek")
	chip := tpmtest.Start(t)
	dir := t.TempDir()
	got, err := At(chip.Path).Endorsement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tools(t, chip, dir, "tpm2_createek", "-G", "ecc", "-c", "ek.ctx", "-f", "pem", "-u", "ek.pem")
	tools(t, chip, dir, "openssl", "pkey", "-pubin", "-in", "ek.pem", "-outform", "der", "-out", "ek.der")
	if sum, _, _ := strings.Cut(tools(t, chip, dir, "sha256sum", "ek.der"), " "); got != sum {
		t.Errorf("%s, want %s", got, sum)
	}
}
