// Package onboard makes what an AWS account needs before gateways get their identity
// from it: the provisioning template, and the policy of the claim. It asks nobody.
package onboard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fieldbridge/configs"
	"fieldbridge/northbound/awsiot/identity/life"
)

// Template is a provisioning template, and the claim that it is used with.
type Template struct {
	Name        string         `json:"templateName"`
	Body        map[string]any `json:"templateBody"`
	ClaimPolicy configs.Policy `json:"claimPolicy"`
}

// For returns the template of a fleet whose gateways get the policy of that name. fits
// is that policy.
func For(gateways map[string]*configs.Loaded, policy string, fits configs.Policy) (Template, error) {
	names := make(map[string]bool)
	parameters := map[string]bool{life.GatewayName: true}
	for _, l := range gateways {
		p := &l.Config.Northbound.AWSIoT.Identity.Provision
		if p.Template != "" {
			names[p.Template] = true
		}
		for name := range p.Parameters {
			parameters[name] = true
		}
	}
	switch all := slices.Sorted(maps.Keys(names)); len(all) {
	case 1:
		t := Template{Name: all[0], Body: body(slices.Sorted(maps.Keys(parameters)), policy)}
		t.ClaimPolicy = claimPolicy(prefix(fits), t.Name)
		return t, nil
	case 0:
		return Template{}, errors.New("no gateway has a northbound.awsiot.identity.provision.template: name one")
	default:
		return Template{}, fmt.Errorf("the gateways have several templates (%s): print each from its own file",
			strings.Join(all, ", "))
	}
}

// body is the template's document: a thing called as the gateway, of which no group nor
// attribute is lost when it comes again, its certificate, active, and its policy.
func body(parameters []string, policy string) map[string]any {
	given := map[string]any{"AWS::IoT::Certificate::Id": map[string]string{"Type": "String"}}
	for _, name := range parameters {
		given[name] = map[string]string{"Type": "String"}
	}
	ref := func(name string) map[string]string { return map[string]string{"Ref": name} }
	return map[string]any{
		"Parameters": given,
		"Resources": map[string]any{
			"thing": map[string]any{
				"Type":             "AWS::IoT::Thing",
				"Properties":       map[string]any{"ThingName": ref(life.GatewayName)},
				"OverrideSettings": map[string]string{"AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING"},
			},
			"certificate": map[string]any{
				"Type": "AWS::IoT::Certificate",
				"Properties": map[string]any{"CertificateId": ref("AWS::IoT::Certificate::Id"), "Status": "ACTIVE",
					"ThingPrincipalType": "EXCLUSIVE_THING"},
			},
			"policy": map[string]any{
				"Type":       "AWS::IoT::Policy",
				"Properties": map[string]any{"PolicyName": policy},
			},
		},
	}
}

// claimPolicy is the least that a claim must be allowed: to connect under a name that no
// gateway has, and to ask. It cannot have AWS make a key.
func claimPolicy(prefix, template string) configs.Policy {
	var topics, filters []string
	for _, api := range life.Topics(template) {
		topics = append(topics, prefix+"topic/"+api, prefix+"topic/"+api+"/*")
		filters = append(filters, prefix+"topicfilter/"+api+"/*")
	}
	return configs.Policy{Version: "2012-10-17", Statement: []configs.Statement{
		{Effect: "Allow", Action: []string{"iot:Connect"}, Resource: []string{prefix + "client/" + life.ClaimClient + "*"}},
		{Effect: "Allow", Action: []string{"iot:Publish", "iot:Receive"}, Resource: topics},
		{Effect: "Allow", Action: []string{"iot:Subscribe"}, Resource: filters},
	}}
}

// prefix is the beginning of the names of a policy's resources, up to the account.
func prefix(p configs.Policy) string {
	parts := strings.SplitAfterN(p.Statement[0].Resource[0], ":", 6)
	return strings.Join(parts[:5], "")
}
