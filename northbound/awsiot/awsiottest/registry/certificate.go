package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// Status is the state of a certificate.
type Status string

// The states of certificates. Only an active one connects.
const (
	Active   Status = "ACTIVE"
	Inactive Status = "INACTIVE"
	Revoked  Status = "REVOKED"
	// PendingActivation is a certificate that nobody has activated yet: its device
	// was unknown, or has not finished its provisioning.
	PendingActivation Status = "PENDING_ACTIVATION"
	// PendingTransfer is a certificate on its way to another account.
	PendingTransfer Status = "PENDING_TRANSFER"
)

// Certificate is a device's certificate.
type Certificate struct {
	ID       string // see [CertificateID]
	DER      []byte // nil while only its id is known
	Status   Status
	CA       string       // id of the registered CA that has signed it, or ""
	Things   []Attachment // in the order in which they were attached
	Policies []string     // names
	Created  time.Time
	// Plain says that the stand-in itself has made it, or was told no more than its
	// id: its common name is its thing, and it may do what [rules.DefaultPolicy]
	// says.
	Plain bool
	// Hidden says that it is in no list: a claim of a trusted user.
	Hidden bool
}

// Attachment is a thing that a certificate is attached to.
type Attachment struct {
	Thing     string
	Exclusive bool // EXCLUSIVE_THING: the certificate has no other thing
}

// CertificateID returns the id under which AWS knows a certificate: the SHA-256
// of its DER, in hex.
func CertificateID(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// PEM returns the certificate as a file of it holds it.
func (c *Certificate) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))
}

func (c *Certificate) clone() Certificate {
	copied := *c
	copied.Things, copied.Policies = slices.Clone(c.Things), slices.Clone(c.Policies)
	return copied
}

// AddCertificate registers a certificate; one with its id is replaced, and keeps
// nothing.
func (r *Registry) AddCertificate(c Certificate) {
	c.Created = time.Now()
	c = c.clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.certificates[c.ID] = &c
}

// Certificate returns a certificate, and whether it is known.
func (r *Registry) Certificate(id string) (Certificate, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.certificates[id]; c != nil {
		return c.clone(), true
	}
	return Certificate{}, false
}

// Certificates returns those that a list shows, the oldest first.
func (r *Registry) Certificates() (all []Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.certificates {
		if !c.Hidden {
			all = append(all, c.clone())
		}
	}
	slices.SortFunc(all, func(a, b Certificate) int {
		if n := a.Created.Compare(b.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// SetStatus changes the state of a certificate, or registers one of which only
// the id is known; "" forgets it.
func (r *Registry) SetStatus(id string, s Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c := r.certificates[id]; {
	case s == "":
		delete(r.certificates, id)
	case c != nil:
		c.Status = s
	default:
		r.certificates[id] = &Certificate{ID: id, Status: s, Created: time.Now(), Plain: true}
	}
}

// Status returns the state of a certificate, "" if it is not known.
func (r *Registry) Status(id string) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.certificates[id]; c != nil {
		return c.Status
	}
	return ""
}

// DeleteCertificate forgets a certificate that is neither active nor attached to
// anything, unless force.
func (r *Registry) DeleteCertificate(id string, force bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.certificates[id]
	switch {
	case c == nil:
		return notFound("certificate", id)
	case c.Status == Active:
		return &Error{Code: "CertificateStateException", Text: "the certificate is active: deactivate it first"}
	case !force && len(c.Things)+len(c.Policies) > 0:
		return &Error{Code: "DeleteConflictException", Text: "things or policies are attached to the certificate"}
	}
	delete(r.certificates, id)
	return nil
}

// Attach attaches a certificate to a thing. A certificate that has a thing of its
// own gets no other, and one with another thing gets none of its own.
func (r *Registry) Attach(id, thing string, exclusive bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.certificates[id]
	switch {
	case c == nil:
		return notFound("certificate", id)
	case r.things[thing] == nil:
		return notFound("thing", thing)
	}
	for i, a := range c.Things {
		switch {
		case a.Thing == thing:
			c.Things[i].Exclusive = exclusive
			return nil
		case a.Exclusive || exclusive:
			return &Error{Code: "InvalidRequestException",
				Text: "the certificate belongs to " + a.Thing + ", and may be attached to no other thing"}
		}
	}
	c.Things = append(c.Things, Attachment{Thing: thing, Exclusive: exclusive})
	return nil
}

// Detach ends what [Registry.Attach] began.
func (r *Registry) Detach(id, thing string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.certificates[id]
	if c == nil {
		return notFound("certificate", id)
	}
	c.Things = slices.DeleteFunc(c.Things, func(a Attachment) bool { return a.Thing == thing })
	return nil
}

// Override gives a certificate a policy of its own instead of those attached; nil
// denies all.
func (r *Registry) Override(id string, p rules.Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overrides[id] = p
}

// Holder is who a certificate makes of a client.
type Holder struct {
	// Thing is the thing that the client stands for, "" for none.
	Thing     string
	Exclusive bool              // the certificate is that thing's alone
	Variables map[string]string // of policies, about the thing
	Policy    rules.Policy
}

// Holder returns who a client is that shows a certificate with a common name and
// connects with a client id. A thing's policy variables are there only if the
// client id is its name, or the certificate its own (developer guide,
// "Associating a thing to an MQTT client connection").
func (r *Registry) Holder(id, commonName, client string) Holder {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := Holder{Variables: map[string]string{}}
	c := r.certificates[id]
	switch {
	case c == nil: // forgotten while its connection was up
	case c.Plain:
		h.Thing, h.Policy = commonName, rules.DefaultPolicy
	default:
		for _, a := range c.Things {
			if a.Exclusive || a.Thing == client {
				h.Thing, h.Exclusive = a.Thing, a.Exclusive
			}
		}
		for _, name := range c.Policies {
			if p := r.policies[name]; p != nil {
				h.Policy = append(h.Policy, p.rules...)
			}
		}
	}
	if p, ok := r.overrides[id]; ok {
		h.Policy = p
	}
	if h.Thing == "" {
		return h
	}
	h.Variables["iot:Connection.Thing.ThingName"] = h.Thing
	h.Variables["iot:Connection.Thing.IsAttached"] = "true"
	if t := r.things[h.Thing]; t != nil {
		if t.Type != "" {
			h.Variables["iot:Connection.Thing.ThingTypeName"] = t.Type
		}
		for name, value := range t.Attributes {
			h.Variables["iot:Connection.Thing.Attributes["+name+"]"] = value
		}
	}
	return h
}
