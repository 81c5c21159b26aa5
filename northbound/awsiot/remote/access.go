package remote

import (
	"fmt"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
)

// Access is the part of northbound.awsiot that is about what the cloud may ask.
type Access struct {
	// Commands says whether the cloud may command this gateway.
	Commands Commands `yaml:"commands"`
	// Shadow reports the gateway's health into a named shadow of its thing.
	Shadow Shadow `yaml:"shadow"`
}

// Commands are taken only in the ways that are given: without one, the cloud
// cannot command the gateway.
type Commands struct {
	// Topic is where commands come from; {gateway} and {label.NAME} are replaced.
	Topic string `yaml:"topic"`
	// Executions takes the executions of AWS IoT Commands that are for the thing
	// called as the gateway. Default false.
	Executions bool `yaml:"executions"`
	// Desired takes the command in the desired state of shadow.name. Default
	// false.
	Desired bool `yaml:"desired"`
	// MaxAge is how old a command may be when it arrives, 1s to 1h.
	MaxAge setting.Duration `yaml:"max_age"`
}

// ways returns how commands may come, for people.
func (c *Access) ways() []string {
	all := []string{}
	if c.Commands.Topic != "" {
		all = append(all, "topic "+c.Commands.Topic)
	}
	if c.Commands.Executions {
		all = append(all, "AWS IoT Commands")
	}
	if c.Commands.Desired {
		all = append(all, "shadow "+c.Shadow.Name)
	}
	return all
}

// Shadow is a named device shadow of the thing that is called as the gateway.
type Shadow struct {
	// Name is the shadow's name, at most 64 letters, digits, :, _ and -. Without
	// it nothing is reported.
	Name string `yaml:"name"`
	// Every is how often what has changed is reported, 10s to 1d.
	Every setting.Duration `yaml:"every"`
}

// SetDefaults sets what is used where the file says nothing.
func (c *Access) SetDefaults() {
	*c = Access{Commands: Commands{MaxAge: setting.Duration(30 * time.Second)},
		Shadow: Shadow{Every: setting.Duration(time.Minute)}}
}

// Validate returns what is wrong with c for a gateway of that name with labels.
func (c *Access) Validate(gateway string, labels map[string]string) setting.Found {
	var found setting.Found
	if c.Commands.Topic != "" {
		found = payload.ValidateTopic(c.Commands.Topic, gateway, labels, "commands", "topic")
	}
	found.Within(c.Commands.MaxAge, time.Second, time.Hour, "commands", "max_age")
	if c.Commands.Desired && c.Shadow.Name == "" {
		found.Add("there is no shadow to take commands from", "give shadow: {name: gateway}, or leave desired out",
			"commands", "desired")
	}
	found.Within(c.Shadow.Every, 10*time.Second, 24*time.Hour, "shadow", "every")
	if n := c.Shadow.Name; len(n) > 64 || strings.ContainsFunc(n, func(r rune) bool { return !shadowRune(r) }) {
		found.Add(fmt.Sprintf("%q cannot be the name of a shadow", n), "use at most 64 letters, digits, :, _ and -", "shadow",
			"name")
	}
	return found
}

func shadowRune(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == ':' || r == '_' || r == '-'
}
