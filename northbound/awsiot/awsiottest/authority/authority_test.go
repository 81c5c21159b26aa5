package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/cbor"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
)

// signer is a CA.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	s := &signer{key: newKey(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &s.key.PublicKey, s.key)
	if err != nil {
		t.Fatal(err)
	}
	if s.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *signer) Sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	return x509.CreateCertificate(rand.Reader, template, s.cert, public, s.key)
}

const templateText = `{"Parameters":{"Name":{"Type":"String"},"Site":{"Type":"String","Default":"north"},
	"AWS::IoT::Certificate::Id":{"Type":"String"}},
	"Mappings":{"Sites":{"north":{"city":"Kiel"}}},
	"Resources":{
		"thing":{"Type":"AWS::IoT::Thing","Properties":{
			"ThingName":{"Fn::Join":["-",["press",{"Ref":"Name"}]]},"AttributePayload":{"site":{"Ref":"Site"},
				"city":{"Fn::FindInMap":["Sites",{"Ref":"Site"},"city"]},"sub":{"Fn::Sub":"${Name}@${Site}"},
				"first":{"Fn::Select":["0",{"Fn::Split":["-","a-b"]}]}}}},
		"certificate":{"Type":"AWS::IoT::Certificate","Properties":{
			"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"ThingPrincipalType":"EXCLUSIVE_THING"}},
		"policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"p"}}},
	"DeviceConfiguration":{"url":{"Fn::Sub":["x/${who}",{"who":{"Ref":"Name"}}]}}}`

// rig is a service with a template and one device.
type rig struct {
	*testing.T
	*Service
	topic  string
	answer []byte
}

func newRig(t *testing.T, hook Hook) *rig {
	t.Helper()
	r := &rig{T: t, Service: New(registry.New(), newSigner(t))}
	if err := r.registry.AddPolicy("p", `{"Version":"2012-10-17","Statement":[]}`); err != nil {
		t.Fatal(err)
	}
	if err := r.AddTemplate(Template{Name: "t", Body: templateText, Hook: hook}); err != nil {
		t.Fatal(err)
	}
	return r
}

// ask sends a request and returns "accepted", or the code of the refusal, and the
// answer.
func (r *rig) ask(topic string, payload any) (string, map[string]any) {
	r.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		r.Fatal(err)
	}
	r.topic, r.answer = "", nil
	from := service.Caller{Client: "c", Certificate: "claim",
		Subscribed: func(topic string, payload []byte) { r.topic, r.answer = topic, payload }}
	if !r.Request(from, topic, data) {
		r.Fatalf("%s is no request", topic)
	}
	how := strings.TrimPrefix(r.topic, topic+"/")
	var v map[string]any
	if len(r.answer) > 0 {
		if err := json.Unmarshal(r.answer, &v); err != nil {
			r.Fatal(err)
		}
	}
	if how == "rejected" {
		return v["errorCode"].(string), v
	}
	return how, v
}

func csrOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// certificate asks for one and returns its id and token.
func (r *rig) certificate() (id, token string) {
	r.Helper()
	how, a := r.ask("$aws/certificates/create-from-csr/json",
		map[string]any{"certificateSigningRequest": csrOf(r, newKey(r))})
	if how != "accepted" {
		r.Fatalf("%s: %v", how, a)
	}
	return a["certificateId"].(string), a["certificateOwnershipToken"].(string)
}

// register asks to be registered under a name.
func (r *rig) register(token, name string) (string, map[string]any) {
	r.Helper()
	return r.ask("$aws/provisioning-templates/t/provision/json", map[string]any{"certificateOwnershipToken": token,
		"parameters": map[string]string{"Name": name}})
}

