package configs

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

// Policy is an AWS IoT policy document.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement allows actions on resources.
type Statement struct {
	Effect   string
	Action   []string
	Resource []string
}

// MaxPolicy is the most characters of an AWS IoT policy document, spaces not
// counted (AWS IoT Core identity and security quotas).
const MaxPolicy = 2048

// thingName is what AWS puts in for the name of the thing that a certificate is
// attached to.
const thingName = "${iot:Connection.Thing.ThingName}"

// PolicyFor returns the least that gateways must be allowed: to connect as
// themselves, to publish to their own topics and, where they are configured, to
// take commands and to report into their shadow. One policy serves the whole
// fleet, as AWS puts in each thing's name. region may be empty: then it is that
// of the endpoints.
func PolicyFor(gateways map[string]*Loaded, region, account string) (Policy, error) {
	allow := map[string]map[string]bool{"iot:Connect": {}, "iot:Publish": {}, "iot:Subscribe": {}, "iot:Receive": {}}
	for _, l := range gateways {
		if here, err := regionOf(l.Config.Northbound.AWSIoT.Endpoint); region == "" && err == nil {
			region = here
		}
		l.Config.permissions(func(action, resource string) { allow[action][resource] = true })
	}
	if region == "" {
		return Policy{}, fmt.Errorf("the region is not in the endpoint: name it with --region")
	}
	p := Policy{Version: "2012-10-17"}
	for _, action := range []string{"iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive"} {
		var arns []string
		for _, name := range slices.Sorted(maps.Keys(allow[action])) {
			arns = append(arns, fmt.Sprintf("arn:%s:iot:%s:%s:%s", partition(region), region, account, name))
		}
		if len(arns) > 0 {
			p.Statement = append(p.Statement, Statement{"Allow", []string{action}, arns})
		}
	}
	return p, nil
}

// permissions tells what a gateway does at the cloud.
func (c *Config) permissions(allow func(action, resource string)) {
	north := &c.Northbound.AWSIoT
	client := thingName
	if id := c.ClientID(); id != c.Gateway {
		client = id
	}
	allow("iot:Connect", "client/"+client)
	anything := strings.NewReplacer("{device}", "*", "{point}", "*")
	topic := func(text string) string { return anything.Replace(c.fillTopic(text, thingName)) }
	allow("iot:Publish", "topic/"+ingest(north.BasicIngest)+topic(north.Topic))
	allow("iot:Publish", "topic/"+topic(cmp.Or(north.StatusTopic, defaultStatus)))
	if t := north.Identity.Provision.Template; t != "" { // to renew its certificate
		for _, api := range life.Topics(t) {
			allow("iot:Publish", "topic/"+api)
			allow("iot:Subscribe", "topicfilter/"+api+"/*")
			allow("iot:Receive", "topic/"+api+"/*")
		}
	}
	if north.Commands.Topic != "" {
		allow("iot:Subscribe", "topicfilter/"+topic(north.Commands.Topic))
		allow("iot:Receive", "topic/"+topic(north.Commands.Topic))
	}
	// All that is below one's own executions and shadow may be heard: listing each
	// topic would not fit in a policy.
	if north.Commands.Executions {
		executions := "$aws/commands/things/" + thingName + "/executions/"
		allow("iot:Publish", "topic/"+executions+"*/response/json")
		allow("iot:Subscribe", "topicfilter/"+executions+"+/*")
		allow("iot:Receive", "topic/"+executions+"*")
	}
	if len(north.Jobs) > 0 {
		publish, hear := jobs.Topics(thingName)
		for _, t := range publish {
			allow("iot:Publish", "topic/"+t)
		}
		streams := "$aws/things/" + thingName + "/streams/*"
		allow("iot:Publish", "topic/"+streams)
		for _, t := range []string{hear, streams} {
			allow("iot:Subscribe", "topicfilter/"+t)
			allow("iot:Receive", "topic/"+t)
		}
	}
	if north.Shadow.Name != "" {
		shadow := "$aws/things/" + thingName + "/shadow/name/" + north.Shadow.Name + "/"
		for _, action := range []string{"get", "update"} {
			allow("iot:Publish", "topic/"+shadow+action)
		}
		allow("iot:Subscribe", "topicfilter/"+shadow+"*")
		allow("iot:Receive", "topic/"+shadow+"*")
	}
}

// regionOf takes the region from an endpoint: PREFIX-ats.iot.REGION.amazonaws.com.
func regionOf(endpoint string) (string, error) {
	host := endpoint
	if h, _, err := net.SplitHostPort(endpoint); err == nil {
		host = h
	}
	parts := strings.Split(host, ".")
	if len(parts) >= 5 && parts[1] == "iot" && parts[3] == "amazonaws" {
		return parts[2], nil
	}
	return "", fmt.Errorf("endpoint %s does not name a region", endpoint)
}

// partition is the part of AWS that a region is in.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
