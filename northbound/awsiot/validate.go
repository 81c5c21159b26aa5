package awsiot

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/setting"
)

// Validate returns what is wrong with c for a gateway of that name, with those
// labels, if any.
func (c *Config) Validate(gateway string, labels ...map[string]string) []setting.Problem {
	known := make(map[string]string)
	for _, l := range labels {
		maps.Copy(known, l)
	}
	found := slices.Concat(c.Config.Validate(gateway), c.files(), setting.Under([]string{"identity"},
		c.Identity.Validate(known)), c.Settings.Validate(gateway, known), c.Access.Validate(gateway,
		known))
	if c.StatusTopic != "" {
		found = append(found, payload.ValidateTopic(c.StatusTopic, gateway, known, "status_topic")...)
	}
	if c.LiveShare < 0.01 || c.LiveShare > 0.99 {
		found.Add(c.LiveShare.String()+" is out of range", "use 1% to 99%: both lanes must move", "live_share")
	}
	for i, name := range c.Jobs {
		switch {
		case !slices.Contains(jobs.Operations, name):
			found.Add(fmt.Sprintf("%q is no operation of jobs", name), setting.Meant(name, jobs.Operations,
				setting.Choice("there are", jobs.Operations)), "jobs")
		case slices.Contains(c.Jobs[:i], name):
			found.Add(name+" is named twice", "name it once", "jobs")
		}
	}
	return found
}

// files returns what is missing of the files of an identity, where the gateway does
// not get one for itself.
func (c *Config) files() setting.Found {
	var found setting.Found
	if c.Identity.Managed() && c.Certificate == "" && c.PrivateKey == "" {
		return nil
	}
	if c.Certificate == "" {
		found.Add("there is no certificate", "AWS IoT knows a gateway by its certificate: give its PEM file, or have the "+
			"gateway get one with identity", "certificate")
	}
	if c.PrivateKey == "" {
		found.Add("there is no private_key", "give the PEM file with the certificate's key, or have the gateway make one "+
			"with identity", "private_key")
	}
	return found
}
