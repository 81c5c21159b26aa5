package authority

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// CA is a certificate authority that is registered with the account.
type CA struct {
	ID           string // set by [Service.RegisterCA]
	Certificate  *x509.Certificate
	Status       registry.Status // Active, or Inactive: it registers nobody; default Active
	AutoRegister bool            // unknown certificates that it has signed are registered when they are shown
	// Template is the name of a template of kind [JITP], or "": then a certificate
	// stays pending until somebody activates it.
	Template string
	// Refusals is how many connections are refused before a template has done its
	// work, which takes AWS a moment; at least one is.
	Refusals int
}

// Announce is told by the broker how events are published.
func (s *Service) Announce(publish func(topic string, payload []byte) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish = publish
}

// RegisterCA registers a CA, or changes what is known of it, and returns its id.
func (s *Service) RegisterCA(ca CA) (string, error) {
	if !ca.Certificate.IsCA {
		return "", &registry.Error{Code: "CertificateValidationException", Text: "the certificate is none of a CA"}
	}
	if t, ok := s.Template(ca.Template); ca.Template != "" && (!ok || t.Kind != JITP) {
		return "", &registry.Error{Code: "InvalidRequestException",
			Text: "there is no template " + ca.Template + " of kind JITP"}
	}
	ca.ID = registry.CertificateID(ca.Certificate.Raw)
	if ca.Status == "" {
		ca.Status = registry.Active
	}
	ca.Refusals = max(ca.Refusals, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cas[ca.ID] = &ca
	return ca.ID, nil
}

// ChangeCA changes a CA.
func (s *Service) ChangeCA(id string, change func(*CA)) error {
	s.mu.Lock()
	ca := s.cas[id]
	if ca == nil {
		s.mu.Unlock()
		return &registry.Error{Code: "ResourceNotFoundException", Text: "there is no CA " + id}
	}
	next := *ca
	s.mu.Unlock()
	change(&next)
	_, err := s.RegisterCA(next)
	return err
}

// CAs returns the CAs, sorted by id.
func (s *Service) CAs() (all []CA) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.cas)) {
		all = append(all, *s.cas[id])
	}
	return all
}

// DeleteCA forgets a CA that is not active. The certificates that it has signed
// stay.
func (s *Service) DeleteCA(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ca := s.cas[id]
	if ca == nil {
		return &registry.Error{Code: "ResourceNotFoundException", Text: "there is no CA " + id}
	}
	if ca.Status == registry.Active {
		return &registry.Error{Code: "CertificateStateException", Text: "the CA is active: deactivate it first"}
	}
	delete(s.cas, id)
	return nil
}

// RegistrationCode returns what must be the common name of the certificate by which
// the owner of a CA proves that he has its key.
func (s *Service) RegistrationCode() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.code == "" {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // does not fail
		s.code = hex.EncodeToString(b)
	}
	return s.code
}

// Verify checks the proof that somebody owns a CA.
func (s *Service) Verify(ca, proof *x509.Certificate) error {
	if err := proof.CheckSignatureFrom(ca); err != nil {
		return &registry.Error{Code: "CertificateValidationException", Text: "verification certificate: " + err.Error()}
	}
	if proof.Subject.CommonName != s.RegistrationCode() {
		return &registry.Error{Code: "RegistrationCodeValidationException",
			Text: "the verification certificate's common name is not the registration code"}
	}
	return nil
}

// signedBy returns the CA that has signed a leaf.
func (s *Service) signedBy(leaf *x509.Certificate) (CA, bool) {
	for _, ca := range s.CAs() {
		if leaf.CheckSignatureFrom(ca.Certificate) == nil {
			return ca, true
		}
	}
	return CA{}, false
}

// Register registers a certificate in a state as RegisterCertificate does: its CA
// is registered, or need not be.
func (s *Service) Register(leaf *x509.Certificate, state registry.Status, withoutCA bool) (string, error) {
	id := registry.CertificateID(leaf.Raw)
	ca, ok := s.signedBy(leaf)
	switch {
	case s.registry.Status(id) != "":
		return "", &registry.Error{Code: "ResourceAlreadyExistsException", Text: "the certificate is registered"}
	case !ok && !withoutCA:
		return "", &registry.Error{Code: "CertificateValidationException", Text: "its CA is not registered"}
	}
	s.registry.AddCertificate(registry.Certificate{ID: id, DER: leaf.Raw, Status: state, CA: ca.ID})
	return id, nil
}

// Arrives is told by the broker of each certificate that is not active, before its
// connection is closed: that is when AWS registers and provisions just in time.
func (s *Service) Arrives(leaf *x509.Certificate) {
	ca, ok := s.signedBy(leaf)
	if !ok || ca.Status != registry.Active || !ca.AutoRegister {
		return
	}
	id := registry.CertificateID(leaf.Raw)
	s.mu.Lock()
	s.seen[id]++
	seen := s.seen[id]
	s.mu.Unlock()
	if s.registry.Status(id) == "" {
		s.registry.AddCertificate(registry.Certificate{ID: id, DER: leaf.Raw, Status: registry.PendingActivation, CA: ca.ID})
		s.say("$aws/events/certificates/registered/"+ca.ID, map[string]any{"certificateId": id, "caCertificateId": ca.ID,
			"certificateStatus": registry.PendingActivation, "awsAccountId": "123456789012",
			"timestamp": time.Now().UnixMilli()})
	}
	if ca.Template == "" || seen < ca.Refusals || s.registry.Status(id) != registry.PendingActivation {
		return
	}
	t, ok := s.Template(ca.Template)
	if !ok {
		return
	}
	if _, _, err := s.apply(&t.body, id, subject(leaf)); err != nil {
		s.mu.Lock()
		s.failures[id] = err.Error()
		s.mu.Unlock()
	}
}

// Failure returns why a certificate could not be provisioned just in time and stays
// pending, "" if it was not tried or is well.
func (s *Service) Failure(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures[id]
}

// say publishes an event. One that cannot be published is lost, as with AWS.
func (s *Service) say(topic string, v any) {
	s.mu.Lock()
	publish := s.publish
	s.mu.Unlock()
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // we make only what it can say
	}
	if publish != nil {
		_ = publish(topic, data)
	}
}

// subject returns the parameters that a certificate gives to a template. What is
// not in it is not there.
func subject(leaf *x509.Certificate) map[string]string {
	out := map[string]string{}
	put := func(name string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			out["AWS::IoT::Certificate::"+name] = values[0]
		}
	}
	n := leaf.Subject
	put("Country", n.Country...)
	put("Organization", n.Organization...)
	put("OrganizationalUnit", n.OrganizationalUnit...)
	put("StateName", n.Province...)
	put("CommonName", n.CommonName)
	put("SerialNumber", n.SerialNumber)
	for _, a := range n.Names {
		if a.Type.String() == "2.5.4.46" { // dnQualifier, RFC 4519
			text, _ := a.Value.(string)
			put("DistinguishedNameQualifier", text)
		}
	}
	return out
}

// Activate does what a backend does on the event of a registration: it attaches a
// thing, which is made, and a policy, and activates the certificate.
func (s *Service) Activate(id, thing, policy string) error {
	if err := s.registry.AddThing(registry.Thing{Name: thing}); err != nil {
		return err
	}
	if err := s.registry.Attach(id, thing, false); err != nil {
		return err
	}
	if err := s.registry.AttachPolicy(policy, id); err != nil {
		return err
	}
	s.registry.SetStatus(id, registry.Active)
	return nil
}
