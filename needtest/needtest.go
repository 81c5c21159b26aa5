// Package needtest is for tests that need something of the machine that they run
// on: a program, the right to mount or to trace, a compiler. Where all of it must be
// there, none of them is left out in silence.
package needtest

import (
	"os"
	"os/exec"
	"testing"
)

// Missing skips a test, or with CI=true in the environment fails it, and says what
// is missing.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Program returns the path of a program that a test runs, which may be one for
// administrators.
func Program(t testing.TB, name string) string {
	t.Helper()
	for _, p := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	Missing(t, "%s is not installed: .ci/packages names what tests need", name)
	return ""
}
