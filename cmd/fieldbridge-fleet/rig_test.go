package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/gateway/orders"
	"fieldbridge/minisign"
	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/control"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/release"
	"fieldbridge/signed"
)

const fleetText = `fleet: plant
defaults:
  northbound:
    awsiot:
      endpoint: a1b2-ats.iot.eu-central-1.amazonaws.com
      certificate: c.pem
      private_key: k.pem
      topic: plant/{gateway}
groups:
  canary: {labels: {site: one}}
  others: {labels: {site: two}}
gateways:
  g1: {groups: [canary]}
  g2: {groups: [others]}
  g3: {groups: [others]}
`

// fleetAccount is a stand-in, and gateways that take jobs and tell what they run.
type fleetAccount struct {
	*testing.T
	*control.Server
	dir   string
	file  string
	spoil func(thing string) bool // whether a configuration breaks a gateway

	mu      sync.Mutex
	shadows map[string]string   // of the things; guarded by mu
	things  map[string]*running // guarded by mu
}

func (a *fleetAccount) Shadow(thing, name string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if text, ok := a.shadows[thing]; ok && name == "gateway" {
		return []byte(text)
	}
	return []byte("null")
}
func (a *fleetAccount) UpdateShadow(string, string, string) {}
func (a *fleetAccount) Publish(string, []byte) error        { return nil }
func (a *fleetAccount) Connected() []string                 { return []string{"g1", "g2", "g3"} }
func (a *fleetAccount) Disconnect(string, byte) bool        { return false }
func (a *fleetAccount) Addr() string                        { return "localhost:8883" }

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (s *signer) Sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	return x509.CreateCertificate(rand.Reader, template, s.cert, public, s.key)
}

// newAccount starts an account with three gateways, a signing key and a fleet file.
func newAccount(t *testing.T) *fleetAccount {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pace = account.Options{Wait: 5 * time.Millisecond}
	a := &fleetAccount{T: t, dir: t.TempDir(), shadows: map[string]string{}, things: map[string]*running{},
		spoil: func(string) bool { return false }}
	r := registry.New()
	server := httptest.NewUnstartedServer(nil)
	example := control.Key{ID: "AKIDEXAMPLE", Secret: "secret"}
	j := jobs.New(r)
	a.Server = control.New(control.Parts{Broker: a, Registry: r, Jobs: j, Streams: streams.New(),
		Authority: authority.New(r, &signer{&x509.Certificate{SerialNumber: big.NewInt(1)}, key}),
		Keys:      []control.Key{example}, URL: "http://" + server.Listener.Addr().String()})
	server.Config.Handler = a.Server
	server.Start()
	t.Cleanup(server.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": example.ID,
		"AWS_SECRET_ACCESS_KEY": example.Secret, "AWS_REGION": control.Region, "AWS_CONFIG_FILE": os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_CA_BUNDLE": ""} {
		t.Setenv(name, value)
	}
	for _, name := range []string{"signing.key", "root.key"} {
		key, err := minisign.NewSecretKey()
		if err != nil {
			t.Fatal(err)
		}
		a.write(name, key.File())
	}
	for _, name := range []string{"g1", "g2", "g3"} {
		a.thing(name)
	}
	a.file = a.write("fleet.yaml", fleetText)
	return a
}

func (a *fleetAccount) write(name, text string) string {
	a.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.Fatal(err)
	}
	return file
}

// run calls the tool.
func (a *fleetAccount) run(args ...string) (code int, stdout, stderr string) {
	a.Helper()
	return a.runUntil(a.Context(), args...)
}

// runUntil calls the tool, which is interrupted when ctx ends.
func (a *fleetAccount) runUntil(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	a.Helper()
	var out, errs bytes.Buffer
	code = dispatch(ctx, args, strings.NewReader(""), &out, &errs)
	a.Logf("%v: exit %d\n%s%s", args, code, out.String(), errs.String())
	return code, out.String(), errs.String()
}

// gateways take jobs until the test ends, with the hashes of the file as it is.
func (a *fleetAccount) gateways() {
	ctx, cancel := context.WithCancel(a.Context())
	var done sync.WaitGroup
	a.Cleanup(func() { cancel(); done.Wait() })
	done.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			for _, name := range []string{"g1", "g2", "g3"} {
				a.take(name)
			}
		}
	})
}

// running is what a gateway is and remembers.
type running struct {
	Version  string `json:"version"`
	Platform string `json:"platform,omitempty"`
	Config   string `json:"config"`
	guard    *signed.Guard
}

// thing makes a thing, of a gateway that trusts the signing key.
func (a *fleetAccount) thing(name string) {
	a.Helper()
	if err := a.Registry.AddThing(registry.Thing{Name: name}); err != nil {
		a.Fatal(err)
	}
	a.things[name] = &running{Version: "1.0.0",
		guard: trusted(name, signed.Trust{Keys: []minisign.PublicKey{a.key("signing.key").Public()}})}
}

