package awsiot

import (
	"maps"
	"slices"

	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
)

// Validate returns what is wrong with c for a gateway of that name, with those
// labels, if any.
func (c *Config) Validate(gateway string, labels ...map[string]string) []setting.Problem {
	known := make(map[string]string)
	for _, l := range labels {
		maps.Copy(known, l)
	}
	found := slices.Concat(c.Config.Validate(gateway), c.Settings.Validate(gateway, known), c.Access.Validate(gateway,
		known))
	if c.StatusTopic != "" {
		found = append(found, payload.ValidateTopic(c.StatusTopic, gateway, known, "status_topic")...)
	}
	if c.LiveShare < 0.01 || c.LiveShare > 0.99 {
		found.Add(c.LiveShare.String()+" is out of range", "use 1% to 99%: both lanes must move", "live_share")
	}
	return found
}
