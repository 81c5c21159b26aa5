package enrol

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/uplink"
)

// scripted is a session whose cloud answers as told.
type scripted struct {
	ctx       context.Context
	answer    func(topic string, request map[string]any) (suffix string, answer any) // suffix "": none
	subscribe error
	publish   error

	mu       sync.Mutex
	handlers map[string]func(uplink.Inbound) // guarded by mu
}

func (s *scripted) Handle(topic string, f func(uplink.Inbound)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handlers == nil {
		s.handlers = make(map[string]func(uplink.Inbound))
	}
	s.handlers[topic] = f
}

func (s *scripted) Subscribe(_ context.Context, topics ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range topics {
		if s.handlers[t] == nil {
			return fmt.Errorf("%s has no handler yet", t)
		}
	}
	return s.subscribe
}

func (s *scripted) Context() context.Context { return s.ctx }

func (s *scripted) Send(m *bridge.Message, _ []byte, done func(error)) {
	if s.publish != nil {
		done(s.publish)
		return
	}
	var request map[string]any
	if err := json.Unmarshal(m.Payload, &request); err != nil {
		done(err)
		return
	}
	suffix, answer := s.answer(m.Topic, request)
	done(nil)
	if suffix == "" {
		return
	}
	data, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[m.Topic+suffix](uplink.Inbound{Topic: m.Topic + suffix, Payload: data})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign returns a certificate for a key, in PEM.
func sign(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	ca := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCertificateAndRegister(t *testing.T) {
	k := newKey(t)
	request, err := Request(k, "press")
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	s := &scripted{ctx: context.Background()}
	s.answer = func(topic string, r map[string]any) (string, any) {
		asked = append(asked, topic)
		if text, ok := r["certificateSigningRequest"].(string); ok {
			b, _ := pem.Decode([]byte(text))
			csr, err := x509.ParseCertificateRequest(b.Bytes)
			if err != nil || csr.CheckSignature() != nil || csr.Subject.CommonName != "press" {
				t.Errorf("request: %v %v", csr, err)
			}
			return "/accepted", Issued{"id", sign(t, csr.PublicKey), "token"}
		}
		if p, ok := r["parameters"].(map[string]any); !ok || p["Serial"] != "7" || r["certificateOwnershipToken"] != "token" {
			t.Errorf("registers with %v", r)
		}
		return "/accepted", map[string]any{"thingName": "press", "deviceConfiguration": map[string]string{}}
	}
	issued, err := Certificate(context.Background(), s, request, k.Public())
	if err != nil {
		t.Fatal(err)
	}
	thing, err := Register(context.Background(), s, "line", issued.Token, map[string]string{"Serial": "7"})
	if err != nil || thing != "press" {
		t.Errorf("%q, %v", thing, err)
	}
	if got := strings.Join(asked, " "); got !=
		"$aws/certificates/create-from-csr/json $aws/provisioning-templates/line/provision/json" {
		t.Error(got)
	}
	if _, err := Certificate(context.Background(), s, request, newKey(t).Public()); !errors.Is(err, ErrForeign) {
		t.Errorf("a certificate for another key: %v", err)
	}
}

// TestAnswersThatAreNone: what is no right answer is an error, never a certificate.
func TestAnswersThatAreNone(t *testing.T) {
	k := newKey(t)
	request, _ := Request(k, "press")
	for name, answer := range map[string]any{
		"no certificate": Issued{"id", "", "token"},
		"not PEM":        Issued{"id", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "token"},
		"no token":       Issued{"id", sign(t, k.Public()), ""},
		"another shape":  []int{1},
	} {
		s := &scripted{ctx: context.Background(),
			answer: func(string, map[string]any) (string, any) { return "/accepted", answer }}
		if issued, err := Certificate(context.Background(), s, request, k.Public()); err == nil || issued != (Issued{}) {
			t.Errorf("%s: %v, %v", name, issued, err)
		}
	}
}

// TestRejections: each code of AWS has its sentence, and says whether to go on.
func TestRejections(t *testing.T) {
	for _, c := range []struct {
		status  int
		code    string
		final   bool
		over    bool
		says    string // of a registration
		sayscsr string // of a certificate request; "" as of a registration
	}{
		{400, "InvalidCertificateOwnershipToken", false, true, "no longer knows the certificate", ""},
		{403, "InvalidCertificateOwnershipToken", false, true, "no longer knows the certificate", ""},
		{403, "ACCESS_DENIED", true, false, "pre-provisioning hook of template line", "policy of the claim"},
		{403, "Forbidden", true, false, "hook", "policy"},
		{400, "ResourceConflictsException", true, false, "OverrideSettings", "certificate request"},
		{429, "TooManyRequestsException", false, false, "more slowly", ""},
		{400, "ThrottlingException", false, false, "more slowly", ""},
		{429, "RequestThrottled", false, false, "more slowly", ""},
		{400, "LimitExceededException", true, false, "limit", ""},
		{400, "InvalidParameters", true, false, "provision.parameters", "certificate request"},
		{400, "InvalidRequest", true, false, "provision.parameters", "P-256"},
		{500, "InternalFailure", false, false, "trying again", ""},
		{503, "ServiceUnavailable", false, false, "trying again", ""},
		{0, "", false, false, "trying again", ""},
	} {
		for _, topic := range []string{csrTopic, "$aws/provisioning-templates/line/provision/json"} {
			r := &Rejection{Topic: topic, Status: c.status, Code: c.code, Message: "as it says"}
			says := c.says
			if topic == csrTopic && c.sayscsr != "" {
				says = c.sayscsr
			}
			if e := uplink.Explain(fmt.Errorf("provision: %w", r)); !strings.Contains(e.Text, says) || e.Act != c.final {
				t.Errorf("%d %s on %s: act %t: %s", c.status, c.code, topic, e.Act, e.Text)
			}
			if r.Final() != c.final || r.TokenOver() != c.over {
				t.Errorf("%d %s: final %t, token over %t", c.status, c.code, r.Final(), r.TokenOver())
			}
		}
	}
}

func TestRejected(t *testing.T) {
	s := &scripted{ctx: context.Background()}
	s.answer = func(topic string, _ map[string]any) (string, any) {
		return "/rejected", map[string]any{"statusCode": 403, "errorCode": "ACCESS_DENIED", "errorMessage": "no"}
	}
	_, err := Register(context.Background(), s, "line", "token", nil)
	var r *Rejection
	if !errors.As(err, &r) || r.Status != 403 || r.Code != "ACCESS_DENIED" || r.Message != "no" {
		t.Errorf("%v", err)
	}
}

// TestNoWay: a policy that does not allow the topics, a cloud that is silent, and a
// connection that ends, each with what to do.
func TestNoWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost, lose := context.WithCancel(context.Background())
		defer lose()
		time.AfterFunc(time.Second, lose)
		silent := func(string, map[string]any) (string, any) { return "", nil }
		for name, c := range map[string]struct {
			s     *scripted
			act   bool
			after time.Duration
		}{
			"subscribe": {&scripted{ctx: context.Background(), subscribe: errors.New("subscribe to x: SUBACK 0x87")}, true, 0},
			"publish":   {&scripted{ctx: context.Background(), publish: errors.New("publish to x: PUBACK 0x87")}, true, 0},
			"silent":    {&scripted{ctx: context.Background(), answer: silent}, false, AnswerWithin},
		} {
			start := time.Now()
			_, err := Register(context.Background(), c.s, "line", "token", nil)
			if e := uplink.Explain(err); err == nil || e.Act != c.act || e.Fix == "" || time.Since(start) != c.after {
				t.Errorf("%s: %v after %v: %+v", name, err, time.Since(start), e)
			}
		}
		start := time.Now()
		gone := &scripted{ctx: lost, answer: silent}
		_, err := Register(context.Background(), gone, "line", "token", nil)
		if err == nil || time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
