package configs

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"fieldbridge/console"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/store"
)

// Config is what a gateway's file says. Each section belongs to the package that
// it configures.
type Config struct {
	// Gateway is the name of the gateway: its AWS thing name and, unless
	// northbound.awsiot.client_id says otherwise, its MQTT client id. 1 to 128
	// letters, digits, ':', '_' or '-'.
	Gateway string `yaml:"gateway"`
	// Watch applies the file, and those that it includes, when it changes.
	// Otherwise 'fieldbridge reload' or SIGHUP does.
	Watch bool `yaml:"watch"`
	// Labels say where the gateway is or whose, as site: brno. {label.site} in
	// topics stands for the value. Names are [a-z][a-z0-9_]*.
	Labels map[string]string `yaml:"labels"`
	// Log says what is logged, on stderr.
	Log Log `yaml:"log"`
	// Northbound is where readings go.
	Northbound Northbound `yaml:"northbound"`
	// Store is where readings wait until the cloud has them.
	Store store.Config `yaml:"store"`
	// Southbound is where readings come from.
	Southbound Southbound `yaml:"southbound"`
	// Console is what an operator looks at.
	Console console.Config `yaml:"console"`
}

// Log is the section log.
type Log struct {
	// Level is the least that is logged: debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text for people and journald, or json for programs.
	Format string `yaml:"format"`
}

// Northbound is the section northbound.
type Northbound struct {
	// AWSIoT is the session with AWS IoT Core.
	AWSIoT awsiot.Config `yaml:"awsiot"`
}

// Southbound is the section southbound.
type Southbound struct {
	// Modbus are buses and the devices on them.
	Modbus modbus.Config `yaml:"modbus"`
	// MQTT are brokers and the rules for sensors that publish there.
	MQTT mqtt.Config `yaml:"mqtt"`
}

// SetDefaults sets what is used where the file says nothing.
func (l *Log) SetDefaults() {
	*l = Log{Level: "info", Format: "text"}
}

// Validate returns what is wrong with l.
func (l Log) Validate() []setting.Problem {
	var problems []setting.Problem
	problems = append(problems, oneOf("level", l.Level, "debug", "info", "warn", "error")...)
	return append(problems, oneOf("format", l.Format, "text", "json")...)
}

func oneOf(key, value string, allowed ...string) []setting.Problem {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	fix := "use " + strings.Join(allowed[:len(allowed)-1], ", ") + " or " + allowed[len(allowed)-1]
	if s := setting.Suggest(value, allowed); s != "" {
		fix = fmt.Sprintf("did you mean %q?", s)
	}
	return []setting.Problem{{Path: []string{key}, Text: fmt.Sprintf("there is no %s %q", key, value), Fix: fix}}
}

// Validate returns everything that is wrong with c: what each section finds, and
// what only shows when they are seen together.
func (c *Config) Validate() []setting.Problem {
	problems := append(c.validateGateway(), c.checkLabels()...)
	problems = append(problems, setting.Under([]string{"log"}, c.Log.Validate())...)
	if reflect.DeepEqual(c.Northbound.AWSIoT, northDefaults()) {
		problems = append(problems, setting.Problem{Path: []string{"northbound"}, Text: "nothing says where readings go",
			Fix: "add northbound: awsiot: with endpoint, certificate, private_key and topic"})
	} else {
		problems = append(problems, setting.Under([]string{"northbound", "awsiot"},
			c.Northbound.AWSIoT.Validate(c.Gateway, c.Labels))...)
	}
	problems = append(problems, setting.Under([]string{"store"}, c.Store.Validate())...)
	problems = append(problems, setting.Under([]string{"southbound", "modbus"}, c.Southbound.Modbus.Validate())...)
	problems = append(problems, setting.Under([]string{"southbound", "mqtt"}, c.Southbound.MQTT.Validate())...)
	problems = append(problems, setting.Under([]string{"console"}, c.Console.Validate())...)
	return append(problems, c.crossCheck()...)
}

func northDefaults() awsiot.Config {
	var c awsiot.Config
	c.SetDefaults()
	return c
}

func (c *Config) validateGateway() []setting.Problem {
	path := []string{"gateway"}
	if c.Gateway == "" {
		return []setting.Problem{{Path: path, Text: "the gateway has no name", Fix: "add gateway: NAME, its AWS thing name"}}
	}
	for _, r := range c.Gateway {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-", r) {
			return []setting.Problem{{Path: path,
				Text: fmt.Sprintf("the gateway's name has %q, which AWS does not allow in thing names", r),
				Fix:  "use letters, digits, :, _ and -"}}
		}
	}
	if len(c.Gateway) > 128 {
		return []setting.Problem{{Path: path, Text: fmt.Sprintf("the gateway's name has %d characters", len(c.Gateway)),
			Fix: "use at most 128, as AWS does for thing names"}}
	}
	return nil
}

// ClientID returns the MQTT client id that the gateway uses at the cloud.
func (c *Config) ClientID() string { return cmp.Or(c.Northbound.AWSIoT.ClientID, c.Gateway) }
