package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fieldbridge/setting"
)

// chain gives the gateway a certificate for key that an intermediate authority
// has signed, and both certificates in its file.
func (r *rig) chain(key any) {
	r.t.Helper()
	root, rootKey := r.signer()
	middleKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Plant CA"}, IsCA: true,
		BasicConstraintsValid: true,
		NotBefore:             time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign}
	middle := r.sign(template, root, &middleKey.PublicKey, rootKey)
	leaf := r.sign(&x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "press-line-2"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(300 * 24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, middle, key.(crypto.Signer).Public(), middleKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(r.dir, "chain.crt"), filepath.Join(r.dir, "chain.key8")
	r.write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	r.write(certFile, append(pemOf(leaf), pemOf(middle)...))
	r.o.Config.Certificate, r.o.Config.PrivateKey = setting.Path(certFile), setting.Path(keyFile)
}

// signer returns the rig's authority as it signs.
func (r *rig) signer() (*x509.Certificate, *ecdsa.PrivateKey) {
	r.t.Helper()
	rootPEM, err := os.ReadFile(r.ca.File)
	if err != nil {
		r.t.Fatal(err)
	}
	keyPEM, err := os.ReadFile(strings.TrimSuffix(r.ca.File, ".pem") + ".key")
	if err != nil {
		r.t.Fatal(err)
	}
	rootBlock, _ := pem.Decode(rootPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	root, err := x509.ParseCertificate(rootBlock.Bytes)
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		r.t.Fatal(err)
	}
	return root, key
}

func (r *rig) sign(template, parent *x509.Certificate, public, key any) *x509.Certificate {
	r.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		r.t.Fatal(err)
	}
	return cert
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// reorder writes the certificates of the gateway's file in another order.
func (r *rig) reorder(order ...int) {
	r.t.Helper()
	certs, err := readCertificates(r.o.Config.Certificate)
	if err != nil {
		r.t.Fatal(err)
	}
	var b bytes.Buffer
	for _, i := range order {
		b.Write(pemOf(certs[i]))
	}
	r.write(string(r.o.Config.Certificate), b.Bytes())
}

// append puts another file's certificates behind the gateway's.
func (r *rig) append(file string) {
	r.t.Helper()
	var all []byte
	for _, f := range []string{string(r.o.Config.Certificate), file} {
		data, err := os.ReadFile(f)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, data...)
	}
	r.write(string(r.o.Config.Certificate), all)
}

func (r *rig) write(file string, data []byte) {
	r.t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) chmod(file string, mode os.FileMode) {
	r.t.Helper()
	if err := os.Chmod(file, mode); err != nil {
		r.t.Fatal(err)
	}
}
