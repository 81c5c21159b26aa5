package awsiottest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// Authority is a certificate authority for tests and demonstrations. Its keys
// are ECDSA P-256.
type Authority struct {
	// File is the PEM file with its certificate.
	File string
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Identity is a certificate and its key in PEM files.
type Identity struct {
	Name        string // common name
	Certificate string // file
	PrivateKey  string // file
	ID          string // as AWS calls it: SHA-256 of the certificate, in hex
}

// Terms are what a certificate says beside its name. Zero values are replaced.
type Terms struct {
	NotBefore time.Time // default: an hour ago
	NotAfter  time.Time // default: in a year
	Hosts     []string  // names and addresses of a server; none makes a client certificate
	Subject   pkix.Name // what its subject says beside the common name, which is the name
}

// NewAuthority opens the authority in dir, or makes one there: NAME.pem and
// NAME.key.
func NewAuthority(dir, name string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a := &Authority{File: filepath.Join(dir, name+".pem"), dir: dir}
	keyFile := filepath.Join(dir, name+".key")
	if cert, key, err := loadPair(a.File, keyFile); err == nil {
		a.cert, a.key = cert, key
		return a, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Fieldbridge stand-in " + name, Organization: []string{"not AWS"}},
		NotBefore:             time.Now().Add(-365 * 24 * time.Hour),
		NotAfter:              time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.key = key
	return a, savePair(a.File, keyFile, der, key)
}

// Issue returns the identity called name, from files of an earlier run if there
// are, else new. Its files are named after it.
func (a *Authority) Issue(name string, terms Terms) (Identity, error) {
	path := filepath.Join(a.dir, name)
	id := Identity{Name: name, Certificate: path + ".pem", PrivateKey: path + ".key"}
	if cert, _, err := loadPair(id.Certificate, id.PrivateKey); err == nil {
		id.ID = registry.CertificateID(cert.Raw)
		return id, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Identity{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		NotBefore:    terms.NotBefore,
		NotAfter:     terms.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(365 * 24 * time.Hour)
	}
	template.Subject = terms.Subject
	template.Subject.CommonName = name
	for _, h := range terms.Hosts {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := a.Sign(template, &key.PublicKey)
	if err != nil {
		return Identity{}, err
	}
	id.ID = registry.CertificateID(der)
	return id, savePair(id.Certificate, id.PrivateKey, der, key)
}

// Certificate returns its certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Sign signs a certificate as template describes it, and returns it in DER.
func (a *Authority) Sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	return x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}

func savePair(certFile, keyFile string, der []byte, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	return os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func loadPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("%s or %s has no PEM block", certFile, keyFile)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	return cert, key, nil
}
