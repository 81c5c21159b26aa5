package needtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Debian returns a folder with a Debian of this machine's release that has systemd. It
// is for reading: who changes something works on a copy. $FIELDBRIDGE_ROOT names one;
// else debootstrap makes it, in a minute, once for all tests of a machine.
func Debian(t testing.TB) string {
	t.Helper()
	if root := os.Getenv("FIELDBRIDGE_ROOT"); root != "" {
		return root
	}
	debootstrap := Program(t, "debootstrap")
	if os.Getuid() != 0 {
		Missing(t, "debootstrap needs root")
	}
	release, mirror := here()
	root := filepath.Join(os.TempDir(), "fieldbridge-debian-"+release)
	lock, err := os.OpenFile(root+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); err == nil {
		return root
	}
	begun := root + ".begun"
	_ = os.RemoveAll(begun)
	out, err := exec.Command(debootstrap, "--variant=minbase", "--include=systemd,systemd-sysv,dbus", release, begun,
		mirror).CombinedOutput()
	if err != nil {
		said := string(out[max(0, len(out)-2000):])
		if strings.Contains(said, "Failed getting release file") || strings.Contains(said, "Couldn't download") {
			t.Skipf("there is no Debian to be had from %s:\n%s", mirror, said)
		}
		t.Fatalf("debootstrap: %v\n%s", err, said)
	}
	if err := os.Rename(begun, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// source is a line of apt's that names the archive.
var source = regexp.MustCompile(`(?m)^(?:URIs:|deb)\s+(?:\[.*\]\s+)?(https?://\S+/debian/?)(?:\s|$)`)

// here returns the release of this Debian and where its packages come from.
func here() (release, mirror string) {
	release, mirror = "bookworm", "http://deb.debian.org/debian"
	text, _ := os.ReadFile("/etc/os-release")
	if m := regexp.MustCompile(`(?m)^VERSION_CODENAME=(\w+)`).FindSubmatch(text); m != nil {
		release = string(m[1])
	}
	sources, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	for _, file := range append(sources, "/etc/apt/sources.list") {
		text, _ := os.ReadFile(file)
		if m := source.FindSubmatch(text); m != nil {
			return release, string(m[1])
		}
	}
	return release, mirror
}
