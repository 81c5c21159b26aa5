package main

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
)

// TestCabinetMistakes: `check` knows the mistakes of who stands at a cabinet: each is
// told in its place, and the right file has none of them.
func TestCabinetMistakes(t *testing.T) {
	dir := t.TempDir()
	ca, err := awsiottest.NewAuthority(filepath.Join(dir, "certs"), "ca")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, terms awsiottest.Terms) awsiottest.Identity {
		t.Helper()
		id, err := ca.Issue(name, terms)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	own := issue("press-line-2", awsiottest.Terms{})
	old := issue("old", awsiottest.Terms{NotBefore: time.Now().Add(-48 * time.Hour),
		NotAfter: time.Now().Add(-24 * time.Hour)})
	ending := issue("ending", awsiottest.Terms{NotAfter: time.Now().Add(48 * time.Hour)})
	for _, name := range []string{own.PrivateKey, old.PrivateKey, ending.PrivateKey} {
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "afile"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(own.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	for name, data := range map[string][]byte{"der": block.Bytes, "p12": {0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x03}} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	right := `gateway: press-line-2
northbound:
  awsiot:
    endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com
    certificate: ` + own.Certificate + `
    private_key: ` + own.PrivateKey + `
    topic: plant/{gateway}
store: {dir: queue}
southbound:
  modbus:
    buses:
      plc: {url: "tcp://10.0.0.5:502"}
    devices:
      boiler: {bus: plc, points: {a: {input: 1}}}
      pump: {bus: plc, unit_id: 2, points: {a: {holding: 1}, b: {ref: 40001}}}
      meter: {bus: plc, unit_id: 3, profile: sma-inverter}
  mqtt:
    brokers: {local: {listen: "127.0.0.1:1883"}}
    sensors:
      one: {broker: local, topic: a/b, device: hall, point: t}
      two: {broker: local, topic: a/c, device: hall, point: u}
`
	file := filepath.Join(dir, "gateway.yaml")
	check := func(content string) (int, string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := call(t, "check", file)
		return code, stderr
	}
	if code, text := check(right); code != exitDone || text != "" {
		t.Fatalf("the right file: exit code %d\n%s", code, text)
	}
	for _, tt := range []struct {
		old, new string
		code     int
		want     string // a part of what is told
		caret    string // what the caret stands under
	}{
		{"{input: 1}", "{input: 30001}", exitDone,
			"if it is the manual's notation write ref: 30001, which is input: 0; else leave it", "30001"},
		{"{holding: 1}, b", "{holding: 40101}, c: {discrete: 10001}, b", exitDone,
			"holding: 40101 is read at address 40101 on the wire (and another point of the device is alike)", "40101"},
		{"{input: 1}", "{input: 300001}", exitUsage, "write ref: 300001", "300001"},
		{"unit_id: 2", "unit_id: 1", exitDone, "device boiler is unit 1 of this bus, too", "1, points"},
		{`"tcp://10.0.0.5:502"`, "rtu:///dev/ttyNONE", exitDone, "/dev/ttyNONE is not there: ", "rtu:"},
		{"a1b2c3d4-ats.", "a1b2c3d4.", exitDone, "no data endpoint of AWS IoT with -ats", "a1b2"},
		{"a1b2c3d4-ats.", "c1b2c3d4.credentials.", exitDone, "no data endpoint of AWS IoT with -ats", "c1b2"},
		{"amazonaws.com", "amazonaws.com:1883", exitDone, "port 1883 is MQTT without TLS", "a1b2"},
		{"eu-central-1", "eu-centrl-1", exitDone, "eu-centrl-1 is not how AWS names its regions", "a1b2"},
		{"10.0.0.5", "10.0.0.500", exitDone, "10.0.0.500 is no address: an IPv4 address is four numbers", `"tcp`},
		{"10.0.0.5", "10.0.5", exitDone, "10.0.5 is no address", `"tcp`},
		{`"tcp://10.0.0.5:502"`, "rtu://" + filepath.Join(dir, "afile"), exitDone, "afile is no serial port: name one",
			"rtu:"},
		{"{input: 1}", "{input: 1, type: float32}, b: {input: 2, type: int32}", exitDone,
			"input: 2 is in the middle of point a, which takes the registers 1 to 2", "2, type"},
		{"southbound:\n", "console: {listen: \":1883\"}\nsouthbound:\n", exitDone,
			"broker local listens on port 1883, too: one of them cannot", `":1883`},
		{"127.0.0.1:1883\"}}", "127.0.0.1:1883\"}, b: {listen: \"127.0.0.1:1883\"}}", exitDone,
			"listens on port 1883, too: one of them cannot: give one of them another port", `"127`},
		{"amazonaws.com", "amazonaws.com:80", exitDone, "on ports 8883 and 443 alone", "a1b2"},
		{own.PrivateKey, old.PrivateKey, exitDone, "does not belong to the certificate", dir},
		{own.PrivateKey, filepath.Join(dir, "afile"), exitDone, "there is no PEM private key in it", dir},
		{own.Certificate, filepath.Join(dir, "afile"), exitDone, "there is no PEM certificate in it", dir},
		{own.Certificate, own.PrivateKey, exitDone, "no PEM certificate in it, but a private key: name the certificate; are",
			dir},
		{own.PrivateKey, own.Certificate, exitDone, "no PEM private key in it, but a certificate: name the private key", dir},
		{own.Certificate, filepath.Join(dir, "der"), exitDone, "in it, but one in DER: turn it into PEM: openssl x509", dir},
		{own.Certificate, filepath.Join(dir, "p12"), exitDone, "in it, but something in DER, as a PKCS #12 file", dir},
		{"press-line-2.", "old.", exitDone, "the certificate has expired on ", dir},
		{"press-line-2.", "ending.", exitDone, "the certificate expires on ", dir},
		{"{dir: queue}", "{dir: afile}", exitUsage, "the queue's folder cannot be ", "afile"},
		{"{dir: queue}", "{dir: afile/queue}", exitUsage, "the queue's folder cannot be ", "afile"},
		{"point: u", "point: t", exitDone, "rule one makes point t of device hall, too", "hall"},
		{"tcp://10.0.0.5:502\"}", "tls://10.0.0.5\", tls: {certificate: " + old.Certificate + ", private_key: " +
			old.PrivateKey + "}}", exitDone, "the certificate has expired on ", dir},
	} {
		content := strings.ReplaceAll(right, tt.old, tt.new)
		code, text := check(content)
		at := strings.Index(text, tt.want)
		if code != tt.code || at < 0 {
			t.Errorf("%s: exit code %d\n%s", tt.new, code, text)
			continue
		}
		lines := strings.SplitN(text[at:], "\n", 4)
		if len(lines) < 3 || !strings.Contains(lines[2], "^") ||
			!strings.HasPrefix(string([]rune(lines[1])[strings.Index(lines[2], "^"):]), tt.caret) {
			t.Errorf("%s: the caret is not under %q\n%s", tt.new, tt.caret, text)
		}
	}
}

// TestCertificateOfASibling: in a fleet the certificate may be another gateway's.
func TestCertificateOfASibling(t *testing.T) {
	dir := t.TempDir()
	ca, err := awsiottest.NewAuthority(filepath.Join(dir, "certs"), "ca")
	if err != nil {
		t.Fatal(err)
	}
	id, err := ca.Issue("gw-2", awsiottest.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "fleet.yaml")
	if err := os.WriteFile(file, []byte(`fleet: plant
defaults:
  northbound:
    awsiot: {endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com, certificate: `+id.Certificate+`,
      private_key: `+id.PrivateKey+`, topic: "plant/{gateway}"}
  southbound: {modbus: {buses: {b: {url: "tcp://10.0.0.5"}}, devices: {d: {bus: b, points: {p: {coil: 1}}}}}}
gateways: {gw-1: {}, gw-2: {}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "the certificate is of gateway gw-2 of this fleet"
	for gateway, told := range map[string]bool{"gw-1": true, "gw-2": false} {
		if _, _, stderr := call(t, "check", file, "--gateway", gateway); strings.Contains(stderr, want) != told {
			t.Errorf("%s: %s", gateway, stderr)
		}
	}
}

// TestOfflineAndPrice: `check` says how long the gateway can be offline, what ends it,
// and what a longer linger would cost.
func TestOfflineAndPrice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "g.yaml")
	for store, want := range map[string]string{
		"":            "you can be offline for about 30 days, then max_age 30d drops the oldest readings",
		"max_age: 0s": "you can be offline for about 78 days, then max_size 1GiB drops the oldest readings",
		"max_size: 16MiB, when_full: drop-newest": "you can be offline for about 29 h 29 min, then max_size " +
			"16MiB drops the newest readings",
	} {
		if err := os.WriteFile(file, []byte(`gateway: g
northbound: {awsiot: {endpoint: a1b2c3d4-ats.iot.eu-west-1.amazonaws.com, certificate: a, private_key: b, topic: t}}
store: {`+store+`}
southbound: {modbus: {devices: {d: {url: "tcp://10.0.0.5", points: {a: {holding: 1}, b: {holding: 2}}}}}}
`), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stdout, _ := call(t, "check", file)
		for _, want := range []string{want, "(about 1.54 USD at ",
			"linger: 10s would make it about 0.24 USD; readings come up to 10s later"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: there is no %q in\n%s", store, want, stdout)
			}
		}
	}
}
