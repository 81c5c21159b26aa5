// Package rig is what the tests of MQTT rooms share: a client that shows each
// packet, an authority for certificates, and the programs of mosquitto.
package rig

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/needtest"
	"fieldbridge/setting"
)

// Patience is how long tests wait for what must happen.
const Patience = 30 * time.Second

// Until waits for a condition that other goroutines make true.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// Need returns the path of a program of another package.
func Need(t testing.TB, program string) string {
	t.Helper()
	return needtest.Program(t, program)
}

// Mosquitto runs mosquitto_pub or mosquitto_sub against a broker.
func Mosquitto(t testing.TB, program, addr string, args ...string) string {
	t.Helper()
	out, err := TryMosquitto(t.Context(), Need(t, program), addr, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// TryMosquitto runs a program of mosquitto, found by Need, against a broker.
func TryMosquitto(ctx context.Context, program, addr string, args ...string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	return string(out), err
}

// Same fails the test unless got is want.
func Same(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// File writes a file of the test and returns its path.
func File(t testing.TB, name, content string) setting.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return setting.Path(path)
}

// Refused runs mosquitto_pub, which must fail, and returns what it says.
func Refused(t testing.TB, addr string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	out, err := exec.CommandContext(t.Context(), Need(t, "mosquitto_pub"),
		append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err == nil {
		t.Errorf("mosquitto_pub %v succeeds", args)
	}
	return string(out)
}
