package accounttest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	anything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}`
	fleet    = `{"Parameters":{"Name":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},
		"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"},
			"ThingGroups":["canary"]}},
		"certificate":{"Type":"AWS::IoT::Certificate","Properties":{
			"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}},
		"policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"gateways"}}},
		"DeviceConfiguration":{"site":"north"}}`
)

// start starts an account with a template, and a claim for it.
func start(t *testing.T) (a *Account, claim awsiottest.Identity) {
	t.Helper()
	a, err := Start(awsiottest.Options{Dir: t.TempDir()}, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	if claim, err = a.Authority().Issue("claim", awsiottest.Terms{}); err != nil {
		t.Fatal(err)
	}
	_, admitted := a.Provisioning.AdmitClaim(claim.Certificate, "fleet")
	for _, err := range []error{a.Registry().AddPolicy("gateways", anything),
		a.Registry().AddGroup(registry.Group{Name: "canary"}),
		a.Provisioning.AddTemplate(authority.Template{Name: "fleet", Body: fleet}), admitted} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return a, claim
}

// TestDeviceSDK: AWS's own SDK for JavaScript gets its identity by a claim, does a
// job and reports to its shadow. Its native part comes with the package from npm.
func TestDeviceSDK(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: this client of AWS's is tried where it is there")
	}
	modules, err := filepath.Abs("../../../bin/npm/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "aws-iot-device-sdk-v2")); err != nil {
		t.Skip("aws-iot-device-sdk-v2 is not there: `make npm` fetches it")
	}
	a, claim := start(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The job waits for the thing before there is one.
	err = a.Jobs.Create(jobs.Job{ID: "j", Document: `{"operation":"x"}`, Groups: []string{"canary"}, Continuous: true})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(a.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/device.js", "localhost", port, a.CA(), claim.Certificate,
		claim.PrivateKey, file("csr.pem", "CERTIFICATE REQUEST", csr), file("key.pem", "PRIVATE KEY", private),
		filepath.Join(dir, "cert.pem"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"refused": "InvalidCertificateOwnershipToken", "thing": "press-1",
		"configuration": map[string]any{"site": "north"}, "pending": []any{"j"},
		"document": map[string]any{"operation": "x"}, "mismatch": []any{"VersionMismatch", "IN_PROGRESS"}, "version": 1.0,
		"reported": map[string]any{"version": "1.2.3"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the SDK saw (-want +got):\n%s", diff)
	}
	e := a.Jobs.Executions("j", "press-1")
	if len(e) != 1 || e[0].Status != jobs.Succeeded || e[0].Details["step"] != "done" {
		t.Errorf("executions %+v", e)
	}
}

// TestMosquitto: mosquitto_rr asks for a certificate with a claim, and mosquitto_pub
// may publish nothing else with it.
func TestMosquitto(t *testing.T) {
	a, claim := start(t)
	_, port, _ := net.SplitHostPort(a.Addr())
	run := func(program string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		all := append([]string{"-V", "5", "-h", "localhost", "-p", port, "--cafile", a.CA(), "--cert", claim.Certificate,
			"--key", claim.PrivateKey, "-i", "claim-1"}, args...)
		out, _ := exec.CommandContext(ctx, needtest.Program(t, program), all...).CombinedOutput()
		return string(out)
	}
	const topic = "$aws/certificates/create-from-csr/json"
	out := run("mosquitto_rr", "-t", topic, "-e", topic+"/rejected", "-m", `{"certificateSigningRequest":"x"}`)
	var answer map[string]any
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer["statusCode"] != 400.0 {
		t.Errorf("%v\n%s", err, out)
	}
	out = run("mosquitto_pub", "-q", "1", "-t", "plant/1", "-m", "x", "-d")
	if !strings.Contains(out, "RC:135") {
		t.Errorf("mosquitto_pub:\n%s", out)
	}
}
