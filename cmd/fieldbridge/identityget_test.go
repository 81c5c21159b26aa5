package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/northbound/awsiot/identity/kept"
)

// withIdentity replaces the files of the identity in a configuration.
func withIdentity(t *testing.T, file, text string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), "    certificate: certs/press-line-2.pem\n    private_key: "+
		"certs/press-line-2.key\n", text, 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil || changed == string(data) {
		t.Fatal(err)
	}
}

// signedFor returns the certificate that an authority makes of a request, in PEM.
func signedFor(t *testing.T, request string) (certificate []byte, id string) {
	t.Helper()
	b, _ := pem.Decode([]byte(request))
	csr, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Plant CA"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	leaf := *c
	leaf.Subject, leaf.IsCA, leaf.BasicConstraintsValid = csr.Subject, false, false
	der, err := x509.CreateCertificate(rand.Reader, &leaf, c, csr.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), registry.CertificateID(der)
}

// TestIdentityByHand: a request, its certificate from an authority of the user's, and a
// handshake with it; the files that the configuration names are told as not used.
func TestIdentityByHand(t *testing.T) {
	c, file, _ := identityRig(t)
	code, request, stderr := call(t, "identity", "csr", file)
	if code != exitDone || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	certificate, id := signedFor(t, request)
	answer := filepath.Join(t.TempDir(), "answer.pem")
	if err := os.WriteFile(answer, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong, _, said := call(t, "identity", "install", file, filepath.Join(filepath.Dir(file), "certs", "ca.pem"))
	if wrong != exitFailed || !strings.Contains(said, "none of its certificates is for the key") {
		t.Errorf("exit %d: %s", wrong, said)
	}
	if code, _, stderr = call(t, "identity", "install", file, answer); code != exitDone ||
		!strings.Contains(stderr, "installed") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	c.SetStatus(id, registry.Active)
	code, stdout, _ := call(t, "identity", "check", file, "--connect")
	for _, want := range []string{"from an authority of your own", "in a file, who reads it has a copy", "on trial", id,
		"press-line-2.pem", "connack          0x00"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("exit %d, no %q in\n%s", code, want, stdout)
		}
	}
	if _, _, stderr := call(t, "check", file); !strings.Contains(stderr, "private_key are not used") {
		t.Errorf("check: %s", stderr)
	}
}

// TestIdentityProvision: a person has a claim made, which comes after the key.
func TestIdentityProvision(t *testing.T) {
	c, file, queue := identityRig(t)
	withIdentity(t, file, "    identity: {provision: {template: line}}\n")
	if code, stdout, _ := call(t, "identity", "check", file); code != exitFailed ||
		!strings.Contains(stdout, "no identity yet") || !strings.Contains(stdout, "none yet") {
		t.Errorf("before: exit %d\n%s", code, stdout)
	}
	warned := func() string {
		_, _, stderr := call(t, "check", file)
		return stderr
	}
	if said := warned(); !strings.Contains(said, "the gateway has no identity yet, so 'run' keeps the readings and "+
		"waits: get one with 'fieldbridge identity provision'") {
		t.Errorf("check: %s", said)
	}
	s := authority.New(c.Registry(), c.Authority())
	c.Serve(s)
	code, printed, stderr := call(t, "fleet", "template", file, "--account", "123456789012", "--region", "eu-central-1")
	var template struct {
		TemplateBody json.RawMessage
	}
	if err := json.Unmarshal([]byte(printed), &template); err != nil || code != exitDone {
		t.Fatalf("exit %d: %s %v", code, stderr, err)
	}
	if err := s.AddTemplate(authority.Template{Name: "line", Body: string(template.TemplateBody)}); err != nil {
		t.Fatal(err)
	}
	_, policy, _ := call(t, "fleet", "policy", file, "--account", "123456789012", "--region", "eu-central-1")
	if err := c.Registry().AddPolicy("fieldbridge", policy); err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim("line")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "claim")
	come := make(chan error, 1)
	go func() { // when the key is there
		for {
			if i, err := kept.In(queue).Draft(kept.Trusted); err != nil || i != nil {
				break
			}
			time.Sleep(10 * time.Millisecond) // between two looks at another goroutine's files
		}
		half := dir + "~"
		err := os.Mkdir(half, 0o700)
		for name, text := range map[string]string{"c.pem": claim.CertificatePEM, "k.pem": claim.Private} {
			if err == nil {
				err = os.WriteFile(filepath.Join(half, name), []byte(text), 0o600)
			}
		}
		if err == nil {
			err = os.Rename(half, dir)
		}
		come <- err
	}()
	var asked atomic.Int32 // the first time it is one of too many, which passes
	s.Refuse(func(api authority.API, _ service.Caller) *authority.Rejected {
		if api != authority.RegisterThing || asked.Add(1) > 1 {
			return nil
		}
		return &authority.Rejected{Status: 429, Code: "TooManyRequestsException", Text: "slow down"}
	})
	code, _, stderr = call(t, "identity", "provision", file, "--claim", dir)
	if err := <-come; err != nil || code != exitDone || !strings.Contains(stderr, "key is ready; ") ||
		strings.Count(stderr, "TooManyRequestsException): trying again more slowly\n") != 1 {
		t.Fatalf("exit %d, %v: %s", code, err, stderr)
	}
	s.Refuse(nil)
	if said := warned(); strings.Contains(said, "identity") {
		t.Errorf("check: %s", said)
	}
	code, stdout, _ := call(t, "identity", "check", file, "--connect")
	if code != exitDone || !strings.Contains(stdout, "by a claim that a person had made") ||
		!strings.Contains(stdout, "connack          0x00") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	code, _, stderr = call(t, "identity", "rotate", file)
	if code != exitFailed || !strings.Contains(stderr, "no gateway is running there") {
		t.Errorf("rotate without a gateway: exit %d: %s", code, stderr)
	}
}
