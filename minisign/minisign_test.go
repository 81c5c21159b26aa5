package minisign

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/needtest"
)

func newKey(t testing.TB) SecretKey {
	t.Helper()
	k, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignVerify(t *testing.T) {
	k, other := newKey(t), newKey(t)
	content := []byte("sha256 of something\n")
	file, err := k.Sign(content, "fieldbridge 0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	if comment, err := k.Public().Verify(content, file); err != nil || comment != "fieldbridge 0.1.0" {
		t.Errorf("%q, %v", comment, err)
	}
	if _, err := k.Public().Verify([]byte("sha256 of something else\n"), file); !errors.Is(err, ErrForged) {
		t.Errorf("other content: %v", err)
	}
	if _, err := k.Public().Verify(content, strings.Replace(file, "0.1.0", "0.2.0", 1)); !errors.Is(err, ErrForged) {
		t.Errorf("another comment: %v", err)
	}
	if _, err := other.Public().Verify(content, file); !errors.Is(err, ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	same := PublicKey{k.id, other.Public().key} // a number is no proof
	if _, err := same.Verify(content, file); !errors.Is(err, ErrForged) {
		t.Errorf("another key of the same number: %v", err)
	}
	if _, err := k.Sign(content, "two\nlines"); err == nil {
		t.Error("a comment of two lines was signed")
	}
	for _, key := range []string{k.Public().String(), "untrusted comment: x\n" + k.Public().String() + "\n"} {
		if again, err := ParsePublicKey(key); err != nil || again.String() != k.Public().String() {
			t.Errorf("%q: %v", key, err)
		}
	}
	if again, err := ParseSecretKey(k.File()); err != nil || !again.key.Equal(k.key) || again.id != k.id {
		t.Errorf("secret key: %v", err)
	}
	damaged := []byte(k.File())
	damaged[len(damaged)-10] ^= 1
	if _, err := ParseSecretKey(string(damaged)); err == nil {
		t.Error("a damaged secret key was read")
	}
}

// TestMinisign: the program itself reads what we write, and we what it writes.
func TestMinisign(t *testing.T) {
	if _, err := exec.LookPath("minisign"); err != nil {
		needtest.Missing(t, "minisign is not installed")
	}
	dir := t.TempDir()
	run := func(args ...string) error {
		cmd := exec.Command("minisign", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		t.Logf("minisign %v: %v\n%s", args, err, out)
		return err
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	k := newKey(t)
	write("SHA256SUMS", "content\n")
	signature, err := k.Sign([]byte("content\n"), "fieldbridge 0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	write("SHA256SUMS.minisig", signature)
	if err := run("-V", "-m", "SHA256SUMS", "-P", k.Public().String()); err != nil {
		t.Error("our signature is not taken")
	}
	write("SHA256SUMS", "other\n")
	if err := run("-V", "-m", "SHA256SUMS", "-P", k.Public().String()); err == nil {
		t.Error("a changed file is taken")
	}
	write("our.key", k.File())
	if err := run("-S", "-s", "our.key", "-m", "SHA256SUMS", "-t", "by the program"); err != nil {
		t.Error("our secret key is not taken")
	} else if comment, err := k.Public().Verify([]byte("other\n"), read("SHA256SUMS.minisig")); err != nil ||
		comment != "by the program" {
		t.Errorf("its signature: %q, %v", comment, err)
	}
	if err := run("-G", "-W", "-p", "its.pub", "-s", "its.key"); err != nil {
		t.Fatal("no key was made")
	}
	its, err := ParseSecretKey(read("its.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey(read("its.pub"))
	if err != nil || public.String() != its.Public().String() {
		t.Errorf("its keys are not a pair: %v", err)
	}
	if !strings.Contains(read("its.pub"), public.ID()) {
		t.Errorf("number %s is not in %s", public.ID(), read("its.pub"))
	}
	if err := run("-S", "-l", "-s", "its.key", "-m", "SHA256SUMS"); err != nil {
		t.Error("no signature of old")
	} else if _, err := public.Verify([]byte("other\n"), read("SHA256SUMS.minisig")); err != nil {
		t.Errorf("a signature of old: %v", err)
	}
}

// FuzzParse: no text makes a key or a signature that it is not.
func FuzzParse(f *testing.F) {
	k := newKey(f)
	signature, _ := k.Sign([]byte("content"), "comment")
	for _, text := range []string{"", k.File(), k.Public().String(), signature} {
		f.Add(text)
	}
	stranger := newKey(f)
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ParsePublicKey(text); err == nil {
			if again, err := ParsePublicKey(key.String()); err != nil || again.String() != key.String() {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if key, err := ParseSecretKey(text); err == nil {
			if again, err := ParseSecretKey(key.File()); err != nil || again.id != key.id {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if _, err := stranger.Public().Verify([]byte("content"), text); err == nil {
			t.Fatalf("forged: %q", text)
		}
	})
}
