package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/ledger"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/store/folder"
)

// TestPrevious has this program and the previous release take turns at one queue, its
// journal and its state: each reads what the other wrote, whether that was stopped or killed,
// and writes what the other reads. FIELDBRIDGE_PREVIOUS names the other's binary;
// 'make test-previous' builds it.
func TestPrevious(t *testing.T) {
	previous := os.Getenv("FIELDBRIDGE_PREVIOUS")
	if previous == "" {
		t.Skip("make test-previous runs it")
	}
	current, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 1, 2, 3)
	device := sim.Start(t)
	dir := t.TempDir()
	journal, err := os.MkdirTemp("/dev/shm", "fieldbridge-previous-") // tmpfs
	if err != nil {
		journal = "off"
	}
	t.Cleanup(func() { _ = os.RemoveAll(journal) })
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("g.yaml", fmt.Sprintf(`gateway: g
labels: {site: brno}
northbound: {awsiot: {endpoint: "127.0.0.1:9", certificate: g.pem, private_key: g.key, ca: ca.pem, topic: t}}
southbound: {modbus: {buses: {b: {url: "tcp://%s"}}, devices: {d: {bus: b, every: 20ms,
  points: {a: {holding: 0}, c: {holding: 1}, e: {holding: 2}}}}}}
store: {dir: queue, journal: %q, commit_every: 300ms, segment_size: 1MiB}
`, device, journal))
	ask := func(bin string, args ...string) []byte {
		t.Helper()
		var out, said bytes.Buffer
		cmd := exec.Command(bin, args...)
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s %q: %v\n%s", bin, args, err, &said)
		}
		return out.Bytes()
	}
	inspect := func(bin string) (r folder.Report) {
		t.Helper()
		if err := json.Unmarshal(ask(bin, "queue", "inspect", "--json", file), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	waiting := uint64(0)
	for i, bin := range []string{current, previous, current, previous, previous, current} {
		cmd := exec.Command(bin, "run", file)
		said, err := os.Create(filepath.Join(dir, fmt.Sprintf("log%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		eventually(t, "the gateway answers, and more waits", 30*time.Second, func() bool {
			out, err := exec.Command(previous, "queue", "inspect", "--json", file).Output()
			var r folder.Report
			return err == nil && json.Unmarshal(out, &r) == nil && r.Waiting.Batches >= waiting+20
		})
		how := syscall.SIGTERM
		if i%2 == 0 {
			how = syscall.SIGKILL
		}
		_ = cmd.Process.Signal(how)
		<-ended
		_ = said.Close()
		text, _ := os.ReadFile(said.Name())
		for _, bad := range []string{"queue_damaged", "queue_journal", "state_damaged", "quarantine", ".aside"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("round %d, %s: %s\n%s", i, bin, bad, text)
			}
		}
		now, other := inspect(current), inspect(previous)
		if now.Waiting != other.Waiting || now.Journal != other.Journal || now.Waiting.Batches < waiting+20 {
			t.Errorf("round %d: %+v wait (%+v in the journal), the other says %+v (%+v)", i, now.Waiting, now.Journal,
				other.Waiting, other.Journal)
		}
		waiting = now.Waiting.Batches
	}
	mine, theirs := ask(current, "queue", "export", "--format", "jsonl", file),
		ask(previous, "queue", "export", "--format", "jsonl", file)
	if !bytes.Equal(mine, theirs) || uint64(bytes.Count(mine, []byte("\n"))) != waiting {
		t.Errorf("%d bytes are exported, %d by the other; %d batches wait", len(mine), len(theirs), waiting)
	}
	var l ledger.Ledger
	if err := l.Read(t.Context(), "export", bytes.NewReader(mine)); err != nil {
		t.Fatal(err)
	}
	if r := l.Report(); !r.Kept || r.Unread > 0 || len(r.Runs) != 6 {
		t.Errorf("the ledger: %+v", r)
	}
	if r := inspect(current); len(r.Gateways) != 1 || r.Gateways[0] != "g" {
		t.Errorf("measured by %q", r.Gateways)
	}
}
