package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/store/disk"
)

// TestQueueFolder: a folder of the queue that cannot be is an error of check, told at
// store.dir, also for root; a laptop may still look at the file of a fleet.
func TestQueueFolder(t *testing.T) {
	before := placeOf
	placeOf = disk.PlaceOf
	t.Cleanup(func() { placeOf = before })
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "afile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../configs/examples/first-run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var plain []string // without its own folder
	for line := range strings.SplitSeq(string(text), "\n") {
		if !strings.Contains(line, "store:") && !strings.Contains(line, "  dir:") {
			plain = append(plain, line)
		}
	}
	file := filepath.Join(dir, "gateway.yaml")
	check := func(folder string) (int, string) {
		t.Helper()
		content := strings.Join(plain, "\n") + "\nstore: {dir: \"" + folder + "\"}\n"
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := call(t, "check", file)
		return code, stderr
	}
	for folder, want := range map[string]string{
		"/proc/queue":                        "it would lie on proc, whose files are the kernel's own",
		"/proc":                              "it would lie on proc",
		"/sys/queue":                         "it would lie on sysfs",
		"/sys/kernel/a/b":                    "it would lie on sysfs",
		"/dev/pts/queue":                     "it would lie on devpts",
		dir + "/afile":                       "afile is a file",
		dir + "/afile/below/queue":           "afile is a file",
		dir + "/dangling":                    "is a link to ",
		dir + "/dangling/queue":              "is a link to ",
		dir + "/loop/queue":                  "cannot be reached: too many levels of symbolic links",
		dir + "/" + strings.Repeat("a", 300): "cannot be reached: file name too long",
	} {
		if code, text := check(folder); code != exitUsage || !strings.Contains(text, want) ||
			!strings.Contains(text, "store: {dir:") || strings.Contains(text, "warning") {
			t.Errorf("%s: exit %d, no %q in\n%s", folder, code, want, text)
		}
	}
	for _, folder := range []string{dir, dir + "/queue", dir + "/a/b/c", "queue"} {
		if code, text := check(folder); code != exitDone {
			t.Errorf("%s: exit %d\n%s", folder, code, text)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".check-*")); err != nil || left != nil {
		t.Errorf("left behind: %s, %v", left, err)
	}
	fleet := filepath.Join(dir, "fleet.yaml")
	content := strings.Replace(fleetToComplete, "gateways:", "  store: {dir: /proc/queue}\ngateways:", 1)
	if err := os.WriteFile(fleet, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, text := call(t, "fleet", "check", fleet); code != exitDone || strings.Contains(text, "proc") {
		t.Errorf("fleet check: exit %d\n%s", code, text)
	}
	if code, _, text := call(t, "check", fleet, "--gateway", "east"); code != exitDone ||
		!strings.Contains(text, "warning: ") || !strings.Contains(text, "it would lie on proc") {
		t.Errorf("check of one of a fleet: exit %d\n%s", code, text)
	}
}
