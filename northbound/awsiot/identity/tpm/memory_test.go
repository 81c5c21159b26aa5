package tpm

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/northbound/awsiot/identity/tpm/tpmtest"
)

// Variables of the environment of a process that signs, and waits to be looked into.
const (
	signerTPM = "FIELDBRIDGE_TEST_TPM"
	signerKey = "FIELDBRIDGE_TEST_KEY"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(signerKey); file != "" {
		if err := signAndWait(file); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func signAndWait(file string) error {
	contents, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var key crypto.Signer
	if path := os.Getenv(signerTPM); path != "" {
		key, err = At(path).Open(context.Background(), contents)
	} else {
		key, err = x509.ParseECPrivateKey(contents)
	}
	if err != nil {
		return err
	}
	if _, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err != nil {
		return err
	}
	fmt.Println("signed")
	_, err = io.Copy(io.Discard, os.Stdin)
	fmt.Println(key.Public()) // it is in use until here
	return err
}

// TestMemory looks for the private number in all memory of a process that has signed:
// where the key came from a file it is there, where the TPM signed it is not.
func TestMemory(t *testing.T) {
	chip := tpmtest.Start(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	inTPM := imported(t, At(chip.Path), key, userWithAuth|noDA|signs)
	if !holds(t, "", der, secret) {
		t.Error("the key from a file is not found: the search is blind")
	}
	if holds(t, chip.Path, inTPM, secret) {
		t.Error("the key in the TPM is in the memory of the process, too")
	}
}

// holds has a process sign, and reports whether its memory has the secret, forwards or
// backwards, as numbers lie in it.
func holds(t *testing.T, chip string, contents, secret []byte) bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, contents, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), signerTPM+"="+chip, signerKey+"="+file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer in.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "signed\n" {
		t.Fatalf("%q, %v", line, err)
	}
	backwards := bytes.Clone(secret)
	for i, b := range secret {
		backwards[len(secret)-1-i] = b
	}
	found, looked := false, 0
	for part := range memoryOf(t, cmd.Process.Pid) {
		looked += len(part)
		found = found || bytes.Contains(part, secret) || bytes.Contains(part, backwards)
	}
	if looked < 1<<20 {
		t.Fatalf("only %d bytes of memory could be read", looked)
	}
	return found
}

// memoryOf yields the parts of the memory of a process that can be read.
func memoryOf(t *testing.T, pid int) func(yield func([]byte) bool) {
	t.Helper()
	return func(yield func([]byte) bool) {
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
		if err != nil {
			t.Fatal(err)
		}
		mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
		if err != nil {
			t.Fatal(err)
		}
		defer mem.Close()
		for line := range strings.Lines(string(maps)) {
			var from, to int64
			var rights string
			if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); n != 3 || !strings.HasPrefix(rights, "rw") ||
				to-from > 256<<20 {
				continue
			}
			b := make([]byte, to-from)
			n, _ := mem.ReadAt(b, from) // what nobody has used yet cannot always be read
			if !yield(b[:n]) {
				return
			}
		}
	}
}
