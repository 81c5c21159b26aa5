package onboard

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fieldbridge/configs"
)

// load returns the gateways of a fleet file.
func load(t *testing.T, text string) map[string]*configs.Loaded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	each, err := configs.LoadEach(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	return each
}

const fleet = `
fleet: plant
defaults:
  northbound:
    awsiot:
      endpoint: a1b2-ats.iot.eu-central-1.amazonaws.com
      topic: plant/{gateway}
      identity: {provision: {template: line, claim: claim, parameters: {Serial: "{serial}"}}}
gateways:
  press-1: {}
  press-2:
    northbound: {awsiot: {identity: {provision: {parameters: {Proof: "{file:/etc/proof}"}}}}}
`

func TestTemplate(t *testing.T) {
	each := load(t, fleet)
	policy, err := configs.PolicyFor(each, "", "123456789012")
	if err != nil {
		t.Fatal(err)
	}
	got, err := For(each, "fieldbridge", policy)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		TemplateName string
		TemplateBody struct {
			Parameters map[string]struct{ Type string }
			Resources  map[string]struct {
				Type       string
				Properties map[string]any
			}
		}
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if n := len(data); n > 10240 {
		t.Errorf("%d bytes, AWS takes 10240", n)
	}
	for _, name := range []string{"GatewayName", "Serial", "Proof", "AWS::IoT::Certificate::Id"} {
		if back.TemplateBody.Parameters[name].Type != "String" {
			t.Errorf("no parameter %s", name)
		}
	}
	r := back.TemplateBody.Resources
	if len(r) != 3 || r["policy"].Properties["PolicyName"] != "fieldbridge" || back.TemplateName != "line" {
		t.Errorf("%s", data)
	}
}

// TestClaimMayDoLittle: a claim asks for its identity by this template, and nothing else.
func TestClaimMayDoLittle(t *testing.T) {
	each := load(t, fleet)
	policy, err := configs.PolicyFor(each, "", "123456789012")
	if err != nil {
		t.Fatal(err)
	}
	got, err := For(each, "fieldbridge", policy)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range got.ClaimPolicy.Statement {
		all = append(all, s.Resource...)
	}
	slices.Sort(all)
	const arn = "arn:aws:iot:eu-central-1:123456789012:"
	want := []string{
		arn + "client/claim-*",
		arn + "topic/$aws/certificates/create-from-csr/json",
		arn + "topic/$aws/certificates/create-from-csr/json/*",
		arn + "topic/$aws/provisioning-templates/line/provision/json",
		arn + "topic/$aws/provisioning-templates/line/provision/json/*",
		arn + "topicfilter/$aws/certificates/create-from-csr/json/*",
		arn + "topicfilter/$aws/provisioning-templates/line/provision/json/*",
	}
	if !slices.Equal(all, want) {
		t.Errorf("%s", strings.Join(all, "\n"))
	}
	// What gateways may do must have the same topics, to renew.
	text, err := json.Marshal(policy)
	if err != nil || !strings.Contains(string(text), "create-from-csr/json") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestNoTemplate(t *testing.T) {
	each := load(t, `
fleet: plant
gateways:
  press-1: {northbound: {awsiot: {endpoint: a1b2-ats.iot.eu-central-1.amazonaws.com, topic: t, identity: {key: file}}}}
`)
	if _, err := For(each, "fieldbridge", configs.Policy{}); err == nil {
		t.Error("a template of no name")
	}
	each = load(t, fleet+"  press-3: {northbound: {awsiot: {identity: {provision: {template: other}}}}}\n")
	if _, err := For(each, "fieldbridge", configs.Policy{}); err == nil || !strings.Contains(err.Error(), "line, other") {
		t.Errorf("%v", err)
	}
}