// trust has all gateways trust, from the beginning.
func (a *fleetAccount) trust(t signed.Trust) {
	for name, g := range a.things {
		g.guard = trusted(name, t)
	}
}

// is sets what a gateway runs.
func (a *fleetAccount) is(thing string, change func(*running)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a.things[thing])
	told, err := json.Marshal(map[string]any{"reported": a.things[thing]})
	if err != nil {
		a.Error(err)
	}
	a.shadows[thing] = string(told)
}

// take does the next job of a gateway, if there is one.
func (a *fleetAccount) take(thing string) {
	ask := func(what, request string) (answer struct {
		Execution struct {
			JobID       string
			JobDocument json.RawMessage
		}
	}) {
		a.Jobs.Request(service.Caller{Thing: thing, Unasked: func(_ string, payload []byte) {
			if err := json.Unmarshal(payload, &answer); err != nil {
				a.Error(err)
			}
		}}, "$aws/things/"+thing+"/jobs/"+what, []byte(request))
		return answer
	}
	next := ask("start-next", "{}").Execution
	if next.JobID == "" {
		return
	}
	order, err := a.things[thing].guard.Open(next.JobID, next.JobDocument)
	if err != nil {
		told, _ := json.Marshal(map[string]any{"status": "REJECTED",
			"statusDetails": map[string]string{"error": err.Error()}})
		ask(next.JobID+"/update", string(told))
		return
	}
	if a.spoil(thing) {
		ask(next.JobID+"/update",
			`{"status":"FAILED","statusDetails":{"rolled_back":"boiler.temp","error":"no good points"}}`)
		return
	}
	switch order.Operation {
	case "config":
		a.understandsConfig(order, next.JobDocument)
		want, err := load(context.Background(), a.file)
		if err != nil {
			a.Error(err)
		}
		a.is(thing, func(r *running) { r.Config = want.gateways[thing].hash })
	case "update":
		m := a.understandsUpdate(order, next.JobDocument)
		a.is(thing, func(r *running) {
			if told := m.OS + "/" + m.Arch; r.Platform == "" {
				r.Platform = told
			} else if r.Platform != told {
				a.Errorf("%s is %s and gets %s", thing, r.Platform, told)
			}
			r.Version = m.Version
		})
	}
	said := "{}"
	if order.Operation == "diagnose" {
		said = `{"sentence":"all is well","version":"1.0.0","problem_1":"bus \"x\" is dark","step":"done"}`
	}
	ask(next.JobID+"/update", `{"status":"SUCCEEDED","statusDetails":`+said+`}`)
}

// understandsConfig checks that a gateway can do what a document says.
func (a *fleetAccount) understandsConfig(order *signed.Order, document []byte) {
	var what orders.Deploy
	var file fetch.File
	var around struct{ File fetch.Source }
	err := errors.Join(json.Unmarshal(order.What, &what), json.Unmarshal(order.What, &file),
		json.Unmarshal(document, &around))
	if err != nil || what.Confirm.D() != 5*time.Minute || len(file.SHA256) != 64 || file.Size == 0 ||
		around.File.Stream == "" {
		a.Errorf("%s: %v, %+v, %+v, %+v", document, err, what, file, around)
	}
}

// understandsUpdate checks it of an update, as docs/jobs.md says what it is.
func (a *fleetAccount) understandsUpdate(order *signed.Order, document []byte) (m release.Manifest) {
	var what struct{ Manifest, Signature []byte }
	var around struct{ File fetch.Source }
	err := errors.Join(json.Unmarshal(order.What, &what), json.Unmarshal(document, &around))
	if err == nil {
		m, err = release.Roots{a.key("root.key").Public()}.Read(what.Manifest, string(what.Signature))
	}
	if err != nil || around.File.Stream == "" && around.File.URL == "" {
		a.Errorf("%s: %v, %+v, %+v", document, err, what, around)
	}
	return m
}

// key reads a secret key of the account's folder.
func (a *fleetAccount) key(name string) minisign.SecretKey {
	a.Helper()
	key, err := secret(filepath.Join(a.dir, name), nil)
	if err != nil {
		a.Error(err)
	}
	return key
}

type memory map[string][]byte

func (m memory) Get(key string) ([]byte, error) { return m[key], nil }
func (m memory) Put(key string, value []byte) error {
	m[key] = value
	return nil
}

func (a *fleetAccount) deploy(more ...string) (code int, stdout, stderr string) {
	a.Helper()
	return a.deployUntil(a.Context(), more...)
}

func (a *fleetAccount) deployUntil(ctx context.Context, more ...string) (code int, stdout, stderr string) {
	a.Helper()
	return a.runUntil(ctx, append([]string{"deploy", a.file, "--group", "canary", "--then", "rest", "--bucket", "files",
		"--role", "arn:aws:iam::123456789012:role/files", "--key", filepath.Join(a.dir, "signing.key")}, more...)...)
}
