package awsiot

import (
	"fmt"
	"maps"
	"strings"
	"time"

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
	found := append(c.Config.Validate(gateway), c.Settings.Validate(gateway, known)...)
	if c.Commands.Topic != "" {
		found = append(found, payload.ValidateTopic(c.Commands.Topic, gateway, known, "commands", "topic")...)
	}
	if c.StatusTopic != "" {
		found = append(found, payload.ValidateTopic(c.StatusTopic, gateway, known, "status_topic")...)
	}
	if c.LiveShare < 0.01 || c.LiveShare > 0.99 {
		found.Add(c.LiveShare.String()+" is out of range", "use 1% to 99%: both lanes must move", "live_share")
	}
	found.Within(c.Commands.MaxAge, time.Second, time.Hour, "commands", "max_age")
	if c.Commands.Desired && c.Shadow.Name == "" {
		found.Add("there is no shadow to take commands from", "give shadow: {name: gateway}, or leave desired out", "commands", "desired")
	}
	found.Within(c.Shadow.Every, 10*time.Second, 24*time.Hour, "shadow", "every")
	if n := c.Shadow.Name; len(n) > 64 || strings.ContainsFunc(n, func(r rune) bool { return !shadowRune(r) }) {
		found.Add(fmt.Sprintf("%q cannot be the name of a shadow", n), "use at most 64 letters, digits, :, _ and -", "shadow", "name")
	}
	return found
}

func shadowRune(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == ':' || r == '_' || r == '-'
}