// TestTemplate: the functions of the language, the thing, and who is attached.
func TestTemplate(t *testing.T) {
	r := newRig(t, nil)
	id, token := r.certificate()
	how, got := r.register(token, "1")
	want := map[string]any{"thingName": "press-1", "deviceConfiguration": map[string]any{"url": "x/1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s:\n%s", how, diff)
	}
	thing, _ := r.registry.Thing("press-1")
	attributes := map[string]string{"site": "north", "city": "Kiel", "sub": "1@north", "first": "a"}
	if diff := cmp.Diff(attributes, thing.Attributes); diff != "" {
		t.Errorf("attributes: %s", diff)
	}
	c, _ := r.registry.Certificate(id)
	if c.Status != registry.Active || !cmp.Equal(c.Policies, []string{"p"}) ||
		!cmp.Equal(c.Things, []registry.Attachment{{Thing: "press-1", Exclusive: true}}) {
		t.Errorf("certificate %+v", c)
	}
	if how, _ := r.register(token, "1"); how != "InvalidCertificateOwnershipToken" {
		t.Errorf("a token is used twice: %s", how)
	}
	// A second certificate of the same thing, as rotation wants it.
	second, token := r.certificate()
	if how, a := r.register(token, "1"); how != "accepted" {
		t.Errorf("the second certificate: %v", a)
	}
	if ids := r.registry.Principals("press-1"); !cmp.Equal(ids, []string{id, second}) {
		t.Errorf("the thing has %v", ids)
	}
}

// TestTokenLife: an hour after it was asked for a certificate is gone if nobody has
// registered it, and stays if somebody has.
func TestTokenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		kept, token := r.certificate()
		if how, a := r.register(token, "1"); how != "accepted" {
			t.Fatal(a)
		}
		lost, token := r.certificate()
		time.Sleep(TokenLife - time.Second)
		if s := r.registry.Status(lost); s != registry.PendingActivation {
			t.Errorf("before the hour is over: %q", s)
		}
		time.Sleep(2 * time.Second)
		if how, _ := r.register(token, "2"); how != "InvalidCertificateOwnershipToken" {
			t.Errorf("after the hour: %s", how)
		}
		if s := r.registry.Status(lost); s != "" {
			t.Errorf("after the hour it is %q", s)
		}
		if s := r.registry.Status(kept); s != registry.Active {
			t.Errorf("the registered one is %q", s)
		}
	})
}

// TestTrustedUser: the claim of a trusted user lives five minutes and is in no list.
func TestTrustedUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c, err := r.Claim("t")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(ClaimLife - time.Second)
		if s := r.registry.Status(c.ID); s != registry.Active || len(r.registry.Certificates()) != 0 {
			t.Errorf("it is %q, and %d are listed", s, len(r.registry.Certificates()))
		}
		time.Sleep(2 * time.Second)
		if s := r.registry.Status(c.ID); s != "" {
			t.Errorf("after five minutes it is %q", s)
		}
	})
}

// TestHooks: who is refused, who fails and who is late, and what is overridden.
func TestHooks(t *testing.T) {
	for name, tt := range map[string]struct {
		hook Hook
		want string
	}{
		"allowed": {func(q HookRequest) (HookAnswer, error) {
			return HookAnswer{Allow: q.Parameters["Name"] == "1" && q.ClaimCertificateID == "claim" && q.ClientID == "c",
				ParameterOverrides: map[string]string{"Name": "9"}}, nil
		}, "accepted"},
		"refused": {func(HookRequest) (HookAnswer, error) { return HookAnswer{}, nil }, "ACCESS_DENIED"},
		"fails": {func(HookRequest) (HookAnswer, error) { return HookAnswer{Allow: true}, errors.New("x") },
			"ACCESS_DENIED"},
		"late": {func(HookRequest) (HookAnswer, error) {
			time.Sleep(hookLife + time.Second)
			return HookAnswer{Allow: true}, nil
		}, "ACCESS_DENIED"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.hook)
				_, token := r.certificate()
				how, a := r.register(token, "1")
				if how != tt.want || how == "accepted" && a["thingName"] != "press-9" {
					t.Errorf("%s: %v", how, a)
				}
				time.Sleep(2 * time.Second) // the late one says its yes, too late
				if how != "accepted" && len(r.registry.Things()) > 0 {
					t.Error("and the thing was made")
				}
			})
		})
	}
}

