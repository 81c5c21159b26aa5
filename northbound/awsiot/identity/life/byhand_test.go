package life

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/uplink"
)

// office is an authority of the user's with one below it.
type office struct {
	root, between       *x509.Certificate
	rootKey, betweenKey *ecdsa.PrivateKey
}

func newOffice(t *testing.T) *office {
	o := &office{}
	o.root, o.rootKey = o.issue(t, "Plant Root", nil, nil, nil, 0)
	o.between, o.betweenKey = o.issue(t, "Plant CA", o.root, o.rootKey, nil, 0)
	return o
}

// issue signs a certificate; without a request for a new key, of an authority.
func (o *office) issue(t *testing.T, name string, by *x509.Certificate, with *ecdsa.PrivateKey,
	request *x509.CertificateRequest, expired time.Duration, usage ...x509.ExtKeyUsage) (*x509.Certificate,
	*ecdsa.PrivateKey) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90*24*time.Hour - expired),
		IsCA: request == nil, BasicConstraintsValid: true, ExtKeyUsage: usage}
	var public any = k.Public()
	if request != nil {
		public = request.PublicKey
	} else {
		c.KeyUsage = x509.KeyUsageCertSign
	}
	if by == nil {
		by, with = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, public, with)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert, k
}

// requested returns the request that a gateway prints.
func requested(t *testing.T, h *house) *x509.CertificateRequest {
	t.Helper()
	text, err := h.Request(context.Background(), "")
	must(t, err)
	again, err := h.Request(context.Background(), "")
	must(t, err)
	if !bytes.Equal(text, again) {
		t.Error("another request each time")
	}
	b, _ := pem.Decode(text)
	request, err := x509.ParseCertificateRequest(b.Bytes)
	must(t, err)
	must(t, request.CheckSignature())
	if request.Subject.CommonName != "press" {
		t.Errorf("request for %s", request.Subject)
	}
	return request
}

// TestInstall: what an authority sends in any order, with what is of no use, ends as our
// own certificate first and then who signed it; the root stays out.
func TestInstall(t *testing.T) {
	o := newOffice(t)
	h := newHouse(t)
	h.settings.Provision = Provision{}
	if _, err := h.Install(context.Background(), encode([]*x509.Certificate{o.root})); !errors.Is(err, ErrNoRequest) {
		t.Errorf("without a request: %v", err)
	}
	request := requested(t, h)
	leaf, _ := o.issue(t, "press", o.between, o.betweenKey, request, 0, x509.ExtKeyUsageClientAuth)
	notes, err := h.Install(context.Background(), encode([]*x509.Certificate{o.root, o.between, leaf}))
	must(t, err)
	if len(notes) != 1 || !strings.Contains(notes[0], "of 3 certificates 2 are kept") {
		t.Errorf("notes %q", notes)
	}
	c := h.choose()
	chain, err := parse(c.Certificate())
	must(t, err)
	if c.Kind != OnTrial || !slices.EqualFunc(chain, []*x509.Certificate{leaf, o.between}, (*x509.Certificate).Equal) {
		t.Errorf("%s with %d certificates", c.Kind, len(chain))
	}
	// Where the cloud registers what it does not know, it refuses the first connections;
	// there is nothing else, so it is tried for as long as it takes.
	for range 100 {
		h.refuse(h.choose(), uplink.Closed, "closed")
	}
	if c := h.connects(t); c.Kind != OnTrial || h.choose().Kind != Managed {
		t.Errorf("%s, then %s", c.Kind, h.choose().Kind)
	}
	// The next one is of a new key; refused, the one before is used again, and its
	// request still waits.
	request = requested(t, h)
	leaf, _ = o.issue(t, "press", o.between, o.betweenKey, request, 0)
	_, err = h.Install(context.Background(), leaf.Raw)
	must(t, err)
	if !h.Newer(Choice{Kind: Managed}) {
		t.Error("a running gateway does not see it")
	}
	h.trial.first = time.Now().Add(-time.Hour)
	h.trial.count = mostRefusals
	h.refuse(h.choose(), uplink.Declined, "unknown ca")
	if c := h.choose(); c.Kind != Managed {
		t.Errorf("%s after refusals", c.Kind)
	}
	if d, err := h.store.Draft(kept.OwnCA); err != nil || d == nil {
		t.Errorf("the certificate that a person had made is gone: %v", err)
	}
}

func TestInstallRefuses(t *testing.T) {
	o := newOffice(t)
	h := newHouse(t)
	request := requested(t, h)
	expired, _ := o.issue(t, "press", o.between, o.betweenKey, request, 91*24*time.Hour)
	server, _ := o.issue(t, "press", o.between, o.betweenKey, request, 0, x509.ExtKeyUsageServerAuth)
	for name, answer := range map[string][]byte{
		"none of its certificates is for the key": encode([]*x509.Certificate{o.between}),
		"has expired on":                expired.Raw,
		"not made for clients":          server.Raw,
		"there is no certificate in it": []byte("<html>log in</html>"),
		"cannot be read":                pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}),
	} {
		if _, err := h.Install(context.Background(), answer); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := h.choose(); c.Kind != ByClaim {
		t.Errorf("%s is used", c.Kind)
	}
}

// TestTrustedUser: the key is there before the claim, whose five minutes run then.
func TestTrustedUser(t *testing.T) {
	h := newHouse(t)
	must(t, h.Ready(context.Background(), ""))
	draft, err := h.store.Draft(kept.Trusted)
	must(t, err)
	by, err := h.By(string(h.settings.Provision.Claim))
	must(t, err)
	must(t, h.Obtain(context.Background(), h.cloud.connect(), by.way, &h.settings, by.by))
	h.connects(t)
	c := h.choose()
	if c.Kind != Managed || c.is.Way != kept.Trusted || !bytes.Equal(c.is.Key, draft.Key) {
		t.Errorf("%s %s", c.Kind, c.is.Way)
	}
	if _, err := by.Own()(); err == nil || !uplink.Explain(err).Act {
		t.Errorf("a claim is no identity: %v", err)
	}
}

// FuzzParse: no answer of an authority ends the program.
func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if certs, err := parse(answer); err == nil && len(certs) == 0 {
			t.Error("no certificate and no error")
		}
	})
}
