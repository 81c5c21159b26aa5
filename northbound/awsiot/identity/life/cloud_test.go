package life

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/uplink"
)

// cloud makes certificates and things, as far as a session sees it.
type cloud struct {
	t        *testing.T
	ca       *ecdsa.PrivateKey
	validity time.Duration
	thing    string // "" is the name that the gateway gives
	issued   int
	used     map[string]bool // tokens
	// fails is asked before each answer; it returns the rejection's code, or "lost" for
	// no answer and an ended connection.
	fails func(topic string) string

	ctx  context.Context
	lose context.CancelFunc

	mu       sync.Mutex
	handlers map[string]func(uplink.Inbound) // guarded by mu
}

func newCloud(t *testing.T) *cloud {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return &cloud{t: t, ca: k, validity: 30 * 365 * 24 * time.Hour, used: make(map[string]bool)}
}

// connect returns c with a connection that is up.
func (c *cloud) connect() *cloud {
	c.ctx, c.lose = context.WithCancel(context.Background())
	c.t.Cleanup(c.lose)
	return c
}

func (c *cloud) Handle(topic string, f func(uplink.Inbound)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handlers == nil {
		c.handlers = make(map[string]func(uplink.Inbound))
	}
	c.handlers[topic] = f
}

func (c *cloud) Subscribe(context.Context, ...string) error { return c.ctx.Err() }
func (c *cloud) Context() context.Context                   { return c.ctx }

func (c *cloud) Send(m *bridge.Message, _ []byte, done func(error)) {
	done(nil)
	code := ""
	if c.fails != nil {
		code = c.fails(m.Topic)
	}
	if code == "lost" {
		c.lose()
		return
	}
	var answer any = map[string]any{"statusCode": 400, "errorCode": code, "errorMessage": "as told"}
	suffix := "/rejected"
	if code == "" {
		answer, suffix = c.answer(m)
	}
	data, err := json.Marshal(answer)
	must(c.t, err)
	c.mu.Lock()
	f := c.handlers[m.Topic+suffix]
	c.mu.Unlock()
	f(uplink.Inbound{Topic: m.Topic + suffix, Payload: data})
}

func (c *cloud) answer(m *bridge.Message) (any, string) {
	var request struct {
		CSR        string            `json:"certificateSigningRequest"`
		Token      string            `json:"certificateOwnershipToken"`
		Parameters map[string]string `json:"parameters"`
	}
	must(c.t, json.Unmarshal(m.Payload, &request))
	if request.CSR != "" {
		b, _ := pem.Decode([]byte(request.CSR))
		csr, err := x509.ParseCertificateRequest(b.Bytes)
		must(c.t, err)
		c.issued++
		token := fmt.Sprintf("token %d", c.issued)
		return map[string]string{"certificateId": "x", "certificatePem": string(c.sign(csr.PublicKey, csr.Subject)),
			"certificateOwnershipToken": token}, "/accepted"
	}
	if c.used[request.Token] {
		return map[string]any{"statusCode": 400, "errorCode": "InvalidCertificateOwnershipToken"}, "/rejected"
	}
	c.used[request.Token] = true
	thing := c.thing
	if thing == "" {
		thing = request.Parameters[GatewayName]
	}
	return map[string]any{"thingName": thing, "deviceConfiguration": map[string]string{}}, "/accepted"
}

func (c *cloud) sign(public crypto.PublicKey, subject pkix.Name) []byte {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	must(c.t, err)
	template := &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(c.validity)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, c.ca)
	must(c.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// claim writes a claim as AWS hands it out, with a root and a public key beside it.
func (c *cloud) claim(dir string) {
	must(c.t, os.MkdirAll(dir, 0o700))
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(c.t, err)
	private, err := x509.MarshalECPrivateKey(k)
	must(c.t, err)
	public, err := x509.MarshalPKIXPublicKey(k.Public())
	must(c.t, err)
	for name, data := range map[string][]byte{
		"AmazonRootCA1.pem":            c.sign(c.ca.Public(), pkix.Name{CommonName: "root"}),
		"0a1b2c-certificate.pem.crt":   c.sign(k.Public(), pkix.Name{CommonName: "claim"}),
		"0a1b2c-private.pem.key":       pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		"0a1b2c-public.pem.key":        pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"read me, this is no key.text": []byte("keep it safe"),
	} {
		must(c.t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
}

// house is a gateway's identity with a claim and a cloud.
type house struct {
	*Life
	cloud    *cloud
	settings Settings
	config   uplink.Config
	state    string
}

func newHouse(t *testing.T) *house {
	h := &house{cloud: newCloud(t), state: t.TempDir()}
	h.settings.SetDefaults()
	h.config.SetDefaults()
	dir := filepath.Join(t.TempDir(), "claim")
	h.cloud.claim(dir)
	h.settings.Provision.Template, h.settings.Provision.Claim = "line", path(dir)
	h.restart(true)
	return h
}

// restart is another start of the gateway in the same folder.
func (h *house) restart(synced bool) {
	h.Life = New(Options{State: h.state, Gateway: "press", Log: slog.New(slog.DiscardHandler),
		Synced: func() bool { return synced }})
	h.Tidy()
}

func (h *house) choose() Choice { return h.Choose(&h.config, &h.settings) }

// obtain gets an identity by the claim.
func (h *house) obtain() error {
	c := h.choose()
	if c.Kind != ByClaim {
		return fmt.Errorf("the choice is %s", c.Kind)
	}
	return h.Obtain(context.Background(), h.cloud.connect(), kept.Claim, &h.settings, c.by)
}

// connects notes that the cloud acknowledges a message with what is chosen.
func (h *house) connects(t *testing.T) Choice {
	t.Helper()
	c := h.choose()
	pair, err := c.Pair()
	must(t, err)
	h.Proven(c, pair.Leaf)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// names returns what is in a folder, joined.
func names(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range all {
		list = append(list, e.Name())
	}
	return strings.Join(list, ", ")
}
