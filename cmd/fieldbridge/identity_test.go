package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/console"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/identity"
)

// identityRig is a stand-in for AWS IoT Core and the configuration of a gateway
// that it knows.
func identityRig(t *testing.T) (c *awsiottest.Cloud, file, queue string) {
	t.Helper()
	dir := t.TempDir()
	c, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Device("press-line-2"); err != nil {
		t.Fatal(err)
	}
	file, queue = filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "queue")
	text := fmt.Sprintf(`gateway: press-line-2
northbound:
  awsiot:
    endpoint: %s
    server_name: localhost
    certificate: certs/press-line-2.pem
    private_key: certs/press-line-2.key
    ca: certs/ca.pem
    topic: plant/{gateway}
store: {dir: queue}
`, c.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return c, file, queue
}

// A copy of the file, where no gateway ever ran, takes nobody's session.
func TestIdentityCheckOfACopy(t *testing.T) {
	c, file, _ := identityRig(t)
	code, stdout, stderr := call(t, "identity", "check", file)
	if n := c.Counts().Connects; n > 0 || !strings.Contains(stdout, "add --connect if it does not run anywhere") {
		t.Errorf("exit %d, %d connects\n%s%s", code, n, stdout, stderr)
	}
	if code, stdout, _ := call(t, "identity", "check", file, "--connect"); code != exitDone ||
		!strings.Contains(stdout, "connack          0x00") {
		t.Errorf("--connect: exit %d\n%s", code, stdout)
	}
}

func TestIdentityCheck(t *testing.T) {
	c, file, queue := identityRig(t)
	stoppedQueue(t, queue)
	code, stdout, stderr := call(t, "identity", "check", file)
	if code != exitDone || !strings.Contains(stdout, "program made        2") ||
		!strings.Contains(stdout, "connack          0x00") ||
		!strings.Contains(stdout, "The cloud and this gateway accept each other, and MQTT works") || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	c.ScriptConnect(func(string) awsiottest.ConnectVerdict { return awsiottest.ConnectVerdict{Code: 0x87} })
	code, stdout, _ = call(t, "identity", "check", file, "--json")
	var report identity.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if s := report.Step(identity.Connect); code != exitFailed || report.OK || s == nil || s.State != identity.Failed {
		t.Errorf("exit %d: %+v", code, report)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(file), "certs", "press-line-2.key")); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ = call(t, "identity", "check", file); code != exitFailed ||
		!strings.Contains(stdout, "press-line-2.key does not exist") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// TestIdentityCheckBesideGateway: while a gateway runs its session is left
// alone, unless that is forced.
func TestIdentityCheckBesideGateway(t *testing.T) {
	c, file, queue := identityRig(t)
	connects := make(chan string, 10)
	c.ScriptConnect(func(id string) awsiottest.ConnectVerdict { connects <- id; return awsiottest.ConnectVerdict{} })
	if err := os.Mkdir(queue, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(queue)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	link := bridge.LinkStatus{Connected: true, Since: now.Add(-time.Hour)}
	view := &console.View{Status: func() any { return control.Status{Now: now, Link: link} }}
	server := &http.Server{Handler: view.Handler(), ReadHeaderTimeout: time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })

	code, stdout, _ := call(t, "identity", "check", file)
	want := "skipped      mqtt connect\n             ! the gateway is running and connected for 1 h 0 min, so CONNECT " +
		"works"
	if code != exitDone || !strings.Contains(stdout, want) || len(connects) != 0 {
		t.Errorf("exit %d, %d CONNECTs\n%s", code, len(connects), stdout)
	}
	link.Connected = false
	if _, stdout, _ = call(t, "identity", "check", file); !strings.Contains(stdout, "running and not connected now") ||
		len(connects) != 0 {
		t.Errorf("%d CONNECTs\n%s", len(connects), stdout)
	}
	code, stdout, _ = call(t, "identity", "check", "--connect", file)
	if code != exitDone || !strings.Contains(stdout, "ok           mqtt connect") || len(connects) != 1 {
		t.Errorf("forced: exit %d, %d CONNECTs\n%s", code, len(connects), stdout)
	}
}

func TestIdentityUsage(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"identity"}, exitUsage, "  check FILE [--gateway NAME]"},
		{[]string{"identity", "chekc"}, exitUsage, `no command "chekc": did you mean "check"?`},
		{[]string{"identity", "-h"}, exitDone, "Usage: fieldbridge identity COMMAND"},
		{[]string{"identity", "check", "-h"}, exitDone, "Usage: fieldbridge identity check FILE"},
		{[]string{"identity", "check"}, exitUsage, "which file"},
		{[]string{"identity", "check", "a", "b"}, exitUsage, `unexpected argument "b"`},
		{[]string{"identity", "check", "-h"}, exitDone, "--connect"},
		{[]string{"identity", "check", "/no/such/file.yaml"}, exitUsage, "/no/such/file.yaml"},
	} {
		if code, _, stderr := call(t, tt.args...); code != tt.code || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%v: exit %d, stderr %s", tt.args, code, stderr)
		}
	}
}

// stoppedQueue makes a folder that a gateway ran in.
func stoppedQueue(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "meta"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
