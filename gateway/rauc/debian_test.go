package rauc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
)

// TestDebiansRAUC: the RAUC of Debian installs a bundle that is right and none of a
// stranger, and says of its slots what it is told.
func TestDebiansRAUC(t *testing.T) {
	if os.Getuid() != 0 {
		needtest.Missing(t, "RAUC mounts bundles: it needs root")
	}
	needtest.Program(t, "mksquashfs") // rauc makes bundles with it
	dir, address := t.TempDir(), startBus(t)
	must := func(words ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, needtest.Program(t, words[0]), words[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
		return string(out)
	}
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	image := bytes.Repeat([]byte("the new system\n"), 8192)
	write("in/rootfs.img", string(image), 0o600)
	write("in/manifest.raucm", "[update]\ncompatible=test\nversion=2\n[image.rootfs]\nfilename=rootfs.img\n", 0o600)
	bundle := func(who string) string {
		t.Helper()
		key, cert := filepath.Join(dir, who+".key"), filepath.Join(dir, who+".pem")
		must("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "30", "-subj",
			"/CN="+who)
		to := filepath.Join(dir, who+".raucb")
		must("rauc", "--cert="+cert, "--key="+key, "bundle", filepath.Join(dir, "in"), to)
		return to
	}
	right, strangers := bundle("maker"), bundle("stranger")
	write("a.img", string(make([]byte, len(image))), 0o600)
	other := write("b.img", string(make([]byte, len(image))), 0o600)
	boot := write("boot.sh", fmt.Sprintf(`#!/bin/sh
echo "$@" >> %s/boot.log
case "$1" in
get-primary) echo A;;
get-state) echo good;;
esac
`, dir), 0o700)
	config := write("system.conf", fmt.Sprintf(`[system]
compatible=test
bootloader=custom
statusfile=%[1]s/status
mountprefix=%[1]s/mnt
[handlers]
bootloader-custom-backend=%[2]s
[keyring]
path=%[1]s/maker.pem
[slot.rootfs.0]
device=%[1]s/a.img
type=raw
bootname=A
[slot.rootfs.1]
device=%[1]s/b.img
type=raw
bootname=B
`, dir, boot), 0o600)
	service := exec.Command(needtest.Program(t, "rauc"), "-c", config, "--override-boot-slot=A", "service")
	service.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+address)
	var said bytes.Buffer
	service.Stdout, service.Stderr = &said, &said
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = service.Process.Kill()
		_ = service.Wait()
		if t.Failed() {
			t.Logf("RAUC said:\n%s", said.String())
		}
	}()
	var c *Client
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // between two looks
		var err error
		if c, err = Dial(t.Context(), address); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer c.Close()
	if slot, err := c.Slot(t.Context()); slot != "A" || err != nil {
		t.Errorf("slot %q, %v", slot, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := c.Install(ctx, strangers, false, func(int) {})
	if err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a stranger's bundle: %v", err)
	}
	percent := 0
	if err := c.Install(ctx, right, false, func(p int) { percent = p }); err != nil {
		if strings.Contains(err.Error(), "mount") || strings.Contains(err.Error(), "loop") {
			t.Skipf("bundles cannot be mounted here: %v", err)
		}
		t.Fatal(err)
	}
	if got, err := os.ReadFile(other); err != nil || !bytes.Equal(got, image) || percent != 100 {
		t.Errorf("%v, the slot has the image: %t, told %d %%", err, bytes.Equal(got, image), percent)
	}
	for _, state := range []string{"active", "bad", "good"} {
		if err := c.Mark(ctx, state); err != nil {
			t.Error(err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "boot.log"))
	if want := "set-primary A\nset-state A bad\nset-state A good\n"; err != nil || !strings.HasSuffix(string(log), want) {
		t.Errorf("%v, the boot loader was told:\n%s", err, log)
	}
}
