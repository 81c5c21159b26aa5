//go:build linux

package crashtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckInContainer: as the first process of a container `check` says whether the
// journal is there, and whether it goes with the container.
func TestCheckInContainer(t *testing.T) {
	t.Parallel()
	r := newRig(t, filepath.Join(t.TempDir(), "queue"), 0)
	outside, _ := mountSmall(t, 12<<20)
	if err := os.Mkdir(filepath.Join(outside, "gateway"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	const nothing, ends = "a crash takes nothing", "if it ends the container it takes as much: "
	for name, tt := range map[string]struct {
		mount string
		says  []string
		never string
	}{
		"no tmpfs":           {"true", []string{"there is no journal here: ", "is not on tmpfs"}, nothing},
		"a tmpfs of its own": {"mount -t tmpfs none " + r.runtime, []string{nothing, ends + r.runtime}, "no journal"},
		"one from outside":   {"mount --bind " + outside + "/gateway " + r.runtime, []string{nothing}, ends},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c",
				tt.mount+` && exec "$@"`, "sh", program, "check", r.file())
			cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+r.runtime)
			out, err := cmd.CombinedOutput()
			if err != nil && strings.Contains(string(out), "unshare:") {
				missing(t, "%s (it needs root)", out)
			}
			for _, says := range tt.says {
				if !strings.Contains(string(out), says) {
					t.Errorf("it does not say %q: %v\n%s", says, err, out)
				}
			}
			if strings.Contains(string(out), tt.never) {
				t.Errorf("it says %q:\n%s", tt.never, out)
			}
		})
	}
}
