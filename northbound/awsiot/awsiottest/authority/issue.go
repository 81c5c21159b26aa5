package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// forever is until when the certificates of AWS are valid.
var forever = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)

// Issue signs a public key, as AWS does: with a subject of its own, and valid until
// 2049. The certificate is registered with a state.
func (s *Service) Issue(public crypto.PublicKey, state registry.Status) (registry.Certificate, error) {
	return s.issue(public, state, time.Now().Add(-2*time.Minute), forever)
}

func (s *Service) issue(public crypto.PublicKey, state registry.Status, from, to time.Time) (
	registry.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return registry.Certificate{}, err
	}
	der, err := s.signer.Sign(&x509.Certificate{SerialNumber: serial, NotBefore: from, NotAfter: to,
		Subject:  pkix.Name{CommonName: "AWS IoT Certificate"},
		KeyUsage: x509.KeyUsageDigitalSignature}, public)
	if err != nil {
		return registry.Certificate{}, err
	}
	c := registry.Certificate{ID: registry.CertificateID(der), DER: der, Status: state}
	s.registry.AddCertificate(c)
	return c, nil
}

// FromCSR signs a request in PEM and registers the certificate with a state.
func (s *Service) FromCSR(text string, state registry.Status) (registry.Certificate, *Rejected) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return registry.Certificate{}, badCSR("it is no PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return registry.Certificate{}, badCSR(err.Error())
	}
	switch key := csr.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return registry.Certificate{}, badCSR("the RSA key has less than 2048 bits")
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return registry.Certificate{}, badCSR("the curve is none of P-256, P-384, P-521")
		}
	default:
		return registry.Certificate{}, badCSR("the key is neither RSA nor ECDSA")
	}
	s.mu.Lock()
	validity := s.validity
	s.mu.Unlock()
	from, to := time.Now().Add(-2*time.Minute), forever
	if validity != nil {
		from, to = validity(csr)
	}
	c, err := s.issue(csr.PublicKey, state, from, to)
	if err != nil {
		return c, &Rejected{Status: 500, Code: "InternalFailure", Text: err.Error()}
	}
	return c, nil
}

func badCSR(why string) *Rejected {
	return &Rejected{Status: 400, Code: "InvalidCertificateSigningRequest", Text: "The CSR is not valid: " + why}
}

// WithKeys makes a key pair as AWS does, RSA of 2048 bits, and a certificate of it.
func (s *Service) WithKeys(state registry.Status) (c registry.Certificate, privateKey, publicKey string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return c, "", "", err
	}
	if c, err = s.Issue(&key.PublicKey, state); err != nil {
		return c, "", "", err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return c, "", "", err
	}
	asPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return c, asPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), asPEM("PUBLIC KEY", public), nil
}

func (s *Service) fromCSR(text string) (map[string]any, *Rejected) {
	c, rejected := s.FromCSR(text, registry.PendingActivation)
	if rejected != nil {
		return nil, rejected
	}
	return map[string]any{"certificateId": c.ID, "certificatePem": c.PEM(),
		"certificateOwnershipToken": s.own(c.ID)}, nil
}

func (s *Service) withKeys() (map[string]any, *Rejected) {
	c, private, _, err := s.WithKeys(registry.PendingActivation)
	if err != nil {
		return nil, &Rejected{Status: 500, Code: "InternalFailure", Text: err.Error()}
	}
	return map[string]any{"certificateId": c.ID, "certificatePem": c.PEM(), "privateKey": private,
		"certificateOwnershipToken": s.own(c.ID)}, nil
}

// ClaimPolicy returns the least policy of a claim for a template: to ask for a
// certificate by a CSR, and to be registered.
func ClaimPolicy(template string) string {
	const arn = "arn:aws:iot:eu-central-1:123456789012:"
	statement := func(action, kind string) string {
		return fmt.Sprintf(`{"Effect":"Allow","Action":%s,"Resource":["%s%s/$aws/certificates/create-from-csr/*",`+
			`"%s%s/$aws/provisioning-templates/%s/provision/*"]}`, action, arn, kind, arn, kind, template)
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},` +
		statement(`["iot:Publish","iot:Receive"]`, "topic") + "," + statement(`"iot:Subscribe"`, "topicfilter") + `]}`
}

// AdmitClaim makes a claim for a template of the certificate in a PEM file.
func (s *Service) AdmitClaim(file, template string) (registry.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return registry.Certificate{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return registry.Certificate{}, fmt.Errorf("%s has no PEM block", file)
	}
	c := registry.Certificate{ID: registry.CertificateID(block.Bytes), DER: block.Bytes, Status: registry.Active}
	return c, s.admit(c, template)
}

func (s *Service) admit(c registry.Certificate, template string) error {
	policy := "claim-" + template
	if _, _, ok := s.registry.Policy(policy); !ok {
		if err := s.registry.AddPolicy(policy, ClaimPolicy(template)); err != nil {
			return err
		}
	}
	s.registry.AddCertificate(c)
	return s.registry.AttachPolicy(policy, c.ID)
}

// TrustedClaim is what CreateProvisioningClaim returns: an identity for one device,
// for five minutes.
type TrustedClaim struct {
	ID                              string
	CertificatePEM, Private, Public string // PEM
	Expires                         time.Time
}

// Claim makes a claim of a trusted user for a template. After five minutes AWS
// forgets it.
func (s *Service) Claim(template string) (TrustedClaim, error) {
	if _, ok := s.Template(template); !ok {
		return TrustedClaim{}, &registry.Error{Code: "ResourceNotFoundException", Text: "there is no template " + template}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return TrustedClaim{}, err
	}
	expires := time.Now().Add(ClaimLife)
	c, err := s.issue(&key.PublicKey, registry.Active, time.Now().Add(-2*time.Minute), expires)
	if err != nil {
		return TrustedClaim{}, err
	}
	c.Hidden = true
	if err := s.admit(c, template); err != nil {
		return TrustedClaim{}, err
	}
	time.AfterFunc(ClaimLife, func() { s.registry.SetStatus(c.ID, "") })
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return TrustedClaim{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return TrustedClaim{}, err
	}
	asPEM := func(kind string, der []byte) string {
		var b strings.Builder
		_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // to memory
		return b.String()
	}
	return TrustedClaim{ID: c.ID, CertificatePEM: c.PEM(), Private: asPEM("EC PRIVATE KEY", private),
		Public: asPEM("PUBLIC KEY", public), Expires: expires}, nil
}
