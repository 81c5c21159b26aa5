package authority

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"fieldbridge/northbound/awsiot/awsiottest/cbor"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/rules"
	"fieldbridge/northbound/awsiot/awsiottest/service"
)

// What AWS does, as far as it is documented; the rates are not confirmed.
const (
	TokenLife    = time.Hour       // of an ownership token, and of its certificate
	ClaimLife    = 5 * time.Minute // of a trusted user's claim
	hookLife     = 5 * time.Second // of an answer of a hook
	CSRRate      = 20              // certificates a second
	RegisterRate = 10              // things a second
)

// API is one of the requests that devices send.
type API string

// The requests of devices.
const (
	CreateFromCSR API = "CreateCertificateFromCsr"
	CreateKeys    API = "CreateKeysAndCertificate"
	RegisterThing API = "RegisterThing"
)

// Rejected is an answer that refuses a request.
type Rejected struct {
	Status int    // as of HTTP
	Code   string // InvalidCertificateOwnershipToken, ...
	Text   string
}

func (r *Rejected) Error() string { return r.Code + ": " + r.Text }

// Signer is the CA that signs what devices ask for.
type Signer interface {
	// Sign returns the certificate that a template becomes, in DER.
	Sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error)
}

// Service provisions devices. It is plugged into the broker.
type Service struct {
	registry *registry.Registry
	signer   Signer

	mu        sync.Mutex
	templates map[string]*Template                                // guarded by mu, as all below; by name
	tokens    map[string]token                                    // by their text
	refuse    func(API, service.Caller) *Rejected                 // nil refuses nothing
	lose      func(API, service.Caller) bool                      // nil loses no answer
	validity  func(*x509.CertificateRequest) (from, to time.Time) // nil: as AWS
	cas       map[string]*CA                                      // by id
	seen      map[string]int                                      // connections while not active, by certificate id
	failures  map[string]string                                   // why they could not be provisioned, by id
	code      string                                              // registration code, "" until it is asked for
	publish   func(topic string, payload []byte) error            // nil until it is plugged in
	rates     map[API]*rules.Bucket                               // nil: without limit
}

// token is the proof that a device has asked for a certificate.
type token struct {
	certificate string // id
	expires     time.Time
}

// New returns a service that signs with a CA of AWS's part.
func New(r *registry.Registry, signer Signer) *Service {
	return &Service{registry: r, signer: signer, templates: map[string]*Template{}, tokens: map[string]token{},
		cas: map[string]*CA{}, seen: map[string]int{}, failures: map[string]string{}}
}

// Refuse decides about each request before anything else; nil answers refuse
// nothing. It is for errors that cannot be had otherwise.
func (s *Service) Refuse(f func(API, service.Caller) *Rejected) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// Lose decides whether the answer to a request is lost; what was asked for is done.
func (s *Service) Lose(f func(API, service.Caller) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = f
}

// Validity decides how long the certificates are valid that are signed from now on,
// as a certificate provider of the account may; nil is as AWS: until 2049.
func (s *Service) Validity(f func(*x509.CertificateRequest) (from, to time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.validity = f
}

// Throttle holds requests to the account's rates, or no longer.
func (s *Service) Throttle(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rates = nil
	if on {
		s.rates = map[API]*rules.Bucket{CreateFromCSR: rules.NewBucket(CSRRate), CreateKeys: rules.NewBucket(CSRRate),
			RegisterThing: rules.NewBucket(RegisterRate)}
	}
}

// Request handles a message if it is a request of the provisioning API.
func (s *Service) Request(from service.Caller, topic string, payload []byte) bool {
	api, template, format := parse(topic)
	if api == "" {
		return false
	}
	request, rejected := decode(format, payload)
	var answer map[string]any
	if rejected == nil {
		answer, rejected = s.serve(api, template, from, request)
	}
	s.mu.Lock()
	lose := s.lose
	s.mu.Unlock()
	if lose != nil && lose(api, from) {
		return true
	}
	if rejected != nil {
		topic += "/rejected"
		answer = map[string]any{"statusCode": rejected.Status, "errorCode": rejected.Code, "errorMessage": rejected.Text}
	} else {
		topic += "/accepted"
	}
	from.Subscribed(topic, encode(format, answer))
	return true
}

// parse tells the requests of the API from other topics.
func parse(topic string) (api API, template, format string) {
	if rest, ok := strings.CutPrefix(topic, "$aws/certificates/"); ok {
		name, format, _ := strings.Cut(rest, "/")
		switch {
		case format != "json" && format != "cbor":
		case name == "create":
			return CreateKeys, "", format
		case name == "create-from-csr":
			return CreateFromCSR, "", format
		}
		return "", "", ""
	}
	if rest, ok := strings.CutPrefix(topic, "$aws/provisioning-templates/"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		format, ok := strings.CutPrefix(rest, "provision/")
		if ok && (format == "json" || format == "cbor") {
			return RegisterThing, name, format
		}
	}
	return "", "", ""
}

// request is what a device may ask with.
type request struct {
	CSR        string         `json:"certificateSigningRequest"`
	Token      string         `json:"certificateOwnershipToken"`
	Parameters map[string]any `json:"parameters"`
}

func decode(format string, payload []byte) (r request, rejected *Rejected) {
	invalid := &Rejected{Status: 400, Code: "InvalidPayload",
		Text: "The payload is not valid " + strings.ToUpper(format) + "."}
	if format == "cbor" && len(payload) > 0 {
		v, err := cbor.Unmarshal(payload)
		if err != nil {
			return r, invalid
		}
		if payload, err = json.Marshal(v); err != nil {
			return r, invalid
		}
	}
	if len(payload) == 0 {
		return r, nil
	}
	if !utf8.Valid(payload) || json.Unmarshal(payload, &r) != nil {
		return r, invalid
	}
	return r, nil
}

func encode(format string, v map[string]any) []byte {
	if format == "cbor" {
		data, err := cbor.Marshal(v)
		if err != nil {
			panic(err) // we make only what it can say
		}
		return data
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// serve does what a device asks for, or says why not.
func (s *Service) serve(api API, template string, from service.Caller, r request) (map[string]any, *Rejected) {
	s.mu.Lock()
	refuse, rate := s.refuse, s.rates[api]
	s.mu.Unlock()
	if refuse != nil {
		if rejected := refuse(api, from); rejected != nil {
			return nil, rejected
		}
	}
	if rate != nil && !rate.Take(1) {
		return nil, &Rejected{Status: 429, Code: "ThrottlingException", Text: "Rate exceeded"}
	}
	switch api {
	case CreateFromCSR:
		return s.fromCSR(r.CSR)
	case CreateKeys:
		return s.withKeys()
	}
	return s.register(template, from, r)
}

// own makes a token for a certificate. When it expires unused the certificate goes
// with it.
func (s *Service) own(certificate string) string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // does not fail
	text := hex.EncodeToString(b)
	s.mu.Lock()
	s.tokens[text] = token{certificate: certificate, expires: time.Now().Add(TokenLife)}
	s.mu.Unlock()
	time.AfterFunc(TokenLife, func() {
		s.mu.Lock()
		_, unused := s.tokens[text]
		delete(s.tokens, text)
		s.mu.Unlock()
		if unused && s.registry.Status(certificate) == registry.PendingActivation {
			s.registry.SetStatus(certificate, "")
		}
	})
	return text
}
