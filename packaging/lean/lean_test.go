package lean

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMakefile: make build builds what is packaged and measured.
func TestMakefile(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	cmd := exec.Command("make", "-n", "build")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	flags, _ := Flags("amd64", false)
	for _, f := range flags {
		if f = strings.TrimPrefix(f, "-tags="); !strings.Contains(string(out), f) {
			t.Errorf("make build does not say %s", f)
		}
	}
	if n := strings.Count(string(out), "-gcflags="); n != len(cold)+len(hot) {
		t.Errorf("make build has flags for %d packages, not %d", n, len(cold)+len(hot))
	}
}
