package configs

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
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
// themselves and to publish to their own topics. One policy serves the whole
// fleet, as AWS puts in each thing's name. region may be empty: then it is that
// of the endpoints.
func PolicyFor(gateways map[string]*Loaded, region, account string) (Policy, error) {
	clients, topics := make(map[string]bool), make(map[string]bool)
	for _, l := range gateways {
		north := &l.Config.Northbound.AWSIoT
		here, err := regionOf(north.Endpoint)
		if region == "" && err == nil {
			region = here
		}
		client := thingName
		if id := l.Config.ClientID(); id != l.Config.Gateway {
			client = id
		}
		clients["client/"+client] = true
		for _, topic := range []string{north.Topic, cmp.Or(north.StatusTopic, "fieldbridge/{gateway}/status")} {
			topics["topic/"+strings.NewReplacer("{gateway}", thingName, "{device}", "*").Replace(topic)] = true
		}
	}
	if region == "" {
		return Policy{}, fmt.Errorf("the region is not in the endpoint: name it with --region")
	}
	arns := func(set map[string]bool) []string {
		var out []string
		for _, name := range slices.Sorted(maps.Keys(set)) {
			out = append(out, fmt.Sprintf("arn:%s:iot:%s:%s:%s", partition(region), region, account, name))
		}
		return out
	}
	return Policy{"2012-10-17", []Statement{
		{"Allow", []string{"iot:Connect"}, arns(clients)},
		{"Allow", []string{"iot:Publish"}, arns(topics)},
	}}, nil
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
	return "", fmt.Errorf("endpoint %s names no region", endpoint)
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
