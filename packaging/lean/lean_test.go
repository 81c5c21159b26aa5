package lean

import (
	"os"
	"os/exec"
	"runtime"
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
	small := exec.Command("make", "-n", "small")
	small.Dir, small.Env = cmd.Dir, cmd.Env
	text, err := small.Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, link := Flags(runtime.GOARCH, true); !strings.Contains(string(text), strings.TrimSpace(link)+" -X") {
		t.Errorf("make small does not link with %s", link)
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
