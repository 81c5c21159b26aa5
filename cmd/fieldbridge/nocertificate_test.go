package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/southbound/modbus/modbustest"
)

// TestRunWithoutCertificates: a gateway whose certificate is not made yet polls,
// shows values, keeps them and says what it waits for; when the files come it
// delivers what it kept, by itself.
func TestRunWithoutCertificates(t *testing.T) {
	t.Parallel()
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 731)
	dir := t.TempDir()
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "cloud")})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	identity, err := cloud.Device("early")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "g.yaml")
	if err := os.WriteFile(file, []byte(`
gateway: early
northbound: {awsiot: {endpoint: "`+cloud.Addr()+`", server_name: localhost, certificate: later.pem,
    private_key: later.key, ca: later-ca.pem, topic: t, linger: 100ms}}
southbound:
  modbus: {buses: {b: {url: "tcp://`+sim.Start(t)+`"}}, devices: {d: {bus: b, points: {p: {holding: 0}}}}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	run := spawn(t, dir, bin, "run", file)
	eventually(t, "a value is shown", 20*time.Second, func() bool {
		_, stdout, _ := call(t, "values", "d", file)
		return strings.Contains(stdout, "731")
	})
	for _, want := range []string{"later.pem does not exist", "later.key does not exist", "later-ca.pem does not exist"} {
		if !strings.Contains(run.out.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, run.out)
		}
	}
	eventually(t, "the status says what is waited for", 10*time.Second, func() bool {
		_, stdout, _ := call(t, "status", file)
		return strings.Contains(stdout, "later.pem does not exist: put the file there")
	})
	for from, to := range map[string]string{identity.Certificate: "later.pem", identity.PrivateKey: "later.key",
		cloud.CA(): "later-ca.pem"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "it connects by itself and delivers", 30*time.Second, func() bool {
		_, stdout, _ := call(t, "status", file)
		return strings.Contains(stdout, "uplink   connected to")
	})
}
