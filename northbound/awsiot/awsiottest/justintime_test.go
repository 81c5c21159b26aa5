package awsiottest

import (
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// justInTime starts a stand-in with a CA that is registered as ca says.
func justInTime(t *testing.T, ca authority.CA) (*Cloud, *authority.Service, *Authority) {
	t.Helper()
	c, s, _ := provisioning(t)
	plant, err := NewAuthority(t.TempDir(), "plant-ca")
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"Parameters":{"AWS::IoT::Certificate::CommonName":{"Type":"String"},
		"AWS::IoT::Certificate::OrganizationalUnit":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},
		"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{
			"ThingName":{"Ref":"AWS::IoT::Certificate::CommonName"},
			"AttributePayload":{"site":{"Ref":"AWS::IoT::Certificate::OrganizationalUnit"}}}},
		"certificate":{"Type":"AWS::IoT::Certificate","Properties":{
			"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}},
		"policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"gateways"}}}}`
	if err := s.AddTemplate(authority.Template{Name: "just", Kind: authority.JITP, Body: body}); err != nil {
		t.Fatal(err)
	}
	ca.Certificate = plant.Certificate()
	if _, err := s.RegisterCA(ca); err != nil {
		t.Fatal(err)
	}
	return c, s, plant
}

// show connects with an identity and says what came of it: "closed", or the code of
// the CONNACK.
func show(t *testing.T, c *Cloud, id Identity, client string) string {
	t.Helper()
	switch ack := dial(t, c, id).connect(client, nil); {
	case ack == nil:
		return "closed"
	case ack.ReasonCode == 0x87:
		return "not authorized"
	case ack.ReasonCode == 0:
		return "connected"
	default:
		t.Fatalf("CONNACK %v", ack)
		return ""
	}
}

// TestLine06AutomaticRegistration: a certificate of a registered CA is refused and
// told of; then a backend lets it in.
func TestLine06AutomaticRegistration(t *testing.T) {
	c, s, plant := justInTime(t, authority.CA{AutoRegister: true})
	watcher := join(t, c, "gateway-1")
	watcher.subscribe(1, "$aws/events/certificates/registered/+")
	id := issue(t, plant, "gateway-2", Terms{})
	if got := show(t, c, id, "gateway-2"); got != "closed" {
		t.Errorf("the first connect is %s", got)
	}
	m := watcher.message()
	event := decode(t, m)
	if event["certificateId"] != id.ID || event["certificateStatus"] != "PENDING_ACTIVATION" ||
		!strings.HasSuffix(m.Topic, registry.CertificateID(plant.Certificate().Raw)) {
		t.Errorf("event %v at %s", event, m.Topic)
	}
	if got := show(t, c, id, "gateway-2"); got != "closed" {
		t.Errorf("while it is pending it is %s", got)
	}
	if err := s.Activate(id.ID, "gateway-2", "gateways"); err != nil {
		t.Fatal(err)
	}
	if got := show(t, c, id, "gateway-2"); got != "connected" {
		t.Errorf("after activation it is %s", got)
	}
}

func issue(t *testing.T, a *Authority, name string, terms Terms) Identity {
	t.Helper()
	id, err := a.Issue(name, terms)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestJustInTimeProvisioning: the template of a CA provisions, if the certificate
// says all that it names.
func TestJustInTimeProvisioning(t *testing.T) {
	c, s, plant := justInTime(t, authority.CA{AutoRegister: true, Template: "just", Refusals: 2})
	north := Terms{Subject: pkix.Name{OrganizationalUnit: []string{"north"}}}
	whole := issue(t, plant, "press-1", north)
	got := []string{show(t, c, whole, "press-1"), show(t, c, whole, "press-1"), show(t, c, whole, "press-1"),
		show(t, c, whole, "press-2")}
	if diff := cmp.Diff([]string{"closed", "closed", "connected", "not authorized"}, got); diff != "" {
		t.Errorf("a certificate with all of it (-want +got):\n%s", diff)
	}
	if thing, _ := c.Registry().Thing("press-1"); thing.Attributes["site"] != "north" {
		t.Errorf("thing %+v", thing)
	}
	part := issue(t, plant, "press-3", Terms{})
	for range 4 {
		if got := show(t, c, part, "press-3"); got != "closed" {
			t.Errorf("a certificate without a unit is %s", got)
		}
	}
	if why := s.Failure(part.ID); c.status(part.ID) != registry.PendingActivation ||
		!strings.Contains(why, "AWS::IoT::Certificate::OrganizationalUnit is missing") {
		t.Errorf("it is %q, since %q", c.status(part.ID), why)
	}
	if err := c.Registry().DeleteCertificate(whole.ID, true); err == nil {
		t.Error("an active certificate is deleted")
	}
}

// TestCertificatesThatAreRefused: each kind of certificate that does not come in.
func TestCertificatesThatAreRefused(t *testing.T) {
	c, s, plant := justInTime(t, authority.CA{AutoRegister: true, Template: "just"})
	now := time.Now()
	unit := pkix.Name{OrganizationalUnit: []string{"north"}}
	for name, terms := range map[string]Terms{
		"expired":       {NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour), Subject: unit},
		"not-yet-valid": {NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour), Subject: unit},
	} {
		id := issue(t, plant, name, terms)
		conn, err := tlsDial(t, c, &id, nil)
		if err == nil {
			err = speaks(conn)
		}
		if err == nil || c.status(id.ID) != "" {
			t.Errorf("a certificate that is %s: %v, and then it is %q", name, err, c.status(id.ID))
		}
		conn.NetConn().Close()
	}
	stranger, err := NewAuthority(t.TempDir(), "stranger")
	if err != nil {
		t.Fatal(err)
	}
	id := issue(t, stranger, "press-1", Terms{Subject: unit})
	if got := show(t, c, id, "press-1"); got != "closed" || c.status(id.ID) != "" {
		t.Errorf("of an unknown CA it is %s, and then %q", got, c.status(id.ID))
	}
	known := issue(t, plant, "press-2", Terms{Subject: unit})
	show(t, c, known, "press-2")
	if got := show(t, c, known, "press-2"); got != "connected" {
		t.Fatalf("a good one is %s", got)
	}
	// An inactive CA registers nobody any more, but its certificates stay good.
	if err := s.ChangeCA(s.CAs()[0].ID, func(ca *authority.CA) { ca.Status = registry.Inactive }); err != nil {
		t.Fatal(err)
	}
	late := issue(t, plant, "press-3", Terms{Subject: unit})
	show(t, c, late, "press-3")
	if got := show(t, c, late, "press-3"); got != "closed" || c.status(late.ID) != "" {
		t.Errorf("with an inactive CA a new one is %s, and then %q", got, c.status(late.ID))
	}
	if got := show(t, c, known, "press-2"); got != "connected" {
		t.Errorf("with an inactive CA the old one is %s", got)
	}
	for _, state := range []registry.Status{registry.Revoked, registry.Inactive, registry.PendingTransfer} {
		c.SetStatus(known.ID, state)
		if got := show(t, c, known, "press-2"); got != "closed" || c.status(known.ID) != state {
			t.Errorf("%s: it is %s, and then %q", state, got, c.status(known.ID))
		}
	}
}
