package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/gateway/control"
	"fieldbridge/store"

	"github.com/google/go-cmp/cmp"
)

// call runs the program with args.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = dispatch(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		code   int
		stdout string // part of it
		stderr string
	}{
		{nil, exitUsage, "", "Usage: fieldbridge COMMAND"},
		{[]string{"help"}, exitDone, "  run ", ""},
		{[]string{"--help"}, exitDone, "Usage", ""},
		{[]string{"--version"}, exitDone, "fieldbridge dev", ""},
		{[]string{"version"}, exitDone, "fieldbridge dev", ""},
		{[]string{"rum"}, exitUsage, "", `no command "rum"`},
		{[]string{"run"}, exitUsage, "", "which file"},
		{[]string{"run", "-h"}, exitDone, "", "Usage: fieldbridge run FILE"},
		{[]string{"run", "a", "b"}, exitUsage, "", `unexpected argument "b"`},
		{[]string{"run", "/no/such/file.yaml"}, exitUsage, "", "/no/such/file.yaml"},
		{[]string{"status", "--jso"}, exitUsage, "", "-jso"},
		{[]string{"status", "/no/such/dir"}, exitUsage, "", "no such file"},
		{[]string{"demo", "extra"}, exitUsage, "", "unexpected argument"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, stdout, stderr := call(t, tt.args...)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, stdout, stderr)
			}
		})
	}
}

func TestRunRefusesMissingCertificates(t *testing.T) {
	dir := t.TempDir()
	config, err := os.ReadFile("../../configs/examples/first-run.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := dir + "/first-run.yaml"
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := call(t, "run", file)
	if code != exitUsage || !strings.Contains(stderr, file+":7:") || !strings.Contains(stderr, "certs/device.pem") {
		t.Errorf("exit %d, stderr %s", code, stderr)
	}
}

func TestStatusWithoutGateway(t *testing.T) {
	code, _, stderr := call(t, "status", t.TempDir())
	if code != exitFailed || !strings.Contains(stderr, "no gateway is running there") {
		t.Errorf("exit %d, stderr %s", code, stderr)
	}
}

func TestFlagsMayFollowArguments(t *testing.T) {
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	rest, _, ok := parseFlags(flags, []string{"file", "--json"}, 1)
	if !ok || !*asJSON || len(rest) != 1 || rest[0] != "file" {
		t.Errorf("got %v, %v, %v", rest, *asJSON, ok)
	}
}

func TestForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 1234 * time.Millisecond: "1.2 s", 90 * time.Second: "1 min 30 s", 26 * time.Hour: "26 h 0 min", 73 * time.Hour: "3 days 1 h", -time.Second: "0 s",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 150 << 20: "150 MiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := control.Status{
		Gateway: "press-line-2", Run: "3k7q9x2m", Version: "v1", Config: "0123456789abcdef", Started: now.Add(-3 * time.Hour), Now: now,
		Link: bridge.LinkStatus{Endpoint: "cloud:8883", Since: now.Add(-90 * time.Second), Detail: "connection refused: is the port right?", Retry: now.Add(12 * time.Second)},
		Queue: store.Status{Bytes: 1536, Oldest: now.Add(-time.Minute), Backlog: bridge.Count{Readings: 1200},
			Ledger: bridge.Ledger{Accepted: bridge.Count{Readings: 5000}, Acked: bridge.Count{Readings: 3000}, Waiting: bridge.Count{Readings: 2000}}},
		Devices: []bridge.DeviceStatus{
			{Device: "boiler", Via: "modbus plc unit 1", Good: 6, Last: now.Add(-time.Second)},
			{Device: "press", Via: "modbus plc unit 2", Bad: 3, Reason: "timeout", Detail: "no answer within 1s"},
		},
		Conditions: []condition.Condition{{Severity: condition.Warning, Subject: "uplink", Text: "not connected: readings wait in the queue", Since: now.Add(-90 * time.Second)}},
	}
	want := `press-line-2  up 3 h 0 min  run 3k7q9x2m  version v1  configuration 0123456789ab

uplink   not connected to cloud:8883 since 1 min 30 s
         connection refused: is the port right?
         next try in 12 s
queue    2,000 readings wait (1,200 of them backlog), 1.5 KiB on disk, the oldest 1 min 0 s old
         since the start: 5,000 accepted, 0 found, 3,000 acknowledged, 0 dropped, 0 damaged; 0 dead letters

devices
  boiler  modbus plc unit 1  6 good                  1 s ago     
  press   modbus plc unit 2  0 good, 3 bad: timeout  never read  no answer within 1s

warning  uplink: not connected: readings wait in the queue (for 1 min 30 s)
`
	var got bytes.Buffer
	printStatus(&got, s)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
