//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/southbound/modbus/modbustest"
)

// TestQueueInMemory: a queue on a tmpfs is told by `check` and `status`, and one on a file
// system that is read-only by `check` and in the log.
func TestQueueInMemory(t *testing.T) {
	t.Parallel()
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mounted := filepath.Join(dir, "mounted")
	if err := os.Mkdir(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", mounted, "tmpfs", 0, "size=8m"); err != nil {
		needtest.Missing(t, "mount a tmpfs: %v (it needs root)", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(mounted, syscall.MNT_DETACH) })
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 731)
	file := filepath.Join(dir, "g.yaml")
	if err := os.WriteFile(file, []byte(`
gateway: placed
northbound: {awsiot: {endpoint: "localhost:1", certificate: a.pem, private_key: a.key, topic: t}}
store: {dir: mounted/queue, commit_every: 100ms, min_free: 1MiB, max_size: 16MiB, journal: "off"}
southbound:
  modbus: {buses: {b: {url: "tcp://`+sim.Start(t)+`"}}, devices: {d: {bus: b, every: 100ms, points: {p: {holding: 0}}}}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	checked := func(code int) string {
		t.Helper()
		check := exec.Command(bin, "check", file)
		out, err := check.CombinedOutput()
		if got := check.ProcessState.ExitCode(); got != code {
			t.Fatalf("check: %v, want exit code %d\n%s", err, code, out)
		}
		return string(out)
	}
	status := func(says string) {
		t.Helper()
		eventually(t, "the status says "+says, 30*time.Second, func() bool {
			_, stdout, _ := call(t, "status", file)
			return strings.Contains(stdout, says)
		})
	}
	const inMemory = "lies in memory (tmpfs): a power cut or a restart of the machine takes all that waits in it"
	const readOnly = "lies on a file system that is read-only (tmpfs): nothing can be written there"
	if said := checked(exitDone); !strings.Contains(said, "g.yaml:4:14: the queue's folder "+mounted+"/queue "+inMemory) {
		t.Errorf("check says\n%s", said)
	}
	run := spawn(t, dir, bin, "run", file)
	status("queue: the queue's folder " + mounted + "/queue " + inMemory)
	_ = run.cmd.Process.Kill()
	<-run.end
	if err := syscall.Mount("none", mounted, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if said := checked(exitUsage); !strings.Contains(said, readOnly) || strings.Contains(said, "by this user") {
		t.Errorf("check of a read-only one says\n%s", said)
	}
	again := spawn(t, dir, bin, "run", file)
	eventually(t, "the log says that it is read-only from the start", 30*time.Second, func() bool {
		return strings.Contains(again.out.String(), "the file system is read-only")
	})
}
