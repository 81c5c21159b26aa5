package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/northbound/awsiot/identity/tpm/tpmtest"
)

// TestKeyInTPM goes through all steps to the stand-in with a key that a TPM made, whose
// request the authority signed; and says what is wrong when the TPM was cleared.
func TestKeyInTPM(t *testing.T) {
	chip := tpmtest.Start(t)
	t.Setenv("FIELDBRIDGE_TPM", chip.Path)
	r := newRig(t)
	contents, err := key.TPM.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, err := key.Open(t.Context(), contents)
	if err != nil {
		t.Fatal(err)
	}
	text, err := enrol.Request(k, "press-line-2")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(text)
	request, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := r.ca.Sign(&x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "press-line-2"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, request.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := filepath.Join(r.dir, "tpm.pem")
	for name, text := range map[string][]byte{certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		filepath.Join(r.dir, "tpm.key"): contents} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.use(awsiottest.Identity{Certificate: certificate, PrivateKey: filepath.Join(r.dir, "tpm.key")})
	choice := (life.New(life.Options{Gateway: "press-line-2"})).Choose(&r.o.Config, &life.Settings{})
	r.o.Pair = choice.Pair
	cloud := r.cloud(nil)
	sum := sha256.Sum256(der)
	id := hex.EncodeToString(sum[:])
	cloud.Registry().AddCertificate(registry.Certificate{ID: id, DER: der, Status: registry.Active, Plain: true})
	report := r.run(t.Context())
	if !report.OK || !strings.Contains(fmt.Sprint(report.Step(CertificateVerify).Facts), "ECDSA with SHA-256") {
		t.Errorf("%s", report.Text())
	}
	chip.Clear(t)
	report = r.run(t.Context())
	if s := report.Step(Files); report.OK || !strings.Contains(s.Text, "this TPM was cleared") || s.Fix == "" {
		t.Errorf("%s", report.Text())
	}
}
