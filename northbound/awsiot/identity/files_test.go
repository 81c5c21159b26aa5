package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

func TestKeyDoesNotMatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cloud(nil)
	r.o.Config.PrivateKey = setting.Path(r.issue("other", awsiottest.Terms{}).PrivateKey)
	fails(t, r.check("key-mismatch.txt"), Files)
}

func TestTLS12(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r.chain(key)
	r.server(&tls.Config{MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.pool()},
		answer(accept))
	report := r.check("tls12.txt")
	for _, s := range report.Steps {
		if s.State != OK {
			t.Errorf("%s is %s: %s", s.Name, s.State, s.Text)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  any
		step string // that warns or fails
		want State
	}{
		{ed, Files, Warning},
		{p384, Files, OK},
		{small, CertificateVerify, Failed},
	} {
		r := newRig(t)
		r.chain(tt.key)
		r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, answer(accept))
		report := Check(t.Context(), r.o)
		if s := report.Step(tt.step); s.State != tt.want {
			t.Errorf("%T: %s is %s:\n%s", tt.key, s.Name, s.State, report.Text())
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		spoil  func(r *rig)
		state  State
		reason string
	}{
		{"no certificate", func(r *rig) { r.o.Config.Certificate = setting.Path(r.dir + "/none.pem") }, Failed,
			"does not exist"},
		{"no key", func(r *rig) { r.o.Config.PrivateKey = setting.Path(r.dir + "/none.key") }, Failed, "does not exist"},
		{"no ca", func(r *rig) { r.o.Config.CA = setting.Path(r.dir + "/none.pem") }, Failed, "does not exist"},
		{"empty certificate", func(r *rig) { r.write(string(r.o.Config.Certificate), nil) }, Failed, "no PEM certificate"},
		{"open key", func(r *rig) { r.chmod(string(r.o.Config.PrivateKey), 0o644) }, Warning, "anyone on this machine"},
		{"wrong order", func(r *rig) { r.reorder(1, 0) }, Failed, "belongs to certificate 2"},
		{"stranger between", func(r *rig) { r.append(r.authority("other").File) }, Warning, "has not signed certificate 2"},
		{"soon", func(r *rig) { r.use(r.issue("soon", awsiottest.Terms{NotAfter: time.Now().Add(10 * 24 * time.Hour)})) },
			Warning, "in 9 days"},
		{"server's", func(r *rig) { r.use(r.issue("odd", awsiottest.Terms{Hosts: []string{"x"}})) }, Warning,
			"not made for clients"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			r.chain(key)
			tt.spoil(r)
			c := newCheck(r.o)
			done := c.files()
			s := c.step(Files)
			if s.State != tt.state || !strings.Contains(s.Text, tt.reason) || s.Fix == "" || done != (tt.state != Failed) {
				t.Errorf("%s %q > %q", s.State, s.Text, s.Fix)
			}
		})
	}
}