// TestRefusals: each request that AWS refuses, by its code.
func TestRefusals(t *testing.T) {
	r := newRig(t, nil)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, token := r.certificate()
	const register = "$aws/provisioning-templates/t/provision/json"
	ask := func(topic string, v any) string { how, _ := r.ask(topic, v); return how }
	with := func(token string, parameters any) any {
		return map[string]any{"certificateOwnershipToken": token, "parameters": parameters}
	}
	csr := func(text string) string {
		return ask("$aws/certificates/create-from-csr/json", map[string]any{"certificateSigningRequest": text})
	}
	broken := strings.Replace(csrOf(t, newKey(t)), "MI", "MJ", 1)
	for name, tt := range map[string]struct{ got, want string }{
		"no CSR":            {csr(""), "InvalidCertificateSigningRequest"},
		"a broken CSR":      {csr(broken), "InvalidCertificateSigningRequest"},
		"a weak key":        {csr(csrOf(t, weak)), "InvalidCertificateSigningRequest"},
		"not JSON's object": {ask(register, "x"), "InvalidPayload"},
		"no token":          {ask(register, with("", nil)), "InvalidCertificateOwnershipToken"},
		"a strange token":   {ask(register, with("x", nil)), "InvalidCertificateOwnershipToken"},
		"no template": {ask("$aws/provisioning-templates/x/provision/json", with(token, nil)),
			"ResourceNotFoundException"},
		"no parameter": {ask(register, with(token, nil)), "InvalidParameterException"},
		"a nested parameter": {ask(register, with(token, map[string]any{"Name": map[string]string{}})),
			"InvalidParameterException"},
		"a name with a space":   {ask(register, with(token, map[string]string{"Name": "a b"})), "ResourceConflictsException"},
		"and the token is good": {ask(register, with(token, map[string]string{"Name": "1"})), "accepted"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", name, tt.got, tt.want)
		}
	}
	// Another site would change the thing, and nothing says that it may.
	_, token = r.certificate()
	if got := ask(register, with(token, map[string]string{"Name": "1", "Site": "x"})); got != "InvalidParameterException" {
		t.Errorf("a site that is in no map: %s", got)
	}
}

// TestOnDemand: errors, lost answers and throttling as asked for.
func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.Refuse(func(API, service.Caller) *Rejected { return &Rejected{Status: 500, Code: "InternalFailure"} })
		_, token := "", ""
		if how, a := r.register(token, "1"); how != "InternalFailure" || a["statusCode"] != 500.0 {
			t.Errorf("%s: %v", how, a)
		}
		r.Refuse(nil)
		_, token = r.certificate()
		r.Lose(func(a API, _ service.Caller) bool { return a == RegisterThing })
		if how, _ := r.register(token, "1"); how != "" || len(r.registry.Things()) != 1 {
			t.Errorf("%q, and there are the things %v", how, r.registry.Things())
		}
		r.Lose(nil)
		r.Throttle(true)
		codes := map[string]int{}
		for range CSRRate + 5 {
			how, _ := r.ask("$aws/certificates/create-from-csr/json", map[string]any{})
			codes[how]++
		}
		want := map[string]int{"InvalidCertificateSigningRequest": CSRRate, "ThrottlingException": 5}
		if diff := cmp.Diff(want, codes); diff != "" {
			t.Errorf("in one second: %s", diff)
		}
	})
}

// TestCBOR: the same by CBOR, as its topics say.
func TestCBOR(t *testing.T) {
	r := newRig(t, nil)
	ask := func(topic string, request map[string]any) map[string]any {
		data, err := cbor.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		r.Request(service.Caller{Subscribed: func(topic string, payload []byte) {
			if got, err = cbor.Unmarshal(payload); err != nil || !strings.HasSuffix(topic, "/cbor/accepted") {
				t.Errorf("%s: %v", topic, err)
			}
		}}, topic, data)
		return got.(map[string]any)
	}
	a := ask("$aws/certificates/create/cbor", map[string]any{})
	if a["privateKey"] == "" {
		t.Errorf("no key: %v", a)
	}
	a = ask("$aws/provisioning-templates/t/provision/cbor", map[string]any{"parameters": map[string]any{"Name": "1"},
		"certificateOwnershipToken": a["certificateOwnershipToken"]})
	if a["thingName"] != "press-1" {
		t.Errorf("answer %v", a)
	}
}

// FuzzTemplate: no template makes the service fall over.
func FuzzTemplate(f *testing.F) {
	f.Add(templateText, "1")
	f.Add(`{"Resources":{"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Fn::Sub":"${"}}}}}`, "")
	f.Fuzz(func(t *testing.T, text, name string) {
		b, err := parseBody(text)
		if err != nil {
			return
		}
		s := New(registry.New(), nil)
		s.registry.AddCertificate(registry.Certificate{ID: "c", Status: registry.PendingActivation})
		if _, _, err := s.apply(&b, "c", map[string]string{"Name": name}); err != nil &&
			s.registry.Status("c") != registry.PendingActivation {
			t.Errorf("refused (%v), and yet active", err)
		}
	})
}
