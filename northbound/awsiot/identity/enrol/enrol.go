// Package enrol asks the cloud for a certificate and for the thing that it belongs
// to: AWS IoT's fleet provisioning ("Device provisioning MQTT API", AWS IoT Core
// developer guide), in JSON, over a connection that somebody else has made. The key
// stays here, only a request that it has signed leaves.
//
// A connection has one request in flight: the answers name none.
package enrol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/uplink"
)

// Session is a connection to the cloud; [uplink.Session] is one.
type Session interface {
	Handle(topic string, f func(uplink.Inbound))
	Subscribe(ctx context.Context, topics ...string) error
	Send(m *bridge.Message, correlation []byte, done func(error))
	Context() context.Context // ends with the connection
}

// Topics of the API. The answers come on them with /accepted or /rejected.
const (
	csrTopic      = "$aws/certificates/create-from-csr/json"
	registerTopic = "$aws/provisioning-templates/%s/provision/json"
)

// Topics returns the topics of the requests that get an identity by a template.
func Topics(template string) []string {
	return []string{csrTopic, fmt.Sprintf(registerTopic, template)}
}

// AnswerWithin is how long an answer may take. A hook may take 5 s.
const AnswerWithin = 20 * time.Second

// Request returns a certificate request, in PEM, for a name, signed by key.
func Request(key crypto.Signer, name string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Issued is a certificate that the cloud has made. It is not active before
// [Register], and the cloud deletes it with its token after an hour.
type Issued struct {
	ID          string `json:"certificateId"`
	Certificate string `json:"certificatePem"`
	Token       string `json:"certificateOwnershipToken"`
}

// ErrForeign says that the certificate in an answer is not for our key.
var ErrForeign = errors.New("the certificate that the cloud made is not for our key")

// Certificate has a certificate made for a request, as [Request] returns it, with the
// key of public.
func Certificate(ctx context.Context, s Session, request []byte, public crypto.PublicKey) (Issued, error) {
	var issued Issued
	err := ask(ctx, s, csrTopic, map[string]string{"certificateSigningRequest": string(request)}, &issued)
	if err != nil {
		return Issued{}, err
	}
	leaf, err := Leaf([]byte(issued.Certificate))
	switch {
	case err != nil:
		return Issued{}, fmt.Errorf("the certificate that the cloud made: %w", err)
	case issued.Token == "":
		return Issued{}, errors.New("the cloud's answer has no ownership token")
	case !Belongs(leaf, public):
		return Issued{}, ErrForeign
	}
	return issued, nil
}

// Register makes the certificate of a token active, and the gateway a thing, as the
// template says. It returns the thing's name.
func Register(ctx context.Context, s Session, template, token string, parameters map[string]string) (string, error) {
	var answer struct {
		ThingName string `json:"thingName"`
	}
	request := map[string]any{"certificateOwnershipToken": token, "parameters": parameters}
	err := ask(ctx, s, fmt.Sprintf(registerTopic, template), request, &answer)
	return answer.ThingName, err
}

// ask makes one request and waits for its answer.
func ask(ctx context.Context, s Session, topic string, request, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	payload, err := json.Marshal(request)
	if err != nil {
		return err
	}
	accepted, rejected := make(chan []byte, 1), make(chan []byte, 1)
	hand := func(to chan []byte) func(uplink.Inbound) {
		return func(m uplink.Inbound) {
			select {
			case to <- bytes.Clone(m.Payload):
			default: // the first answer counts
			}
		}
	}
	s.Handle(topic+"/accepted", hand(accepted))
	s.Handle(topic+"/rejected", hand(rejected))
	if err := s.Subscribe(ctx, topic+"/accepted", topic+"/rejected"); err != nil {
		return &deniedError{topic, err}
	}
	sent := make(chan error, 1)
	s.Send(&bridge.Message{Topic: topic, Payload: payload}, nil, func(err error) { sent <- err })
	for {
		select {
		case data := <-accepted:
			if err := json.Unmarshal(data, answer); err != nil {
				return fmt.Errorf("the cloud's answer on %s: %w", topic, err)
			}
			return nil
		case data := <-rejected:
			r := &Rejection{Topic: topic}
			if err := json.Unmarshal(data, r); err != nil {
				return fmt.Errorf("the cloud's refusal on %s: %w", topic, err)
			}
			return r
		case err := <-sent:
			if err != nil {
				return &deniedError{topic, err}
			}
			sent = nil
		case <-s.Context().Done():
			return &silentError{topic, uplink.ErrLost}
		case <-ctx.Done():
			return &silentError{topic, ctx.Err()}
		}
	}
}

// ErrNoCertificate says that a text has no certificate.
var ErrNoCertificate = errors.New("there is no PEM certificate in it")

// Leaf returns the first certificate of a PEM text.
func Leaf(certificate []byte) (*x509.Certificate, error) {
	for rest := certificate; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil, ErrNoCertificate
		}
		if b.Type == "CERTIFICATE" {
			return x509.ParseCertificate(b.Bytes)
		}
	}
}

// Belongs reports whether a certificate is for a key.
func Belongs(cert *x509.Certificate, public crypto.PublicKey) bool {
	k, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(public)
}

// template returns the template's name in a topic, "" if it has none.
func template(topic string) string {
	rest, ok := strings.CutPrefix(topic, strings.TrimSuffix(registerTopic, "%s/provision/json"))
	if !ok {
		return ""
	}
	return strings.TrimSuffix(rest, "/provision/json")
}
