package key

import (
	"crypto/tls"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/identity/token"
)

// newPlace returns a token in software where keys can be made.
func newPlace(t *testing.T) Place {
	t.Helper()
	util, dir := needtest.Program(t, "softhsm2-util"), t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	for name, text := range map[string]string{"pin": "2468\n", "conf": "directories.tokendir = " + dir + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "conf"))
	run(util, "--init-token", "--free", "--label", "plant", "--pin", "2468", "--so-pin", "13579")
	program := filepath.Join(dir, token.Helper)
	if err := needtest.Build(program, "fieldbridge/cmd/fieldbridge-p11"); err != nil {
		t.Fatal(err)
	}
	before := helper
	helper = token.At(program)
	helper.Patience = time.Minute
	t.Cleanup(func() { helper = before })
	return Place("pkcs11:token=plant?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=" + filepath.Join(dir, "pin"))
}

func TestTokenHandshake(t *testing.T) {
	place := newPlace(t)
	contents := mustCreate(t, place)
	k := mustOpen(t, contents)
	if k.Copyable || k.Where != "in a PKCS #11 token" || k.Weakness != "" {
		t.Errorf("%+v", k)
	}
	shakesHands(t, k, tls.VersionTLS12)
	shakesHands(t, k, tls.VersionTLS13)

	gone := strings.Replace(string(contents), "id=%", "id=%00%", 1)
	if _, err := Open(t.Context(), []byte(gone)); !errors.Is(err, ErrLost) {
		t.Errorf("no such key: %v", err)
	}
	away := strings.Replace(string(contents), "token=plant", "token=away", 1)
	if _, err := Open(t.Context(), []byte(away)); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("no such token: %v", err)
	}
	if _, err := Place(strings.TrimSpace(gone)).Create(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("no such key to be used: %v", err)
	}
	if err := Place("pkcs11:token=plant").Validate(); !errors.Is(err, ErrPlace) || !strings.Contains(err.Error(),
		"module-path") {
		t.Errorf("no library: %v", err)
	}
}
