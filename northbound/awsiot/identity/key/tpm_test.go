package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/identity/tpm"
	"fieldbridge/northbound/awsiot/identity/tpm/tpmtest"
)

// useTPM gives the machine a TPM for the time of a test.
func useTPM(t *testing.T) *tpmtest.TPM {
	t.Helper()
	chip, before := tpmtest.Start(t), machine
	machine = tpm.At(chip.Path)
	t.Cleanup(func() { machine = before })
	return chip
}

func mustCreate(t *testing.T, p Place) []byte {
	t.Helper()
	contents, err := p.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

func mustOpen(t *testing.T, contents []byte) *Key {
	t.Helper()
	k, err := Open(t.Context(), contents)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certified returns a certificate for k by way of a request that k signs.
func certified(t *testing.T, k crypto.Signer) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "press-line-2"}}, k)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, ca.Public(), ca)
	if err != nil {
		t.Fatal(err)
	}
	if authority, err = x509.ParseCertificate(root); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}, authority, request.PublicKey, ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: k}, roots
}

// shakesHands makes both sides of a handshake prove that they have the key.
func shakesHands(t *testing.T, k crypto.Signer, version uint16) {
	t.Helper()
	pair, roots := certified(t, k)
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	server := tls.Server(there, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: roots,
		ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: version})
	client := tls.Client(here, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "localhost",
		MinVersion: version})
	done := make(chan error, 1)
	go func() {
		_, err := server.Write([]byte{1})
		done <- err
	}()
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Errorf("client: %v", err)
		here.Close()
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
	if got := client.ConnectionState().Version; got != version {
		t.Errorf("version %#x, want %#x", got, version)
	}
}

func TestTPMHandshake(t *testing.T) {
	useTPM(t)
	k := mustOpen(t, mustCreate(t, TPM))
	if k.Copyable || k.Where != "in the TPM" || k.Weakness != "" {
		t.Errorf("%+v", k)
	}
	shakesHands(t, k, tls.VersionTLS12)
	shakesHands(t, k, tls.VersionTLS13)
}

// TestTPMLost tells a key that is gone for good from a TPM that is away.
func TestTPMLost(t *testing.T) {
	chip := useTPM(t)
	contents := mustCreate(t, TPM)
	chip.Clear(t)
	if _, err := Open(t.Context(), contents); !errors.Is(err, ErrLost) {
		t.Errorf("cleared: %v", err)
	}
	if err := Place("tpm:handle=0x81000077").Validate(); err != nil {
		t.Error(err)
	}
	if _, err := Place("tpm:handle=0x81000077").Create(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("no such handle: %v", err)
	}
	machine = tpm.At(t.TempDir() + "/none")
	if _, err := Open(t.Context(), contents); errors.Is(err, ErrLost) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("away: %v", err)
	}
	for _, p := range []Place{"tpm:", "tpm:handle=0x40000001", "TPM"} {
		if err := p.Validate(); !errors.Is(err, ErrPlace) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// TestTPMKeyFile makes sure that the key file holds neither the key nor a way to it for
// anybody but the TPM.
func TestTPMKeyFile(t *testing.T) {
	useTPM(t)
	contents := mustCreate(t, TPM)
	if pemKey(contents) != nil || !bytes.Contains(contents, []byte("-----BEGIN TSS2 PRIVATE KEY-----")) {
		t.Errorf("%s", contents)
	}
	hash, err := Endorsement(t.Context())
	if err != nil || len(hash) != 64 {
		t.Errorf("endorsement %q, %v", hash, err)
	}
}
