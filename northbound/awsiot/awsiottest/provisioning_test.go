package awsiottest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

const (
	csrTopic      = "$aws/certificates/create-from-csr/json"
	registerTopic = "$aws/provisioning-templates/gateways/provision/json"
)

const fleetTemplate = `{
	"Parameters": {"GatewayName": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
	"Resources": {
		"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "GatewayName"}},
			"OverrideSettings": {"AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING"}},
		"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
			"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active",
			"ThingPrincipalType": "EXCLUSIVE_THING"}},
		"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "gateways"}}},
	"DeviceConfiguration": {"site": "north"}}`

const gatewayPolicy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":"iot:Connect",
		"Resource":"arn:aws:iot:eu-central-1:123456789012:client/${iot:Connection.Thing.ThingName}"},
	{"Effect":"Allow","Action":"iot:Publish",
		"Resource":"arn:aws:iot:eu-central-1:123456789012:topic/plant/${iot:Connection.Thing.ThingName}/*"}]}`

// provisioning starts a stand-in that provisions by a template, with a claim.
func provisioning(t *testing.T) (c *Cloud, s *authority.Service, claim Identity) {
	t.Helper()
	c = start(t, nil)
	s = authority.New(c.Registry(), c.Authority())
	c.Serve(s)
	if err := c.Registry().AddPolicy("gateways", gatewayPolicy); err != nil {
		t.Fatal(err)
	}
	if err := s.AddTemplate(authority.Template{Name: "gateways", Body: fleetTemplate}); err != nil {
		t.Fatal(err)
	}
	claim, err := c.Authority().Issue("claim", Terms{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AdmitClaim(claim.Certificate, "gateways"); err != nil {
		t.Fatal(err)
	}
	return c, s, claim
}

// csr returns a new key and a request for it, in PEM.
func csr(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: "press-1"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// request publishes a request and returns the answer, with its topic beyond the request's.
func (r *raw) request(topic string, request map[string]any) (how string, answer map[string]any) {
	r.t.Helper()
	data, err := json.Marshal(request)
	if err != nil {
		r.t.Fatal(err)
	}
	r.publish(topic, 0, data, nil)
	m := r.message()
	return m.Topic[len(topic)+1:], decode(r.t, m)
}

// TestLine46Provisioning: with a claim a device gets a certificate, which is good
// only when it has been registered.
func TestLine46Provisioning(t *testing.T) {
	c, _, claim := provisioning(t)
	r := dial(t, c, claim)
	if ack := r.connect("any-name", nil); ack == nil || ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %v", ack)
	}
	answers := []string{csrTopic + "/accepted", csrTopic + "/rejected", registerTopic + "/accepted",
		registerTopic + "/rejected"}
	if diff := cmp.Diff([]byte{1, 1, 1, 1}, r.subscribe(1, answers...)); diff != "" {
		t.Fatalf("SUBACK: %s", diff)
	}
	key, request := csr(t)
	how, got := r.request(csrTopic, map[string]any{"certificateSigningRequest": request})
	if how != "accepted" {
		t.Fatalf("%s: %v", how, got)
	}
	block, _ := pem.Decode([]byte(got["certificatePem"].(string)))
	own := Identity{Name: "press-1", ID: registry.CertificateID(block.Bytes),
		Certificate: filepath.Join(t.TempDir(), "own.pem"), PrivateKey: filepath.Join(t.TempDir(), "own.key")}
	if own.ID != got["certificateId"] {
		t.Errorf("the certificate is %s, and the answer says %s", own.ID, got["certificateId"])
	}
	if err := savePair(own.Certificate, own.PrivateKey, block.Bytes, key); err != nil {
		t.Fatal(err)
	}
	if ack := dial(t, c, own).connect("press-1", nil); ack != nil {
		t.Errorf("before it is registered the certificate connects: %v", ack)
	}
	how, got = r.request(registerTopic, map[string]any{"certificateOwnershipToken": got["certificateOwnershipToken"],
		"parameters": map[string]string{"GatewayName": "press-1"}})
	want := map[string]any{"thingName": "press-1", "deviceConfiguration": map[string]any{"site": "north"}}
	if diff := cmp.Diff(want, got); diff != "" || how != "accepted" {
		t.Fatalf("%s:\n%s", how, diff)
	}
	watcher := join(t, c, "watcher")
	watcher.subscribe(1, "$aws/events/presence/connected/press-1")
	gateway := dial(t, c, own)
	if ack := gateway.connect("press-1", nil); ack == nil || ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %v", ack)
	}
	if e := decode(t, watcher.message()); e["thingName"] != "press-1" || e["principalIdentifier"] != own.ID {
		t.Errorf("event %v", e)
	}
	for topic, want := range map[string]byte{"plant/press-1/r": 0, "plant/press-2/r": 0x87} {
		gateway.publish(topic, 1, []byte("x"), nil)
		if code := gateway.puback(); code != want {
			t.Errorf("PUBACK 0x%02X for %s, want 0x%02X", code, topic, want)
		}
	}
	if ack := dial(t, c, own).connect("press-2", nil); ack == nil || ack.ReasonCode != 0x87 {
		t.Errorf("under another name: %v", ack)
	}
}

// TestClaimMayDoNothingElse: a claim's policy is enforced, and a revoked claim does
// not come in.
func TestClaimMayDoNothingElse(t *testing.T) {
	c, s, claim := provisioning(t)
	r := dial(t, c, claim)
	if ack := r.connect("any-name", nil); ack == nil || ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %v", ack)
	}
	for topic, want := range map[string]byte{"plant/1": 0x87, "$aws/certificates/create/json": 0x87, csrTopic: 0,
		"$aws/provisioning-templates/other/provision/json": 0x87} {
		r.publish(topic, 1, []byte("{}"), nil)
		if code := r.puback(); code != want {
			t.Errorf("PUBACK 0x%02X for %s, want 0x%02X", code, topic, want)
		}
	}
	if diff := cmp.Diff([]byte{0x87, 0x87, 1}, r.subscribe(1, "plant/#", "$aws/events/#", csrTopic+"/#")); diff != "" {
		t.Errorf("SUBACK: %s", diff)
	}
	trusted, err := s.Claim("gateways")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	user := Identity{Certificate: filepath.Join(dir, "c.pem"), PrivateKey: filepath.Join(dir, "c.key"), ID: trusted.ID}
	for file, text := range map[string]string{user.Certificate: trusted.CertificatePEM, user.PrivateKey: trusted.Private} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if ack := dial(t, c, user).connect("phone", nil); ack == nil || ack.ReasonCode != 0 {
		t.Errorf("a trusted user's claim: %v", ack)
	}
	for _, id := range []Identity{claim, user} {
		c.SetStatus(id.ID, registry.Revoked)
		if ack := dial(t, c, id).connect("again", nil); ack != nil {
			t.Errorf("a revoked claim connects: %v", ack)
		}
	}
}
